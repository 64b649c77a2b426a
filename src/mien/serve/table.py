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

    def __init__(self, work: Work) -> None:
        self._work = work

    async def create(self, request: Request, format: TableFormat = "csv") -> Response:
        """POST /v1/table: a record a line."""
        data = await body(request)
        return await self._work.run(lambda: (_written(data, format), "table"), request.is_disconnected)


def _written(data: bytearray, format: TableFormat) -> Response:
    if format not in table_formats():
        raise NO_PARQUET
    records = list(_records(data))
    name = f"faces.{format}"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(_encoded(records, format), headers=headers, media_type=KINDS[format])


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


def _encoded(records: list[Record], format: TableFormat) -> bytes:
    if format == "jsonl":
        return "".join(f"{json.dumps(record)}\n" for record in records).encode("ascii")
    if format == "json":
        text = json.dumps({"mien": mien.__version__, "images": records}, indent=2, ensure_ascii=False)
        return f"{text}\n".encode("utf-8", "replace")
    clip = any("frame" in record for record in records)
    columns, rows_of = (CLIP_COLUMNS, clip_record_rows) if clip else (COLUMNS, record_rows)
    rows = [row for record in records for row in rows_of(record)]
    if format == "csv":
        return csv_header(columns) + csv_lines(rows, columns)
    return parquet_bytes(rows, columns)
