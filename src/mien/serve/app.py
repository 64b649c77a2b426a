"""HTTP routes: a picture in, the same report out; and, when asked for, the chat completions of OpenAI's API."""

import os
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from importlib.resources import files

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

import mien
from mien.core.pipeline import Pipeline
from mien.report.html import page
from mien.report.writers import json_line
from mien.serve import openai as openai_api
from mien.serve.door import HEADERS, LOOPBACK, Door
from mien.serve.form import Sent, pictures
from mien.serve.limits import Deadlines, Limits
from mien.serve.work import Work

_WEB = {"": "text/html", "app.js": "text/javascript", "style.css": "text/css"}
# The page asks nobody but this server for anything, and stands in nobody's frame.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; frame-src 'self'; img-src data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
# A report says by itself which script and style it has; this is what the server lets it say.
_REPORT_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'self'"
)


def create_app(
    pipeline: Pipeline | None = None,
    *,
    openai: bool = False,
    workers: int | None = None,
    limits: Limits | None = None,
    hosts: Sequence[str] = LOOPBACK,
    origins: Sequence[str] = (),
    token: str | None = None,
) -> FastAPI:
    """Return the application, for `mien.serve.server` or any other ASGI server.

    openai: also answer /v1/models and /v1/chat/completions.
    workers: pictures that are read at a time, by default as many as there are cores; others wait.
    hosts: names of the server that requests may use, any with "*".   origins: of web pages elsewhere that may ask.
    token: what clients have to send; None asks for none.
    """
    limits = limits or Limits()
    deadlines = Deadlines()
    work = Work(pipeline or Pipeline(), workers or os.cpu_count() or 1, limits, deadlines)
    routes = _Routes(work, limits)
    # No pages of FastAPI's own: they load their scripts from elsewhere.
    app = FastAPI(title="mien", version=mien.__version__, docs_url=None, redoc_url=None)
    app.state.deadlines = deadlines
    app.add_exception_handler(Exception, _failed)
    app.add_middleware(Door, limits=limits, deadlines=deadlines, hosts=hosts, origins=origins, token=token)
    app.add_api_route("/analyze", routes.analyze, methods=["POST"], summary="A picture to its report, as JSON")
    app.add_api_route("/report", routes.report, methods=["POST"], summary="A picture to its report, as a page")
    app.add_api_route("/healthz", _health(deadlines), summary="Whether the server takes requests")
    for name, kind in _WEB.items():
        app.add_api_route(f"/{name}", _file(name or "index.html", kind), include_in_schema=False)
    if openai:
        chat = openai_api.Chat(work, limits)
        app.add_api_route("/v1/models", chat.models, summary="The one model there is")
        app.add_api_route("/v1/chat/completions", chat.completions, methods=["POST"], summary="Ask about a picture")
    return app


class _Routes:
    """The routes that read a picture: the body of the request, or the file of a form."""

    def __init__(self, work: Work, limits: Limits) -> None:
        self._work, self._limits = work, limits

    async def analyze(self, request: Request) -> Response:
        sent = await self._one(request)
        return await self._work.run(partial(self._json, sent), request.is_disconnected)

    async def report(self, request: Request) -> Response:
        sent = await self._one(request)
        return await self._work.run(partial(self._page, sent), request.is_disconnected)

    async def _one(self, request: Request) -> Sent:
        sent, _ = await pictures(request, self._limits)
        if len(sent) > 1:
            raise HTTPException(400, f"this route reads one picture, but the form has {len(sent)} files")
        return sent[0]

    def _json(self, sent: Sent) -> Response:
        outcome = self._work.read(sent.name, sent.data)
        return Response(json_line(outcome), 200 if outcome.report else 400, media_type="application/json")

    def _page(self, sent: Sent) -> Response:
        outcome = self._work.read(sent.name, sent.data, show=True)
        headers = {"Content-Security-Policy": _REPORT_POLICY}
        return HTMLResponse(page([outcome], "mien serve"), 200 if outcome.report else 400, headers)


def _health(deadlines: Deadlines) -> Callable[[], Awaitable[Response]]:
    async def get() -> Response:
        if deadlines.stopping:
            return JSONResponse({"status": "stopping"}, 503)
        return JSONResponse({"status": "ok", "version": mien.__version__})

    return get


async def _failed(request: Request, error: Exception) -> Response:
    """Answer what no route foresaw; the server's log has the traceback."""
    return JSONResponse({"detail": "the server failed; its log says why"}, 500, HEADERS)


def _file(name: str, kind: str) -> Callable[[], Awaitable[Response]]:
    content = (files("mien.serve") / "web" / name).read_text(encoding="utf-8")
    headers = {"Content-Security-Policy": _POLICY}

    async def get() -> Response:
        return Response(content, media_type=kind, headers=headers)

    return get
