"""Load the tables that data sets come in, CSV and Parquet, and name what is wrong with one."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mien.errors import InputError
from mien.extras import optional

SPLITS = ("train", "valid", "test")


def read_parquet(path: Path, columns: Sequence[str], split: str | None) -> Any:
    """Return a pyarrow table with `image`, these columns and `dup_other_split`, false where the file has none.

    Raise InputError if the file is missing, is not Parquet, lacks a column, or is named after another split.
    """
    # A Parquet file is one split, so there is nothing to choose; but never pass off one split as another.
    if split is not None and path.stem in {f"ferplus_{other}" for other in SPLITS if other != split}:
        raise InputError(f"{path}: the file's name says another split than {split!r}; leave one of them out")
    arrow, parquet = optional("pyarrow", "parquet"), optional("pyarrow.parquet", "parquet")
    if not path.is_file():
        raise InputError(f"{path}: there is no such file", "missing")
    try:
        names = parquet.read_schema(path).names
    except (OSError, ValueError) as error:  # what pyarrow raises is one or the other
        raise InputError(f"{path}: not a Parquet file that can be read ({error})", "unreadable") from error
    missing = [c for c in ("image", *columns) if c not in names]
    if missing:
        raise InputError(f"{path}: lacks the column {missing[0]!r}; it has {', '.join(names)}")
    if "dup_other_split" in names:
        return parquet.read_table(path, columns=["image", *columns, "dup_other_split"])
    table = parquet.read_table(path, columns=["image", *columns])
    return table.append_column("dup_other_split", arrow.array([False] * len(table)))


@contextmanager
def open_csv(path: Path, columns: Sequence[str]) -> Iterator["csv.DictReader[str]"]:
    """Give the rows of a CSV file as dictionaries; raise InputError if it is missing or lacks a column."""
    if not path.is_file():
        raise InputError(f"{path}: there is no such file", "missing")
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        reader = csv.DictReader(file)
        missing = [c for c in columns if c not in (reader.fieldnames or ())]
        if missing:
            raise InputError(f"{path}: lacks the column {missing[0]!r}; it has {reader.fieldnames}")
        yield reader
