"""/v1/table: answers of /v1/analyze and /v1/live, gathered by a client, to the table that `mien analyze` writes."""

import json
from collections.abc import Iterator
from typing import Literal, get_args

from fastapi import HTTPException, Request, Response
from pydantic import TypeAdapter, ValidationError

import mien
from mien.errors import MissingExtra
from mien.extras import optional
from mien.report.clips import CLIP_COLUMNS, clip_record_rows
from mien.report.encoded import csv_header, csv_lines, parquet_bytes
from mien.report.tables import COLUMNS, record_rows
from mien.results.record import Record
from mien.serve.form import body
from mien.serve.limits import ServerLimits
from mien.serve.models import FrameAnswer, PictureAnswer
from mien.serve.work import Work

TableFormat = Literal["csv", "json", "jsonl", "parquet"]
KINDS: dict[TableFormat, str] = {
    "csv": "text/csv",
    "json": "application/json",
    "jsonl": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}
NO_PARQUET = HTTPException(400, "this server writes no Parquet; it needs: pip install 'mien[parquet]'")
_LINE: TypeAdapter[FrameAnswer | PictureAnswer] = TypeAdapter(FrameAnswer | PictureAnswer)
# Bytes of one record: a picture of several hundred faces.
_LONGEST = 4_000_000


def table_formats() -> list[str]:
    """The formats that this installation writes."""
    try:
        optional("pyarrow.parquet", "parquet")
    except MissingExtra:
        return [each for each in get_args(TableFormat) if each != "parquet"]
    return list(get_args(TableFormat))


class Table:
    """The route."""

    def __init__(self, work: Work, limits: ServerLimits) -> None:
        self._work, self._limits = work, limits

    async def create(self, request: Request, format: TableFormat = "csv") -> Response:
        """POST /v1/table: a record a line."""
        data = await body(request)
        if data.count(b"\n") > self._limits.table_lines:  # even empty lines take many times their bytes
            raise HTTPException(413, f"a table may have {self._limits.table_lines} records")
        return await self._work.run(lambda: (_written(data, format), "table"), request.is_disconnected)


def _written(data: bytearray, format: TableFormat) -> Response:
    if format not in table_formats():
        raise NO_PARQUET
    name = f"faces.{format}"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(_encoded(data, format), headers=headers, media_type=KINDS[format])


def _records(data: bytearray) -> Iterator[Record]:
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        if len(line) > _LONGEST:
            raise HTTPException(422, f"line {number}: a record may have {_LONGEST / 1e6:g} MB")
        try:
            _LINE.validate_json(bytes(line))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise HTTPException(422, f"line {number}: {place}: {first['msg']}; send answers of /v1/analyze") from error
        record: Record = json.loads(line)
        yield record


def _encoded(data: bytearray, format: TableFormat) -> bytes:
    """The table. Records are decoded one by one, for as objects they take many times their bytes."""
    if format == "jsonl":
        return b"".join(json.dumps(record).encode("ascii") + b"\n" for record in _records(data))
    if format == "json":
        return _json(_records(data))
    clip = any("frame" in record for record in _records(data))
    columns, rows_of = (CLIP_COLUMNS, clip_record_rows) if clip else (COLUMNS, record_rows)
    rows = (row for record in _records(data) for row in rows_of(record))
    if format == "csv":
        return csv_header(columns) + csv_lines(rows, columns)
    return parquet_bytes(rows, columns)


def _json(records: Iterator[Record]) -> bytes:
    """As `mien analyze -o faces.json` writes it."""
    empty = json.dumps({"mien": mien.__version__, "images": []}, indent=2).removesuffix("]\n}")
    each = (json.dumps(record, indent=2, ensure_ascii=False).replace("\n", "\n    ") for record in records)
    body = b",\n    ".join(text.encode("utf-8", "replace") for text in each)
    return empty.encode() + (b"\n    " + body + b"\n  " if body else b"") + b"]\n}\n"
