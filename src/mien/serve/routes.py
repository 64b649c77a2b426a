"""The routes that read pictures: to JSON, to a page, and to a chain of thought as it is written."""

import asyncio
import io
import json
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from fastapi import HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse, StreamingResponse

from mien.errors import MienError
from mien.methods.expllm.small.generate import MODES, Explainer
from mien.methods.expllm.small.generate import explain as explain_face
from mien.methods.expllm.tested import tested
from mien.report.html import PageWriter
from mien.report.writers import json_line
from mien.results.explanation import Mode
from mien.results.outcome import Outcome
from mien.serve.form import Sent, pictures
from mien.serve.limits import ServerLimits
from mien.serve.policy import REPORT
from mien.serve.work import Answer, Work

_TITLE = "mien serve"
Name = Annotated[str, Query(description="of the picture in the body", max_length=255)]
ModelName = Annotated[str | None, Query(description="who reads the faces; /v1/about lists the models", max_length=80)]
ModeName = Annotated[Mode, Query(description="what is written first: the reasons, or the expression")]


class Routes:
    """A body is one picture; a form holds one, and on the routes of /v1 any number."""

    def __init__(self, work: Work, limits: ServerLimits) -> None:
        self._work, self._limits = work, limits
        self._explainer: Explainer | None = None
        self._opening = threading.Lock()

    async def analyze(self, request: Request, name: Name = "picture", model: ModelName = None) -> Response:
        """POST /analyze."""
        reader = self._work.pipelines.check(model)
        return await self._run(partial(self._json, await self._one(request, name), reader), request)

    async def report(self, request: Request, name: Name = "picture", model: ModelName = None) -> Response:
        """POST /report."""
        reader = self._work.pipelines.check(model)
        return await self._run(partial(self._page, await self._one(request, name), reader), request)

    async def analyze_many(self, request: Request, name: Name = "picture", model: ModelName = None) -> Response:
        """POST /v1/analyze: the object of a line of `mien analyze`; of a form a list of them."""
        reader = self._work.pipelines.check(model)
        sent, form = await pictures(request, name, self._limits)
        if not form:
            return await self._run(partial(self._json, sent[0], reader), request)
        async with self._work.gathering():
            lines = [await self._run(partial(self._line, each, reader), request) for each in sent]
        return Response(f'{{"results": [{", ".join(lines)}]}}', media_type="application/json")

    async def report_many(self, request: Request, name: Name = "picture", model: ModelName = None) -> Response:
        """POST /v1/report: one page, of all pictures of a form."""
        reader = self._work.pipelines.check(model)
        sent, form = await pictures(request, name, self._limits)
        if not form or len(sent) == 1:
            return await self._run(partial(self._page, sent[0], reader), request)
        async with self._work.gathering():
            with PageWriter(_TITLE, on_disk=False) as writer:
                for each in sent:
                    await self._run(partial(self._added, each, reader, writer), request)
                return await self._run(lambda: (_html(writer), "page"), request)

    async def explain(
        self, request: Request, name: Name = "picture", mode: ModeName = MODES[0], model: ModelName = None
    ) -> Response:
        """POST /v1/explain: server-sent events, the text as it is written; at the end the picture's object."""
        reader = self._work.pipelines.check(model)
        sent = await self._one(request, name)
        events = _Events()
        task = asyncio.create_task(self._run(partial(self._explain, sent, mode, reader, events.put), request))
        task.add_done_callback(events.end)
        first = await events.first()
        if first is None:  # nothing is written of a picture that could not be read, or not at all
            outcome = await task
            return Response(json_line(outcome), 400, media_type="application/json")
        return StreamingResponse(events.lines(first, task), media_type="text/event-stream")

    async def _run(self, item: Callable[[], tuple[Answer, str]], request: Request) -> Answer:
        return await self._work.run(item, request.is_disconnected)

    async def _one(self, request: Request, name: str) -> Sent:
        sent, _ = await pictures(request, name, self._limits)
        if len(sent) > 1:
            raise HTTPException(400, f"this route reads one picture, but the form has {len(sent)} files")
        return sent[0]

    def _json(self, sent: Sent, reader: str) -> tuple[Response, str]:
        outcome = self._work.read(sent.name, sent.data, reader)
        status = 200 if outcome.report else 400
        return Response(json_line(outcome), status, media_type="application/json"), outcome.status

    def _line(self, sent: Sent, reader: str) -> tuple[str, str]:
        outcome = self._work.read(sent.name, sent.data, reader)
        return json_line(outcome), outcome.status

    def _added(self, sent: Sent, reader: str, writer: PageWriter) -> tuple[Outcome, str]:
        outcome = self._work.read(sent.name, sent.data, reader, show=True)
        writer.add(outcome)
        return replace(outcome, image=None), outcome.status

    def _page(self, sent: Sent, reader: str) -> tuple[Response, str]:
        with PageWriter(_TITLE, on_disk=False) as writer:
            outcome, status = self._added(sent, reader, writer)
            return _html(writer, 200 if outcome.report else 400), status

    def _explain(self, sent: Sent, mode: Mode, reader: str, tell: Callable[[str, Any], None]) -> tuple[Outcome, str]:
        try:
            with self._work.decoders.open(sent.data) as image:
                pipeline = self._work.pipelines(reader)
                report = pipeline(image)
                tell("picture", Outcome(sent.name, report).to_dict())
                explainer, faces = self._open(), []
                for i, face in enumerate(report.faces):
                    say = partial(_say, tell, i)
                    written = explain_face(explainer, image, face, mode, say)
                    faces.append(tested(pipeline, image, written))
                    tell("face", {"face": i, **faces[-1].to_dict()})
        except MienError as error:
            outcome = Outcome(sent.name, error=error)
        else:
            outcome = Outcome(sent.name, replace(report, faces=tuple(faces)))
            tell("done", outcome.to_dict())
        return outcome, outcome.status

    def _open(self) -> Explainer:
        """The model that writes, opened when it is first asked for."""
        with self._opening:
            if self._explainer is None:
                self._explainer = Explainer(threads=1)
            return self._explainer


class _Events:
    """Events from the thread that writes to the answer that sends them; who went away ends the writing."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[str | None] = asyncio.Queue()
        self._gone = False

    def put(self, kind: str, data: Any) -> None:
        """Send an event, from any thread."""
        if self._gone:
            raise MienError("the client went away")
        self._loop.call_soon_threadsafe(self._queue.put_nowait, f"event: {kind}\ndata: {json.dumps(data)}\n\n")

    def end(self, task: "asyncio.Task[Outcome]") -> None:
        """Say that no more events come."""
        self._queue.put_nowait(None)

    async def first(self) -> str | None:
        """The first event; None when there is none."""
        return await self._queue.get()

    async def lines(self, first: str, task: "asyncio.Task[Outcome]") -> AsyncIterator[str]:
        """All events; a last one, "error", when the writing failed."""
        try:
            event: str | None = first
            while event is not None:
                yield event
                event = await self._queue.get()
        finally:
            self._gone = True
        outcome = await task
        if outcome.error is not None:
            yield f"event: error\ndata: {json.dumps({'detail': outcome.reason})}\n\n"


def _say(tell: Callable[[str, Any], None], face: int, text: str) -> None:
    tell("text", {"face": face, "text": text})


def _html(writer: PageWriter, status: int = 200) -> Response:
    file = io.BytesIO()
    writer.write(file)
    return HTMLResponse(file.getvalue(), status, {"Content-Security-Policy": REPORT})
