"""Outcomes to the files that a command is asked for: tables, JSON, a page, or an annotated picture."""

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from PIL import Image

from mien.core.batch import Picture
from mien.errors import InputError
from mien.extras import optional
from mien.facs.vocabulary import Attribute
from mien.files import replacing
from mien.report import records, writers
from mien.report.draw import draw
from mien.report.html import PageWriter
from mien.report.tables import ColumnNames
from mien.results.outcome import Outcome

PICTURE_ENDINGS = (".png", ".jpg", ".jpeg")
ENDINGS = (*writers.ENDINGS, ".html", *PICTURE_ENDINGS)
# The endings of files that have columns.
TABLE_ENDINGS = (".csv", ".parquet")


def check_outputs(outputs: Iterable[Path], inputs: Sequence[Picture], endings: Sequence[str] = ENDINGS) -> None:
    """Reject files that could not be written, before hours of reading: InputError says why.

    endings: those that a command can write.
    """
    read_from = {os.path.realpath(path) for path in inputs if isinstance(path, str | os.PathLike)}
    for output in outputs:
        ending = output.suffix.lower()
        if ending not in endings:
            raise InputError(f"{output}: the ending must be one of {' '.join(endings)}")
        if ending in PICTURE_ENDINGS and len(inputs) > 1:
            raise InputError(f"{output}: a picture shows one input, but there are {len(inputs)}; use .html for many")
        if not output.parent.is_dir():
            raise InputError(f"{output}: the folder {output.parent} does not exist")
        if not os.access(output.parent, os.W_OK):
            raise InputError(f"{output}: the folder {output.parent} cannot be written to")
        if os.path.realpath(output) in read_from:
            raise InputError(f"{output}: is also an input and would be overwritten")
        if ending == ".parquet":
            optional("pyarrow", "parquet")


def check_columns(columns: ColumnNames, outputs: Iterable[Path]) -> None:
    """Reject columns that nothing would show, and JSON beside them, which is the whole report always: InputError."""
    if columns == "mien":
        return
    endings = [output.suffix.lower() for output in outputs]
    for ending in endings:
        if ending in writers.ENDINGS and ending not in TABLE_ENDINGS:
            raise InputError(f"{columns} columns are for {' and '.join(TABLE_ENDINGS)}, not {ending}")
    if not any(ending in TABLE_ENDINGS for ending in endings):
        raise InputError(f"{columns} columns need a table to be in: -o with {' or '.join(TABLE_ENDINGS)}")


def shows_pictures(outputs: Iterable[Path]) -> bool:
    """Whether one of the files shows the pictures themselves."""
    return any(output.suffix.lower() not in writers.ENDINGS for output in outputs)


class Output(Protocol):
    """A file that takes outcomes as they come; mien.report.writers.Writer is one."""

    def write(self, outcome: Outcome) -> None:
        """Take one outcome."""

    def close(self) -> Path | None:
        """Put the finished file in its place and return that; None when there is nothing to show."""

    def abandon(self) -> Path | None:
        """Leave an earlier file as it was, and return the one beside it that holds what there is, if anything does."""


def open_output(
    path: Path,
    columns: ColumnNames = "mien",
    *,
    asked: Collection[Attribute] = (),
    safe_csv: bool = False,
    command: str = "",
) -> Output:
    """Open a file for outcomes; its ending says how: as mien.open_writer, or a page (.html) or an annotated picture.

    command: what made a page, in words.
    """
    ending = path.suffix.lower()
    if ending == ".html":
        return _Page(path, command)
    if ending in PICTURE_ENDINGS:
        return _Picture(path)
    return writers.open_writer(path, columns, asked=asked, safe_csv=safe_csv)


class _Page:
    """A page of all outcomes. They are also kept as JSON lines beside until it is written, lest a kill cost them."""

    def __init__(self, path: Path, command: str) -> None:
        self._path, self._empty = path, True
        self._writer = PageWriter(command)
        self._beside = records.JsonLinesFile(path.with_name(f"{path.name}.jsonl"))

    def write(self, outcome: Outcome) -> None:
        self._writer.add(outcome)
        self._empty = False
        self._beside.append([outcome.to_dict()])

    def close(self) -> Path | None:
        return self._written(self._path)

    def abandon(self) -> Path | None:
        if self._empty:
            return self._beside.abandon()
        return self._written(records.free_part(self._path))

    def _written(self, place: Path) -> Path:
        with self._writer, replacing(place) as beside, beside.open("wb") as file:
            self._writer.write(file)
        self._beside.discard()
        return place


class _Picture:
    """One picture with its faces marked; nothing when it could not be read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._outcome: Outcome | None = None

    def write(self, outcome: Outcome) -> None:
        self._outcome = outcome

    def close(self) -> Path | None:
        if self._outcome is None or self._outcome.image is None or self._outcome.report is None:
            return None
        with replacing(self._path) as beside:
            Image.fromarray(draw(self._outcome.image, self._outcome.report)).save(beside, quality=92)
        return self._path

    def abandon(self) -> Path | None:
        return None
