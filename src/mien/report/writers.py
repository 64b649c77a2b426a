"""Tables and reports, written as they come: a run that is killed leaves whole rows.

    with open_writer("faces.csv") as writer:
        for outcome in analyze_many("study/"):
            writer.write(outcome)

How they are kept meanwhile: mien.report.records.
"""

import json
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import mien
from mien.errors import InputError
from mien.facs.vocabulary import Attribute
from mien.report.records import CsvFile, JsonFile, JsonLinesFile, ParquetFile, RecordFile
from mien.report.tables import LAYOUTS, ColumnNames, attributes_of
from mien.results.outcome import Outcome
from mien.results.record import Record


class Writer:
    """Writes outcomes to one file, each as it comes; made by `open_writer`, a context manager as a RecordFile is."""

    def __init__(self, file: RecordFile, records: Callable[[Outcome], Iterable[Record]]) -> None:
        self.file, self._records = file, records

    def write(self, outcome: Outcome) -> None:
        """Add the rows, or the report, of one outcome; the prior of its report goes into the metadata of Parquet."""
        if isinstance(self.file, ParquetFile) and outcome.report is not None and outcome.report.prior:
            self.file.about["prior"] = outcome.report.prior
        self.file.append(self._records(outcome))

    def close(self) -> Path:
        """Put the finished file in its place, and return that."""
        return self.file.close()

    def abandon(self) -> Path | None:
        """Leave the file as it was; return the part, which holds what was written so far; None if that is nothing."""
        return self.file.abandon()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.file.__exit__(kind, error, at)


# The endings of files that hold tables or reports.
ENDINGS = (".csv", ".json", ".jsonl", ".parquet")


def open_writer(
    path: str | os.PathLike[str],
    columns: ColumnNames = "mien",
    *,
    asked: Collection[Attribute] = (),
    safe_csv: bool = False,
) -> Writer:
    """Open a file for outcomes; its ending decides the format: .csv, .parquet (extra `parquet`), .json or .jsonl.

    columns: columns of a table: mien's own, named as in py-feat, or OpenFace's. JSON holds whole reports.
    asked: attributes that a scan asks about; they add columns for the answers.
    safe_csv: in .csv, put an apostrophe before text that begins with = + - @: spreadsheets run it as a formula.
    Raise InputError for another ending, or for OpenFace's columns in JSON.
    """
    ending = Path(path).suffix.lower()
    if ending not in ENDINGS:
        raise InputError(f"{path}: the ending must be one of {' '.join(ENDINGS)}")
    if ending in (".json", ".jsonl"):
        if columns != "mien":
            raise InputError(f"{columns} columns are for .csv and .parquet, not {ending}")
        file = JsonLinesFile(path) if ending == ".jsonl" else JsonFile(path, {"mien": mien.__version__})
        return Writer(file, lambda outcome: [outcome.to_dict()])
    layout = LAYOUTS[columns]
    table = layout.columns(asked)
    return Writer(CsvFile(path, table, safe=safe_csv) if ending == ".csv" else ParquetFile(path, table), layout.rows)


def write_table(
    outcomes: Iterable[Outcome],
    path: str | os.PathLike[str],
    columns: ColumnNames = "mien",
    *,
    asked: Collection[Attribute] | None = None,
) -> Path:
    """Write outcomes to one file, as they come, and return its path; see open_writer.

    asked: left out, what the outcomes were asked if they are a list, else nothing.
    """
    if asked is None:
        asked = attributes_of(outcomes) if isinstance(outcomes, Sequence) else ()
    with open_writer(path, columns, asked=asked) as writer:
        for outcome in outcomes:
            writer.write(outcome)
    return Path(path)


def json_line(outcome: Outcome) -> str:
    """One report as one line of JSON, in ASCII, so that it passes through any pipe."""
    return json.dumps(outcome.to_dict())
