"""A folder of photos to one table: `python examples/many_photos.py FOLDER faces.csv`"""

import csv
import sys
from pathlib import Path

import mien
from mien.report.tables import COLUMNS, rows
from mien.results.outcome import Outcome

folder, table = (Path(argument) for argument in sys.argv[1:3])
pipeline = mien.Pipeline(max_side=1280)
with table.open("w", newline="", encoding="utf-8") as file:
    writer = csv.DictWriter(file, list(COLUMNS))
    writer.writeheader()
    for photo in sorted(path for path in folder.iterdir() if path.is_file()):
        try:
            outcome = Outcome(photo.name, pipeline(photo))
        except mien.MienError as error:
            outcome = Outcome(photo.name, error=error)
        writer.writerows(rows(outcome))
