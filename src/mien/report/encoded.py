"""Rows of tables to the bytes of CSV and Parquet."""

import csv
import io
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, TypeAlias

import mien
from mien.extras import optional
from mien.results.record import Record

# Rows of a Parquet file that are in memory together.
ROWS = 10_000
# Column to type: str, int or float.
Columns: TypeAlias = Mapping[str, type]


def csv_header(columns: Columns) -> bytes:
    """The first line of a CSV."""
    return csv_lines([dict(zip(columns, columns, strict=True))], columns)


def csv_lines(rows: Iterable[Record], columns: Columns) -> bytes:
    """A line of CSV for each row; a missing value is an empty field."""
    text = io.StringIO(newline="")
    csv.DictWriter(text, list(columns)).writerows(rows)
    return text.getvalue().encode("utf-8")


def parquet_schema(columns: Columns, about: Mapping[str, str]) -> Any:
    """The types of the columns, with words for the file's metadata beside the version of mien."""
    arrow = optional("pyarrow", "parquet")
    types = {str: arrow.string(), int: arrow.int32(), float: arrow.float64()}
    return arrow.schema([(name, types[kind]) for name, kind in columns.items()], {"mien": mien.__version__, **about})


def parquet_bytes(rows: Iterable[Record], columns: Columns) -> bytes:
    """Rows as a Parquet file; needs the extra `parquet`."""
    arrow, parquet = optional("pyarrow", "parquet"), optional("pyarrow.parquet", "parquet")
    file, rows = io.BytesIO(), iter(rows)
    schema = parquet_schema(columns, {})
    with parquet.ParquetWriter(file, schema) as writer:
        while some := list(islice(rows, ROWS)):
            writer.write_table(arrow.Table.from_pylist(some, schema))
    return file.getvalue()
