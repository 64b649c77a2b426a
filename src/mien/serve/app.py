"""HTTP routes: a picture in, the same report out; cameras and clips; and, when asked for, OpenAI's chat completions."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

import mien
from mien.core.pipeline import Pipeline
from mien.core.zoo import MODELS
from mien.errors import InputError, MissingExtra
from mien.serve import described
from mien.serve import openai as openai_api
from mien.serve.clips import Clips
from mien.serve.door import HEADERS, LOOPBACK, Door
from mien.serve.jobs import Jobs
from mien.serve.limits import Deadlines, ServerLimits
from mien.serve.live import Live
from mien.serve.models import AboutAnswer, ClipLimitsAnswer, ModelAnswer
from mien.serve.pipelines import Pipelines
from mien.serve.policy import PAGE
from mien.serve.routes import Routes
from mien.serve.table import Table, table_formats
from mien.serve.traffic import Traffic
from mien.serve.work import Work

_KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}


def create_app(
    pipeline: Pipeline | None = None,
    *,
    openai: bool = False,
    workers: int | None = None,
    limits: ServerLimits | None = None,
    hosts: Sequence[str] = LOOPBACK,
    origins: Sequence[str] = (),
    token: str | None = None,
    clips: str | Path | None = None,
) -> FastAPI:
    """Return the application, for `mien.serve.server` or any other ASGI server.

    openai: also answer /v1/models and /v1/chat/completions.
    workers: pictures that are read at a time, by default as many as there are cores; others wait.
    hosts: names of the server that requests may use, any with "*".   origins: of web pages elsewhere that may ask.
    token: what clients have to send; None asks for none.
    clips: a folder for clips and what is read of them; None answers no /v1/clips.
    Raise InputError for a folder that cannot be used.
    """
    limits = limits or ServerLimits()
    deadlines = Deadlines()
    traffic = Traffic(limits)
    pipelines = Pipelines(pipeline or Pipeline())
    work = Work(pipelines, workers or os.cpu_count() or 1, limits, deadlines, traffic)
    jobs = None if clips is None else Jobs(Path(clips), _plain(pipelines), limits)
    # No pages of FastAPI's own: they load their scripts from elsewhere.
    app = FastAPI(title="mien", version=mien.__version__, docs_url=None, redoc_url=None, lifespan=_life(jobs))
    app.state.deadlines = deadlines
    app.add_exception_handler(Exception, _failed)
    app.add_exception_handler(RequestValidationError, _refused)
    app.add_middleware(
        Door, limits=limits, deadlines=deadlines, traffic=traffic, hosts=hosts, origins=origins, token=token,
        streamed={} if jobs is None else {"/v1/clips": limits.clip_bytes},
    )  # fmt: skip
    _add_pictures(app, Routes(work, limits))
    _add(
        app, "POST", "/v1/table", Table(work, limits).create, "Answers to a table", described.TABLE,
        described.TABLE_BODY,
    )  # fmt: skip
    app.add_api_websocket_route("/v1/live", Live(work, pipelines, limits).talk)
    if jobs is not None:
        _add_clips(app, Clips(jobs, pipelines, limits))
    _add(app, "GET", "/v1/about", _about(pipelines, jobs, limits), "What this server can do", described.ABOUT)
    _add(app, "GET", "/healthz", _health(deadlines), "Whether the server takes requests", described.HEALTH)
    _add(app, "GET", "/metrics", _metrics(traffic), "What the server did, for Prometheus", described.METRICS)
    for name in sorted(path.name for path in (files("mien.serve") / "web").iterdir()):
        path = "/" if name == "index.html" else f"/{name}"
        app.add_api_route(path, _file(name), include_in_schema=False)
    if openai:
        chat = openai_api.Chat(work, limits)
        _add(app, "GET", "/v1/models", chat.models, "The one model there is", described.CHAT_MODELS)
        _add(
            app, "POST", "/v1/chat/completions", chat.completions, "Ask about pictures", described.CHAT,
            described.CHAT_BODY,
        )  # fmt: skip
    return app


def _add(
    app: FastAPI,
    method: str,
    path: str,
    route: Callable[..., Awaitable[Response]],
    summary: str,
    answers: described.Responses,
    body: dict[str, object] | None = None,
) -> None:
    status = min(int(status) for status in answers)
    app.add_api_route(
        path, route, methods=[method], summary=summary, status_code=status, response_class=Response,
        responses=described.DOOR | answers, openapi_extra=body,
    )  # fmt: skip


def _add_pictures(app: FastAPI, routes: Routes) -> None:
    for path, route, summary, answers in (
        ("/analyze", routes.analyze, "A picture to its report, as JSON", described.PICTURE),
        ("/report", routes.report, "A picture to its report, as a page", described.PAGE),
        ("/v1/analyze", routes.analyze_many, "Pictures to their reports, as JSON", described.PICTURES),
        ("/v1/report", routes.report_many, "Pictures to one report, as a page", described.PAGE),
        ("/v1/explain", routes.explain, "Why a face shows its expression, as it is written", described.WORDS),
    ):
        _add(app, "POST", path, route, summary, answers, described.PICTURE_BODY)


def _add_clips(app: FastAPI, clips: Clips) -> None:
    _add(app, "POST", "/v1/clips", clips.create, "Send a clip", described.JOB_MADE, described.CLIP_BODY)
    one = "/v1/clips/{id}"
    _add(app, "GET", one, clips.get, "How far a clip is", described.JOB)
    _add(app, "DELETE", one, clips.delete, "End and delete a clip", described.JOB_GONE)
    _add(app, "GET", f"{one}/table", clips.table, "A clip's table", described.JOB_TABLE)
    _add(app, "GET", f"{one}/page", clips.page, "A clip's timeline, as a page", described.JOB_PAGE)
    _add(app, "GET", f"{one}/events", clips.events, "A clip's events", described.JOB_EVENTS)


def _plain(pipelines: Pipelines) -> dict[str, dict[str, object]]:
    options = {name: pipelines.plain(name) for name in pipelines.names}
    if None in options.values():
        raise InputError("clips are read in processes of their own, which a detect or read of your own cannot reach")
    return {name: each for name, each in options.items() if each is not None}


def _life(jobs: Jobs | None) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        if jobs is not None:
            jobs.start()
        yield
        if jobs is not None:
            await jobs.stop()

    return life


def _about(pipelines: Pipelines, jobs: Jobs | None, limits: ServerLimits) -> Callable[[], Awaitable[Response]]:
    purposes = {name: MODELS[name].purpose if name in MODELS else "reads expressions" for name in pipelines.names}
    answer = AboutAnswer(
        version=mien.__version__,
        models=[ModelAnswer(name=name, purpose=purpose) for name, purpose in purposes.items()],
        tables=table_formats(),
        clips=None
        if jobs is None
        else ClipLimitsAnswer(
            bytes=limits.clip_bytes, seconds=limits.clip_seconds, keep_seconds=limits.clip_keep_seconds
        ),
        request_bytes=limits.request_bytes,
    )

    async def get() -> Response:
        return JSONResponse(answer.model_dump())

    return get


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


async def _refused(request: Request, error: Exception) -> Response:
    """Say which parameter is not as it should be."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return JSONResponse({"detail": f"{first['loc'][-1]}: {first['msg']}"}, 422)


def _file(name: str) -> Callable[[], Awaitable[Response]]:
    content = (files("mien.serve") / "web" / name).read_bytes()
    kind = f"{_KINDS[Path(name).suffix]}; charset=utf-8"

    async def get() -> Response:
        return Response(content, media_type=kind, headers={"content-security-policy": PAGE})

    return get
