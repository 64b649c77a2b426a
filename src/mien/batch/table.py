"""The tables that mien wrote, read back: a folder of parts as one table, or as one file."""

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mien.batch.plan import MANIFEST, part_count, part_files, read_manifest
from mien.errors import InputError, InputWarning
from mien.extras import optional
from mien.report.clips import CLIP_COLUMNS
from mien.report.encoded import parquet_schema
from mien.report.records import CsvFile, ParquetFile, RecordFile
from mien.report.tables import OPENFACE_COLUMNS
from mien.results.record import Record

# Rows that are in memory together when parts become one file.
_ROWS = 4096


def read_table(path: str | os.PathLike[str]) -> Any:
    """Return a table that mien wrote as a pyarrow.Table, in the order of the inputs; `.to_pandas()` converts it.

    path: a folder of `mien analyze -o FOLDER`, or a .parquet or .csv file. Of an unfinished folder the finished parts
    are read, with an InputWarning that states their number.
    Needs the extra `parquet`. Raise InputError for any other file.
    """
    place = Path(path)
    parquet = optional("pyarrow.parquet", "parquet")
    if (place / MANIFEST).exists():
        arrow = optional("pyarrow", "parquet")
        files, count = _finished(place), part_count(place)
        if missing := count - len(files):
            warnings.warn(InputWarning(f"{place}: {missing} of {count} parts are missing"), stacklevel=2)
        return arrow.concat_tables([parquet.read_table(file) for file in files])
    if place.suffix.lower() not in (".parquet", ".csv"):
        read_manifest(place)  # says why not
    try:
        return parquet.read_table(place) if place.suffix.lower() == ".parquet" else _csv(place)
    except (OSError, ValueError) as error:
        raise InputError(f"{place}: cannot be read as {place.suffix.lower()} ({error})") from error


def merge(folder: str | os.PathLike[str], path: str | os.PathLike[str], *, partial: bool = False) -> Path:
    """Make one file of a folder's parts, .parquet or .csv, in memory that does not grow with it; return its path.

    partial: also of an unfinished folder.   Raise InputError for one otherwise, for another ending, and for a folder
    that no study is in.
    """
    place, target = Path(folder), Path(path)
    read_manifest(place)
    files, count = part_files(place), part_count(place)
    if len(files) < count and not partial:
        raise InputError(
            f"{place}: only {len(files)} of {count} parts are finished; the command that began it goes on, or ask for "
            "the finished parts alone (--partial)"
        )
    make = {".csv": CsvFile, ".parquet": ParquetFile}.get(target.suffix.lower())
    if make is None:
        raise InputError(f"{target}: the ending must be .parquet or .csv")
    schema = optional("pyarrow.parquet", "parquet").read_schema(_finished(place)[0])
    known = OPENFACE_COLUMNS | CLIP_COLUMNS
    file: RecordFile = make(target, {name: known[name] for name in schema.names})
    if isinstance(file, ParquetFile):
        file.about |= {k.decode(): v.decode() for k, v in (schema.metadata or {}).items() if not k.startswith(b"ARROW")}
    with file:
        for part in files:
            for rows in _batches(part):
                file.append(rows)
    return target


def _finished(folder: Path) -> list[Path]:
    files = part_files(folder)
    if not files:
        raise InputError(f"{folder}: no part is finished; the command that began it goes on")
    return files


def _batches(part: Path) -> Iterator[list[Record]]:
    with optional("pyarrow.parquet", "parquet").ParquetFile(part) as file:
        for batch in file.iter_batches(_ROWS):
            yield batch.to_pylist()


def _csv(path: Path) -> Any:
    csv, types = optional("pyarrow.csv", "parquet"), parquet_schema(OPENFACE_COLUMNS | CLIP_COLUMNS, {})
    options = csv.ConvertOptions(column_types=types, null_values=[""], strings_can_be_null=True)
    return csv.read_csv(path, convert_options=options)
