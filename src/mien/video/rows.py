"""The rows of tables that mien wrote, now or long ago: CSV, Parquet, JSON lines and JSON, one row a face."""

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mien.errors import InputError
from mien.extras import optional
from mien.results.record import Record
from mien.video.series import EXPRESSIONS

ENDINGS = (".csv", ".parquet", ".jsonl", ".json")
# Rows of a Parquet file that are in memory together.
_ROWS = 4096


def read_rows(path: Path) -> Iterator[Record]:
    """The rows of a table; a missing value is None. Fields of a CSV are text.

    Raises InputError for a file that is no table of mien's, and for one that ends in the middle of a row.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise InputError(f"{path}: the ending must be one of {' '.join(ENDINGS)}")
    if not path.is_file():
        raise InputError(f"{path}: there is no such file", "missing")
    read = {".csv": _csv, ".parquet": _parquet, ".jsonl": _json_lines, ".json": _json}[ending]
    first = True
    try:
        for row in read(path):
            if first and not {"input", *EXPRESSIONS} <= row.keys():
                raise InputError(f"{path}: has no columns input, {', '.join(EXPRESSIONS)}: not a table of mien's")
            first = False
            yield row
    except (UnicodeDecodeError, csv.Error, json.JSONDecodeError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read as {ending} ({error})") from error


def _csv(path: Path) -> Iterator[Record]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            yield {name: None if value == "" else value for name, value in row.items()}


def _parquet(path: Path) -> Iterator[Record]:
    parquet = optional("pyarrow.parquet", "parquet")
    try:
        file = parquet.ParquetFile(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as .parquet ({error})") from error
    with file:
        for batch in file.iter_batches(_ROWS):
            yield from batch.to_pylist()


def _json_lines(path: Path) -> Iterator[Record]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield from record_rows(json.loads(line))


def _json(path: Path) -> Iterator[Record]:
    for record in json.loads(path.read_text(encoding="utf-8"))["images"]:
        yield from record_rows(record)


def record_rows(record: Mapping[str, Any]) -> list[Record]:
    """The rows of a picture or frame in its JSON form, as far as anything is derived from them."""
    about = dict.fromkeys(EXPRESSIONS) | {name: record.get(name) for name in ("input", "status", "frame", "timestamp")}
    return [about | {"face": i} | _face(face) for i, face in enumerate(record["faces"])] or [about]


def _face(face: Mapping[str, Any]) -> Record:
    x1, y1, x2, y2 = face["box"]
    expression, pose = face["expression"], face.get("pose") or {}
    landmarks = {f"{'xy'[k]}_{i}": point[k] for i, point in enumerate(face["landmarks"] or ()) for k in (0, 1)}
    return {
        "track": face.get("track"),
        "FaceRectX": x1,
        "FaceRectY": y1,
        "FaceRectWidth": round(x2 - x1, 2),
        "FaceRectHeight": round(y2 - y1, 2),
        "FaceScore": face["score"],
        "expression": expression["top"],
        "confidence": expression["confidence"],
        **expression["probabilities"],
        **(face["action_units"] or {}),
        **{angle.capitalize(): value for angle, value in pose.items()},
        **landmarks,
        "hidden": "; ".join(f"{half['side']}: {half['reason']}" for half in face.get("hidden") or ()) or None,
    }
