"""Files of records that are written as they come: a run that is killed leaves whole records.

While a run goes on, its records stand beside the file that it will be, in `faces.part.csv`: whole records only, to be
read at any time. When all is written, that file takes the place of `faces.csv`. A run that fails or is killed leaves
an earlier `faces.csv` as it was, and the part. Parquet can be read only when it is finished, so that its records wait
as JSON lines in `faces.parquet.part.jsonl`.

A record is a row (.csv, .parquet) or a report as plain values (.json, .jsonl).
"""

import csv
import io
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from itertools import count, islice, takewhile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mien.errors import InputError
from mien.extras import optional
from mien.files import put_in_place, replacing, resolved
from mien.report.encoded import ROWS, Columns, csv_header, csv_lines, parquet_schema
from mien.results.record import Record

_BLOCK = 1 << 16
# What a formula begins with in a spreadsheet; a tab or a line before it is skipped there.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


class RecordFile(ABC):
    """A file of records that are written one after the other; use it as a context manager.

    path: the file to be.   part: the file beside it that holds the records until all are written.
    resume: go on with the part that a killed run left (`records` yields what is in it); without one, begin anew.
    At the end of the block the part takes the place of the file; after an exception it stays, and the file with it.
    Raise OSError when the folder cannot be written to or the disk is full, and InputError for a part to be resumed that
    was written with other columns or settings.
    """

    def __init__(self, path: str | os.PathLike[str], head: bytes = b"", *, resume: bool = False) -> None:
        self.path = Path(path)
        self._head, self._end, self.empty = head, 0, True
        there = self._parts()
        self.resumed = resume and bool(there)
        if self.resumed:
            self.part = there[-1]
            self._stream = self.part.open("r+b", buffering=0)
            if self._stream.read(len(head)) != head:
                self._stream.close()
                raise InputError(f"{self.part}: has other columns or settings, so that this run cannot go on with it")
            self._end = self._end_of_records()
            self._stream.truncate(self._end)
            self.empty = self._end == len(head)
            self._put(b"", self._tail(self.empty))
        else:
            self.part, self._stream = self._opened(len(there) + 1)
            self._put(head, self._tail(empty=True))

    def append(self, records: Iterable[Record]) -> None:
        """Add records in one piece: a killed run leaves all of them or none."""
        data = self._encode(records)
        if data:
            self._put(data, self._tail(empty=False))
            self.empty = False

    @abstractmethod
    def records(self) -> Iterator[Record]:
        """Yield the records that are in the part so far."""

    def close(self) -> Path:
        """Put the finished file in its place, and return that."""
        self._stream.close()
        return put_in_place(self.part, self.path)

    def abandon(self) -> Path | None:
        """Leave the file as it was; return the part, which holds what was written so far; None if that is nothing."""
        self._stream.close()
        if self.empty:
            self.part.unlink(missing_ok=True)
        return None if self.empty else self.part

    def discard(self) -> None:
        """Stop, and remove the part."""
        self._stream.close()
        self.part.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()

    @abstractmethod
    def _encode(self, records: Iterable[Record]) -> bytes:
        """What the records add to the part."""

    def _tail(self, empty: bool) -> bytes:
        """What comes behind the last record, and makes the part whole.   empty: there is no record."""
        return b""

    def _part_name(self, number: str) -> str:
        place = resolved(self.path)
        return f"{place.stem}.part{number}{place.suffix}"

    def _place(self, number: int) -> Path:
        return resolved(self.path).with_name(self._part_name("" if number == 1 else f"-{number}"))

    def _parts(self) -> list[Path]:
        """The parts of this file that are there, in the order of their numbers."""
        return list(takewhile(os.path.lexists, map(self._place, count(1))))

    def _opened(self, number: int) -> tuple[Path, io.FileIO]:
        """A new part, whose number is this or the next that is free: another run may write the same file."""
        for place in map(self._place, count(number)):
            try:
                return place, io.FileIO(place, "x+")
            except FileExistsError:
                continue
        raise AssertionError("there is no end of numbers")

    def _put(self, data: bytes, tail: bytes) -> None:
        """Write behind the last whole record; when that fails, take back what was written of it."""
        self._stream.seek(self._end)
        rest = memoryview(data + tail)
        try:
            while rest:
                rest = rest[self._stream.write(rest) :]
        except OSError:
            self._stream.truncate(self._end)
            self._stream.seek(self._end)
            self._stream.write(self._tail(self.empty))
            raise
        self._end += len(data)

    def _end_of_records(self) -> int:
        """Where the last whole record ends: each ends with a line."""
        end = self._stream.seek(0, os.SEEK_END)
        while end > len(self._head):
            start = max(len(self._head), end - _BLOCK)
            self._stream.seek(start)
            newline = self._stream.read(end - start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            end = start
        return len(self._head)


class CsvFile(RecordFile):
    """Rows as CSV: a header, and a line a row; a missing value is an empty field.

    A column that a row lacks is a missing value; InputError for a row with a column that the file lacks.
    safe: put an apostrophe before text that begins with = + - @, which a spreadsheet would run as a formula.
    """

    def __init__(
        self, path: str | os.PathLike[str], columns: Columns, *, safe: bool = False, resume: bool = False
    ) -> None:
        self._columns, self._safe = columns, safe
        super().__init__(path, csv_header(columns), resume=resume)

    def _encode(self, records: Iterable[Record]) -> bytes:
        rows = _checked(records, self._columns)
        return csv_lines(map(_harmless, rows) if self._safe else rows, self._columns)

    def records(self) -> Iterator[Record]:
        """Yield the rows that are in the part so far, each value of its column's type; an empty field is None."""
        with self.part.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                yield {name: self._value(row[name], kind) for name, kind in self._columns.items()}

    def _value(self, text: str, kind: type) -> Any:
        if self._safe and kind is str and text.startswith(tuple(f"'{sign}" for sign in _FORMULA)):
            text = text[1:]
        return None if text == "" else kind(text)


class JsonLinesFile(RecordFile):
    """One record a line of JSON, in ASCII, so that it passes through any pipe."""

    def __init__(self, path: str | os.PathLike[str], *, resume: bool = False) -> None:
        super().__init__(path, resume=resume)

    def _encode(self, records: Iterable[Record]) -> bytes:
        return "".join(f"{json.dumps(record)}\n" for record in records).encode("ascii")

    def records(self) -> Iterator[Record]:
        """Yield the records that are in the part so far."""
        with self.part.open(encoding="ascii") as file:
            yield from map(json.loads, file)


class JsonFile(RecordFile):
    """One JSON object: `about` all records, then under `key` a list of them. The part is whole JSON at any time."""

    def __init__(
        self, path: str | os.PathLike[str], about: Mapping[str, Any], key: str = "images", *, resume: bool = False
    ) -> None:
        self._key = key
        empty = json.dumps({**about, key: []}, indent=2, ensure_ascii=False)
        super().__init__(path, empty.removesuffix("]\n}").encode("utf-8"), resume=resume)

    def _encode(self, records: Iterable[Record]) -> bytes:
        each = [json.dumps(record, indent=2, ensure_ascii=False).replace("\n", "\n    ") for record in records]
        between = "\n    " if self.empty else ",\n    "
        return (between + ",\n    ".join(each)).encode("utf-8") if each else b""

    def _tail(self, empty: bool) -> bytes:
        return b"]\n}\n" if empty else b"\n  ]\n}\n"

    def _end_of_records(self) -> int:
        text = self.part.read_bytes()
        try:
            records = json.loads(text)[self._key]
        except ValueError as error:
            raise InputError(f"{self.part}: is no whole JSON, so that this run cannot go on with it") from error
        return len(text) - len(self._tail(empty=not records))

    def records(self) -> Iterator[Record]:
        """Yield the records that are in the part so far."""
        yield from json.loads(self.part.read_text(encoding="utf-8"))[self._key]


class ParquetFile(JsonLinesFile):
    """Rows with typed columns. Equal rows give equal bytes. Needs the extra `parquet`.

    The part holds JSON lines, for Parquet cannot be read before it is finished; what a run leaves that is stopped, and
    not killed, is Parquet too.   about: words for the file's metadata, beside the version of mien.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        columns: Columns,
        about: Mapping[str, str] | None = None,
        *,
        resume: bool = False,
    ) -> None:
        self._arrow, self._parquet = optional("pyarrow", "parquet"), optional("pyarrow.parquet", "parquet")
        self._columns, self.about = columns, dict(about or {})
        self.path = Path(path)
        if resume and not self._parts():
            self._take_back()
        super().__init__(path, resume=resume)

    def _encode(self, records: Iterable[Record]) -> bytes:
        return super()._encode(_checked(records, self._columns))

    def _part_name(self, number: str) -> str:
        return f"{self.path.name}.part{number}.jsonl"

    def close(self) -> Path:
        """Write the finished file in its place, and return that."""
        self._stream.close()
        return self._converted(self.path)

    def abandon(self) -> Path | None:
        """As of any file of records; the part that is left is Parquet."""
        part = super().abandon()
        return None if part is None else self._converted(free_part(self.path))

    def _take_back(self) -> None:
        """Turn the Parquet file that a stopped run left, if one did, into lines of JSON, to go on with."""
        left = list(takewhile(os.path.lexists, _part_places(self.path)))
        if not left:
            return
        with self._parquet.ParquetFile(left[-1]) as file, replacing(self._place(1)) as beside:
            if file.schema_arrow.names != list(self._columns):
                raise InputError(f"{left[-1]}: has other columns, so that this run cannot go on with it")
            with beside.open("wb") as lines:
                for batch in file.iter_batches(ROWS):
                    lines.write(self._encode(batch.to_pylist()))
        left[-1].unlink()

    def _converted(self, target: Path) -> Path:
        """Put the records into a Parquet file in this place, ROWS at a time."""
        schema = parquet_schema(self._columns, self.about)
        records = self.records()
        with replacing(target) as beside, self._parquet.ParquetWriter(beside, schema) as file:
            rows = list(islice(records, ROWS))
            while True:
                file.write_table(self._arrow.Table.from_pylist(rows, schema))
                rows = list(islice(records, ROWS))
                if not rows:
                    break
        self.part.unlink()
        return target


def _harmless(row: Record) -> Record:
    """A row whose text no spreadsheet takes for a formula."""
    return {k: f"'{v}" if isinstance(v, str) and v.startswith(_FORMULA) else v for k, v in row.items()}


def free_part(path: Path) -> Path:
    """Return where to leave what there is of a file: faces.part.csv, or the next number where that is taken."""
    return next(place for place in _part_places(path) if not os.path.lexists(place))


def _part_places(path: Path) -> Iterator[Path]:
    return (path.with_name(f"{path.stem}.part{'' if n == 1 else f'-{n}'}{path.suffix}") for n in count(1))


def _checked(records: Iterable[Record], columns: Columns) -> Iterator[Record]:
    """Yield the records; raise InputError for one with another column."""
    for record in records:
        other = [name for name in record if name not in columns]
        if other:
            raise InputError(
                f"the table has no column {', '.join(other)}; open it with columns for all that is written"
            )
        yield record
