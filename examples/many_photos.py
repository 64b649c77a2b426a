"""A folder of photos to one table: `python examples/many_photos.py FOLDER faces.csv`"""

import sys

import mien

folder, table = sys.argv[1:3]
failed = 0
with mien.open_writer(table) as writer:
    for outcome in mien.analyze_many(folder, jobs=2, max_side=1280):
        writer.write(outcome)
        failed += outcome.error is not None
print(f"wrote {table}; {failed} pictures could not be read")
