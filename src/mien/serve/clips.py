"""/v1/clips: a clip is sent and becomes a job; its progress and its results are asked for until it expires."""

import errno
from pathlib import Path
from typing import Annotated, Literal

from anyio.to_thread import run_sync
from fastapi import HTTPException, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from starlette.requests import ClientDisconnect

from mien.serve.jobs import Job, Jobs
from mien.serve.limits import ServerLimits, busy
from mien.serve.pipelines import Pipelines
from mien.serve.policy import REPORT
from mien.serve.routes import ModelName, Name
from mien.serve.table import KINDS, NO_PARQUET

# Bytes of an upload that are in memory before they go to the disk.
_BLOCK = 1 << 20
Smooth = Annotated[float, Query(ge=0, le=5, description="average over so many seconds to both sides")]
Fps = Annotated[float | None, Query(gt=0, le=1000, description="read at most so many frames a second")]


class Clips:
    """The routes."""

    def __init__(self, jobs: Jobs, pipelines: Pipelines, limits: ServerLimits) -> None:
        self._jobs, self._pipelines, self._limits = jobs, pipelines, limits

    async def create(
        self, request: Request, name: Name = "clip.mp4", model: ModelName = None, smooth: Smooth = 0.0, fps: Fps = None
    ) -> Response:
        """POST /v1/clips: the body is the clip."""
        if request.headers.get("content-type", "").startswith("multipart/"):
            raise HTTPException(415, "send the clip itself as the body of the request, not in a form")
        job = self._jobs.new(name, {"model": self._pipelines.check(model), "smooth": smooth, "fps": fps})
        if job is None:
            raise busy(self._limits)
        try:
            await self._receive(request, self._jobs.clip(job))
        except BaseException:
            await self._jobs.delete(job)
            raise
        self._jobs.came(job)
        return JSONResponse(self._plain(job), 202, {"location": f"/v1/clips/{job.id}"})

    async def _receive(self, request: Request, path: Path) -> None:
        block = bytearray()
        size = 0
        try:
            with path.open("wb") as file:
                async for chunk in request.stream():
                    block += chunk
                    size += len(chunk)
                    if len(block) >= _BLOCK:
                        await run_sync(file.write, bytes(block))
                        block.clear()
                await run_sync(file.write, bytes(block))
        except ClientDisconnect as error:
            raise HTTPException(400, "the upload was broken off") from error
        except OSError as error:
            full = "the disk is full" if error.errno == errno.ENOSPC else "the clip cannot be kept"
            raise HTTPException(507, full) from error
        if not size:
            raise HTTPException(400, "the body is empty; send the clip as the body of the request")

    async def get(self, id: str) -> Response:
        """GET /v1/clips/{id}."""
        return JSONResponse(self._plain(self._job(id)))

    async def delete(self, id: str) -> Response:
        """DELETE /v1/clips/{id}: also what is being read."""
        await self._jobs.delete(self._job(id))
        return Response(status_code=204)

    async def table(self, id: str, format: Literal["csv", "jsonl", "parquet"] = "csv") -> Response:
        """GET /v1/clips/{id}/table."""
        return self._file(id, f"table.{format}", KINDS[format])

    async def events(self, id: str, format: Literal["csv", "json"] = "json") -> Response:
        """GET /v1/clips/{id}/events."""
        return self._file(id, f"events.{format}", KINDS[format])

    async def page(self, id: str) -> Response:
        """GET /v1/clips/{id}/page."""
        _, path = self._result(id, "page.html")
        return FileResponse(path, media_type="text/html; charset=utf-8", headers={"content-security-policy": REPORT})

    def _file(self, id: str, name: str, kind: str) -> Response:
        job, path = self._result(id, name)
        if not path.is_file():
            raise NO_PARQUET
        shown = f"{Path(job.name).stem or 'clip'}-{name}"
        return FileResponse(path, media_type=kind, filename=shown)

    def _result(self, id: str, name: str) -> tuple[Job, Path]:
        job = self._job(id)
        if job.status != "done":
            raise HTTPException(409, f"the clip is {job.status}" + (f": {job.error}" if job.error else ""))
        return job, self._jobs.result(job, name)

    def _job(self, id: str) -> Job:
        job = self._jobs.get(id)
        if job is None:
            raise HTTPException(404, "there is no such clip; it was deleted, or its time is over")
        return job

    def _plain(self, job: Job) -> dict[str, object]:
        about = job.to_dict()
        shown = ("id", "name", "status", "error", "read", "of", "seconds", "frames", "tracks")
        links = {part: f"/v1/clips/{job.id}/{part}" for part in ("table", "page", "events")}
        return {
            **{name: about[name] for name in shown},
            **job.asked,
            "ahead": self._jobs.ahead(job),
            "expires": round(job.expires),
            "results": links if job.status == "done" else None,
        }
