"""Reports to CSV, JSON, JSON lines and Parquet: one row a face, column names as py-feat has them."""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import mien
from mien.extras import optional
from mien.results import FaceReport, Outcome
from mien.vocabulary import Expression

Row = dict[str, Any]
# Column to type; the types also hold where a column has no value at all.
COLUMNS: dict[str, type] = {
    "input": str,
    "face": int,
    "status": str,
    "error": str,
    "FaceRectX": float,
    "FaceRectY": float,
    "FaceRectWidth": float,
    "FaceRectHeight": float,
    "FaceScore": float,
    "landmark_source": str,
    "expression": str,
    "confidence": float,
    **{e.label: float for e in Expression},
    "model": str,
}


def rows(outcome: Outcome) -> list[Row]:
    """One row a face, faces counted from 0; one row without a face for a failed input or a picture without faces.

    Every row has every column; a missing value is None. Rectangles are pixels, scores and probabilities 0 to 1.
    """
    about: Row = dict.fromkeys(COLUMNS) | {"input": outcome.name, "status": outcome.status}
    if outcome.report is None:
        return [about | {"error": outcome.reason}]
    about["model"] = outcome.report.model
    return [about | {"face": i} | _face(face) for i, face in enumerate(outcome.report.faces)] or [about]


def _face(face: FaceReport) -> Row:
    values = face.to_dict()
    x1, y1, x2, y2 = values["box"]
    return {
        "FaceRectX": x1,
        "FaceRectY": y1,
        "FaceRectWidth": round(x2 - x1, 2),
        "FaceRectHeight": round(y2 - y1, 2),
        "FaceScore": values["score"],
        "landmark_source": values["landmark_source"],
        "expression": values["expression"]["top"],
        "confidence": values["expression"]["confidence"],
        **values["expression"]["probabilities"],
    }


def write_csv(outcomes: Sequence[Outcome], path: Path) -> None:
    """A header and one row a face; a missing value is an empty field."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(COLUMNS))
        writer.writeheader()
        writer.writerows(row for outcome in outcomes for row in rows(outcome))


def write_parquet(outcomes: Sequence[Outcome], path: Path) -> None:
    """One row a face, with typed columns; equal reports give equal bytes. Needs the extra `parquet`."""
    arrow, parquet = optional("pyarrow", "parquet"), optional("pyarrow.parquet", "parquet")
    types = {str: arrow.string(), int: arrow.int32(), float: arrow.float64()}
    schema = arrow.schema([(name, types[kind]) for name, kind in COLUMNS.items()], {"mien": mien.__version__})
    table = arrow.Table.from_pylist([row for outcome in outcomes for row in rows(outcome)], schema)
    parquet.write_table(table, path)


def write_json(outcomes: Sequence[Outcome], path: Path) -> None:
    """One object: the version of mien, and `images`, a report each."""
    whole = {"mien": mien.__version__, "images": [outcome.to_dict() for outcome in outcomes]}
    path.write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_json_lines(outcomes: Sequence[Outcome], path: Path) -> None:
    """One report a line."""
    path.write_text("".join(json_line(outcome) + "\n" for outcome in outcomes), encoding="utf-8")


def json_line(outcome: Outcome) -> str:
    """One report as one line of JSON, in ASCII, so that it passes through any pipe."""
    return json.dumps(outcome.to_dict())


WRITERS: dict[str, Callable[[Sequence[Outcome], Path], None]] = {
    ".csv": write_csv,
    ".json": write_json,
    ".jsonl": write_json_lines,
    ".parquet": write_parquet,
}
