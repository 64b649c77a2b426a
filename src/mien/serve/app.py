"""HTTP routes: a picture in, the same report out; and, when asked for, the chat completions of OpenAI's API."""

import os
from collections.abc import Callable
from functools import partial
from importlib.resources import files
from typing import Any

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.datastructures import UploadFile

import mien
from mien.core.images import read_image
from mien.core.pipeline import Pipeline
from mien.errors import InputError, MienError
from mien.report.html import page
from mien.results.outcome import Outcome
from mien.serve import openai as openai_api

# What a request may weigh, in bytes.
LARGEST = 32_000_000
_WEB = {"": "text/html", "app.js": "text/javascript", "style.css": "text/css"}
# The page asks nobody but this server for anything.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; frame-src 'self'; img-src data:; form-action 'self'; "
    "base-uri 'none'"
)


def create_app(pipeline: Pipeline | None = None, *, openai: bool = False, workers: int | None = None) -> FastAPI:
    """The application, for uvicorn or any other ASGI server.

    openai: also answer /v1/models and /v1/chat/completions.
    workers: pictures that are read at a time, by default as many as there are cores; others wait.
    """
    reader = _Reader(pipeline or Pipeline(), workers or os.cpu_count() or 1)
    # No pages of FastAPI's own: they load their scripts from elsewhere.
    app = FastAPI(title="mien", version=mien.__version__, docs_url=None, redoc_url=None)
    app.add_middleware(_Limited)
    app.add_api_route("/analyze", reader.analyze, methods=["POST"], summary="A picture to its report, as JSON")
    app.add_api_route("/report", reader.report, methods=["POST"], summary="A picture to its report, as a page")
    for name, kind in _WEB.items():
        app.add_api_route(f"/{name}", _file(name or "index.html", kind), include_in_schema=False)
    if openai:
        chat = openai_api.Chat(reader.pipeline, reader.run)
        app.add_api_route("/v1/models", chat.models, summary="The one model there is")
        app.add_api_route("/v1/chat/completions", chat.completions, methods=["POST"], summary="Ask about a picture")
    return app


class _Reader:
    """The routes that read a picture: the body of the request, or the first file of a form."""

    def __init__(self, pipeline: Pipeline, workers: int) -> None:
        self.pipeline = pipeline
        self._limiter: CapacityLimiter | None = None
        self._workers = workers

    async def run(self, work: Callable[[], Any]) -> Any:
        """The work's result, from a thread; no more than `workers` at a time."""
        if self._limiter is None:  # it belongs to the event loop, which does not run before the first request
            self._limiter = CapacityLimiter(self._workers)
        return await run_sync(work, limiter=self._limiter)

    async def analyze(self, request: Request) -> Response:
        outcome = await self.run(partial(self._read, *await _picture(request)))
        return JSONResponse(outcome.to_dict(), status_code=200 if outcome.report else 400)

    async def report(self, request: Request) -> Response:
        outcome = await self.run(partial(self._read, *await _picture(request)))
        told = await self.run(partial(page, [outcome], "mien serve"))
        return HTMLResponse(told, status_code=200 if outcome.report else 400)

    def _read(self, name: str, data: bytes) -> Outcome:
        try:
            image = read_image(data)
            return Outcome(name, self.pipeline(image), image=image)
        except InputError as error:  # nobody gave bytes: they gave a picture with a name
            return Outcome(name, error=InputError(str(error).removeprefix("the bytes given: "), error.status))
        except MienError as error:
            return Outcome(name, error=error)


class _Limited:
    """Stops a request that is larger than LARGEST while it arrives."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        seen = 0

        async def counted() -> Any:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > LARGEST:
                raise HTTPException(413, f"a request may have {LARGEST // 1_000_000} MB; reduce the picture first")
            return message

        await self.app(scope, counted, send)


async def _picture(request: Request) -> tuple[str, bytes]:
    """Name and bytes of the picture that was sent."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        return "picture", await request.body()
    async with request.form(max_files=1, max_fields=8) as form:
        for value in form.values():
            if isinstance(value, UploadFile):
                return value.filename or "picture", await value.read()
    raise HTTPException(400, "the form has no file; send the picture as a file, or as the body of the request")


def _file(name: str, kind: str) -> Callable[[], Response]:
    content = (files("mien.serve") / "web" / name).read_text(encoding="utf-8")
    headers = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"}

    def get() -> Response:
        return Response(content, media_type=kind, headers=headers)

    return get
