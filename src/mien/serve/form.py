"""The pictures in a request: its body, or the files of a form, in memory."""

from dataclasses import dataclass

from fastapi import HTTPException, Request
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from mien.serve.limits import ServerLimits

_FIELDS = 8
_GONE = "the upload was broken off"


@dataclass(frozen=True, eq=False)
class Sent:
    """A file as it was sent."""

    name: str
    data: bytes | bytearray


class _InMemory(MultiPartParser):
    """Pictures are not written to a disk, not even for a moment; how large a request may be is limited elsewhere."""

    spool_max_size = 1 << 62


async def body(request: Request) -> bytearray:
    """The whole body; HTTPException when it is broken off."""
    whole = bytearray()
    try:
        async for chunk in request.stream():
            whole += chunk
    except ClientDisconnect as error:
        raise HTTPException(400, _GONE) from error
    return whole


async def pictures(request: Request, name: str, limits: ServerLimits) -> tuple[list[Sent], bool]:
    """The files of a form, or the body as one of that name, and whether it was a form.

    HTTPException for a form without files, with too many, or that is none.
    """
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        return [Sent(name, await body(request))], False
    parser = _InMemory(request.headers, request.stream(), max_files=limits.files, max_fields=_FIELDS)
    try:
        form: FormData = await parser.parse()
    except ClientDisconnect as error:
        raise HTTPException(400, _GONE) from error
    except MultiPartException as error:
        raise HTTPException(400, error.message) from error
    sent = []
    for _, value in form.multi_items():
        if isinstance(value, UploadFile) and (value.filename or value.size):
            sent.append(Sent(value.filename or "picture", await value.read()))
    await form.close()
    if not sent:
        raise HTTPException(400, "the form has no file; send the picture as a file, or as the body of the request")
    return sent, True
