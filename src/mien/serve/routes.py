"""The routes that read pictures: to JSON, to a page, and to a chain of thought as it is written."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.responses import HTMLResponse, StreamingResponse

from mien.errors import MienError
from mien.methods.expllm.small.generate import MODES, Explainer
from mien.methods.expllm.small.generate import explain as explain_face
from mien.report.html import page
from mien.report.writers import json_line
from mien.results.explanation import Mode
from mien.results.outcome import Outcome
from mien.serve.form import Sent, pictures
from mien.serve.limits import ServerLimits
from mien.serve.work import Answer, Work

# A report says by itself which script and style it has; this is what the server lets it say.
_REPORT_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'self'"
)


class Routes:
    """A body is one picture; a form holds one, and on the routes of /v1 any number."""

    def __init__(self, work: Work, limits: ServerLimits) -> None:
        self._work, self._limits = work, limits
        self._explainer: Explainer | None = None
        self._opening = threading.Lock()

    async def analyze(self, request: Request) -> Response:
        """POST /analyze."""
        return await self._run(partial(self._json, await self._one(request)), request)

    async def report(self, request: Request) -> Response:
        """POST /report."""
        return await self._run(partial(self._page, await self._one(request)), request)

    async def analyze_many(self, request: Request) -> Response:
        """POST /v1/analyze: the object of a line of `mien analyze`; of a form a list of them."""
        sent, form = await pictures(request, self._limits)
        if not form:
            return await self._run(partial(self._json, sent[0]), request)
        lines = [await self._run(partial(self._line, each), request) for each in sent]
        return Response(f'{{"results": [{", ".join(lines)}]}}', media_type="application/json")

    async def report_many(self, request: Request) -> Response:
        """POST /v1/report: one page, of all pictures of a form."""
        sent, form = await pictures(request, self._limits)
        if not form or len(sent) == 1:
            return await self._run(partial(self._page, sent[0]), request)
        outcomes = [await self._run(partial(self._shown, each), request) for each in sent]
        return await self._run(lambda: (_html(outcomes), "page"), request)

    async def explain(self, request: Request) -> Response:
        """POST /v1/explain: server-sent events, the text as it is written; at the end the picture's object."""
        mode = request.query_params.get("mode", MODES[0])
        if mode not in MODES:
            raise HTTPException(422, f"there is no mode {mode[:40]!r}; the modes are {' and '.join(MODES)}")
        sent = await self._one(request)
        events = _Events()
        task = asyncio.create_task(self._run(partial(self._explain, sent, mode, events.put), request))
        task.add_done_callback(events.end)
        first = await events.first()
        if first is None:  # nothing is written of a picture that could not be read, or not at all
            outcome = await task
            return Response(json_line(outcome), 400, media_type="application/json")
        return StreamingResponse(events.lines(first, task), media_type="text/event-stream")

    async def _run(self, item: Callable[[], tuple[Answer, str]], request: Request) -> Answer:
        return await self._work.run(item, request.is_disconnected)

    async def _one(self, request: Request) -> Sent:
        sent, _ = await pictures(request, self._limits)
        if len(sent) > 1:
            raise HTTPException(400, f"this route reads one picture, but the form has {len(sent)} files")
        return sent[0]

    def _json(self, sent: Sent) -> tuple[Response, str]:
        outcome = self._work.read(sent.name, sent.data)
        status = 200 if outcome.report else 400
        return Response(json_line(outcome), status, media_type="application/json"), outcome.status

    def _line(self, sent: Sent) -> tuple[str, str]:
        outcome = self._work.read(sent.name, sent.data)
        return json_line(outcome), outcome.status

    def _shown(self, sent: Sent) -> tuple[Outcome, str]:
        outcome = self._work.read(sent.name, sent.data, show=True)
        return outcome, outcome.status

    def _page(self, sent: Sent) -> tuple[Response, str]:
        outcome, status = self._shown(sent)
        return _html([outcome]), status

    def _explain(self, sent: Sent, mode: Mode, tell: Callable[[str, Any], None]) -> tuple[Outcome, str]:
        try:
            with self._work.decoders.open(sent.data) as image:
                report = self._work.pipeline(image)
                tell("picture", Outcome(sent.name, report).to_dict())
                explainer, faces = self._open(), []
                for i, face in enumerate(report.faces):
                    say = partial(_say, tell, i)
                    faces.append(explain_face(explainer, image, face, mode, say))
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


def _html(outcomes: list[Outcome]) -> Response:
    status = 200 if len(outcomes) > 1 or outcomes[0].report else 400
    return HTMLResponse(page(outcomes, "mien serve"), status, {"Content-Security-Policy": _REPORT_POLICY})
