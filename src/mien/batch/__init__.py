"""Many inputs: a study to a folder of Parquet parts, by several processes, stopped and continued at any time."""
