"""HTTP routes: a picture in, the same report out; and, when asked for, the chat completions of OpenAI's API."""

import os
from collections.abc import Awaitable, Callable, Sequence
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

import mien
from mien.core.pipeline import Pipeline
from mien.errors import MissingExtra
from mien.serve import openai as openai_api
from mien.serve.door import HEADERS, LOOPBACK, Door
from mien.serve.limits import Deadlines, ServerLimits
from mien.serve.models import PictureAnswer, PicturesAnswer, Refusal
from mien.serve.routes import Routes
from mien.serve.traffic import Traffic
from mien.serve.work import Work

_WEB = {"": "text/html", "app.js": "text/javascript", "style.css": "text/css"}
# The page asks nobody but this server for anything, and stands in nobody's frame.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; frame-src 'self'; img-src data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_FILE = {"schema": {"type": "string", "format": "binary"}}
_FILES = {"type": "array", "items": {"type": "string", "format": "binary"}}
# A body, or the files of a form whatever its fields are called.
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": _FILE,
            "multipart/form-data": {"schema": {"type": "object", "properties": {"picture": _FILES}}},
        },
    }
}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Refusal, "description": why}
    for status, why in {
        401: "The server wants its token",
        403: "The page that asks is not allowed",
        408: "The request came too slowly",
        413: "The request is too large",
        421: "The server does not go by that name",
        503: "The server is busy, or being stopped",
    }.items()
}


def _json_of(model: Any) -> dict[int | str, dict[str, Any]]:
    return {
        200: {"model": model, "description": "What was read; a face may not have been found"},
        400: {"model": PictureAnswer | Refusal, "description": "The picture could not be read, or none came"},
    }


_PAGE: dict[int | str, dict[str, Any]] = {
    status: {"content": {"text/html": {"example": "<!DOCTYPE html>"}}, "description": why}
    for status, why in {200: "A self-contained page", 400: "A page that says why nothing was read"}.items()
}
_EVENT = 'event: text\ndata: {"face": 0, "text": " The"}\n\n'
_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"text/event-stream": {"example": _EVENT}},
        "description": "Events: picture, text, face, and at the end done or error",
    },
    400: {"model": PictureAnswer | Refusal, "description": "The picture could not be read, or none came"},
}


def create_app(
    pipeline: Pipeline | None = None,
    *,
    openai: bool = False,
    workers: int | None = None,
    limits: ServerLimits | None = None,
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
    limits = limits or ServerLimits()
    deadlines = Deadlines()
    traffic = Traffic(limits)
    work = Work(pipeline or Pipeline(), workers or os.cpu_count() or 1, limits, deadlines, traffic)
    routes = Routes(work, limits)
    # No pages of FastAPI's own: they load their scripts from elsewhere.
    app = FastAPI(title="mien", version=mien.__version__, docs_url=None, redoc_url=None)
    app.state.deadlines = deadlines
    app.add_exception_handler(Exception, _failed)
    app.add_middleware(
        Door, limits=limits, deadlines=deadlines, traffic=traffic, hosts=hosts, origins=origins, token=token
    )
    for path, route, summary, answer in (
        ("/analyze", routes.analyze, "A picture to its report, as JSON", _json_of(PictureAnswer)),
        ("/report", routes.report, "A picture to its report, as a page", _PAGE),
        (
            "/v1/analyze",
            routes.analyze_many,
            "Pictures to their reports, as JSON",
            _json_of(PictureAnswer | PicturesAnswer),
        ),
        ("/v1/report", routes.report_many, "Pictures to one report, as a page", _PAGE),
        ("/v1/explain", routes.explain, "Why a face shows its expression, as it is written", _EVENTS),
    ):
        app.add_api_route(
            path, route, methods=["POST"], summary=summary, responses=answer | _REFUSALS, openapi_extra=_BODY
        )
    app.add_api_route("/healthz", _health(deadlines), summary="Whether the server takes requests")
    app.add_api_route("/metrics", _metrics(traffic), summary="What the server did, for Prometheus")
    for name, kind in _WEB.items():
        app.add_api_route(f"/{name}", _file(name or "index.html", kind), include_in_schema=False)
    if openai:
        chat = openai_api.Chat(work, limits)
        app.add_api_route("/v1/models", chat.models, summary="The one model there is")
        app.add_api_route("/v1/chat/completions", chat.completions, methods=["POST"], summary="Ask about a picture")
    return app


def _health(deadlines: Deadlines) -> Callable[[], Awaitable[Response]]:
    async def get() -> Response:
        if deadlines.stopping:
            return JSONResponse({"status": "stopping"}, 503)
        return JSONResponse({"status": "ok", "version": mien.__version__})

    return get


def _metrics(traffic: Traffic) -> Callable[[], Awaitable[Response]]:
    async def get() -> Response:
        try:
            kind, text = traffic.exposition()
        except MissingExtra as error:
            return JSONResponse({"detail": str(error)}, 501)
        return Response(text, media_type=kind)

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
