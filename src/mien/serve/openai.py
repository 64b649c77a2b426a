"""mien's own models behind OpenAI's chat completions, so that FaceScan's client, and anybody's, can ask them.

Of the messages only the last that has pictures counts. Without `response_format` the answer is a few sentences, with
`json_object` the list of people that FaceScan asks for, with `json_schema` whatever of the schema can be answered.
"""

import base64
import json
import time
import uuid
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from mien.errors import InputError, MienError
from mien.facs.vocabulary import Attribute
from mien.methods.facescan.prompts import PROMPTS, schema
from mien.providers.base import Picture
from mien.providers.embedded import Embedded
from mien.serve.form import body
from mien.serve.limits import ServerLimits
from mien.serve.work import Work

MODEL = "mien"
PEOPLE = schema(PROMPTS["people-1"], {Attribute.EXPRESSION: Attribute.EXPRESSION.labels})


class Chat:
    """The routes."""

    def __init__(self, work: Work, limits: ServerLimits) -> None:
        self._embedded, self._work, self._limits = Embedded(work.pipelines.first), work, limits
        self._started = int(time.time())

    async def models(self) -> Response:
        """GET /v1/models."""
        model = {"id": MODEL, "object": "model", "created": self._started, "owned_by": "mien"}
        return JSONResponse({"object": "list", "data": [model]})

    async def completions(self, request: Request) -> Response:
        """POST /v1/chat/completions."""
        try:
            data = await body(request)
            return await self._work.run(partial(self._counted, data), request.is_disconnected)
        except HTTPException as refusal:
            return _error(refusal.status_code, str(refusal.detail), headers=refusal.headers)

    def _counted(self, data: bytearray) -> tuple[Response, str]:
        response = self._answer(data)
        return response, "chat" if response.status_code == 200 else "chat_refused"

    def _answer(self, data: bytearray) -> Response:
        try:
            asked = self._parsed(data)
        except (ValueError, RecursionError):
            return _error(400, "the body is not JSON")
        if not isinstance(asked, Mapping) or not isinstance(asked.get("messages"), list):
            return _error(400, "the body should be an object with a list of messages", param="messages")
        if asked.get("model") != MODEL:
            name = str(asked.get("model"))[:80]
            return _error(404, f"there is no model {name!r}; the one here is {MODEL!r}", "model_not_found")
        try:
            text = self._text(asked)
        except MienError as error:
            return _error(400, str(error))
        head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": MODEL}
        if asked.get("stream"):
            return StreamingResponse(_events(head, text), media_type="text/event-stream")
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        return JSONResponse(head | {"object": "chat.completion", "choices": [choice]})

    def _parsed(self, data: bytearray) -> Any:
        # Decoding JSON stops every thread until it is done, and small values take fifty times their length in memory.
        # Pictures are one long string each, without any of these signs.
        if sum(map(data.count, (b",", b"[", b"{"))) > self._limits.json_nodes:
            raise HTTPException(413, f"a request may have {self._limits.json_nodes} values of JSON")
        return json.loads(data)

    def _text(self, asked: Mapping[str, Any]) -> str:
        urls = _urls(asked["messages"])
        wanted = _wanted(asked.get("response_format"))
        if not urls:
            return self._embedded.complete((), (), wanted).text
        if len(urls) == 1:
            return self._of(urls[0], wanted)
        if wanted is not None and wanted is not PEOPLE:
            others = " and ".join(f"picture {i}" for i in range(2, len(urls) + 1))
            raise InputError(
                f"a JSON schema is filled for one picture, but the message has {len(urls)}: ask about {others} in a "
                "request of its own"
            )
        return self._of_each(urls, wanted)

    def _of(self, url: str, wanted: Mapping[str, Any] | None) -> str:
        with self._work.decoders.open(_decoded(url)) as pixels:
            return self._embedded.complete((), [Picture(pixels)], wanted).text

    def _of_each(self, urls: list[str], wanted: Mapping[str, Any] | None) -> str:
        """Answer each picture of a message, or state why not; raise InputError if no picture has an answer."""
        texts: list[tuple[int, str]] = []
        refused: dict[int, str] = {}
        for number, url in enumerate(urls, start=1):
            try:
                texts.append((number, self._of(url, wanted)))
            except MienError as error:
                refused[number] = str(error)
        if not texts:
            raise InputError("; ".join(f"picture {number}: {why}" for number, why in refused.items()))
        if wanted is None:
            answers = dict(texts) | {number: f"could not be read: {why}" for number, why in refused.items()}
            return "\n\n".join(f"Picture {number}: {answers[number]}" for number in sorted(answers))
        objects = {number: json.loads(text) for number, text in texts}
        objects |= {number: {"error": why} for number, why in refused.items()}
        return json.dumps({"pictures": [{"picture": number, **objects[number]} for number in sorted(objects)]})


def _urls(messages: list[Any]) -> list[str]:
    """The addresses of the pictures in the last message that has any, in order."""
    for message in reversed(messages):
        content = message.get("content") if isinstance(message, Mapping) else None
        urls = []
        for part in content if isinstance(content, list) else ():
            given = part.get("image_url") if isinstance(part, Mapping) else None
            url = given.get("url") if isinstance(given, Mapping) else given
            if isinstance(url, str):
                urls.append(url)
        if urls:
            return urls
    return []


def _decoded(url: str) -> bytes:
    head, comma, data = url.partition(",")
    if not (head.startswith("data:") and head.endswith(";base64") and comma):
        raise InputError("this server fetches nothing: send the picture itself, as data:image/jpeg;base64,...")
    try:
        return base64.b64decode(data, validate=True)
    except ValueError as error:
        raise InputError(f"the picture's base64 is damaged: {error}") from error


def _wanted(response_format: Any) -> Mapping[str, Any] | None:
    """The JSON schema of the answer; None for sentences."""
    kind = response_format.get("type") if isinstance(response_format, Mapping) else None
    if kind in (None, "text"):
        return None
    if kind == "json_object":
        return PEOPLE
    given = response_format.get("json_schema")
    wanted = given.get("schema") if isinstance(given, Mapping) else None
    if kind != "json_schema" or not isinstance(wanted, Mapping):
        raise InputError("response_format should be text, json_object, or json_schema with json_schema.schema")
    return wanted


def _events(head: Mapping[str, Any], text: str) -> Iterator[str]:
    """The answer as server-sent events: all of it at once, for it is not made word by word."""
    deltas: list[tuple[dict[str, str], str | None]] = [({"role": "assistant", "content": text}, None), ({}, "stop")]
    for delta, finish in deltas:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        yield f"data: {json.dumps({**head, 'object': 'chat.completion.chunk', 'choices': [choice]})}\n\n"
    yield "data: [DONE]\n\n"


def _error(
    status: int,
    message: str,
    code: str | None = None,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    kind = "invalid_request_error" if status < 500 else "server_error"
    error = {"message": message, "type": kind, "param": param, "code": code}
    return JSONResponse({"error": error}, status, headers)
