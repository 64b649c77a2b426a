"""Clips that are read one after the other, each in a process of its own; jobs and results lie in a folder.

Every job has a folder named by its id: job.json says what became of it, `results` is there when all of it is written.
A server that is killed leaves its job as "running"; the next one says that it failed. Jobs that wait go on waiting.
"""

import asyncio
import json
import re
import secrets
import shutil
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal, TypedDict

import anyio
from anyio.to_thread import run_sync

from mien.errors import InputError
from mien.files import lock, replacing
from mien.results.record import Record
from mien.serve.limits import ServerLimits
from mien.text import readable

JobStatus = Literal["uploading", "waiting", "running", "done", "failed"]
_ID = re.compile(r"[A-Za-z0-9_-]{22}")
_LOCK = ".mien-serve.lock"
# What a process says in one line at most.
_LINE = 1 << 20


class JobOptions(TypedDict):
    """Options for reading a clip: see mien.analyze_video."""

    model: str
    smooth: float
    fps: float | None


@dataclass
class Job:
    """One clip.

    name: as its sender calls it.   created, expires: seconds since 1970.   asked: the options of reading it.
    read, of, seconds: frames that were read, how many there are about, and the time of the last.
    frames, tracks: when done.   error: why it failed, or what is missing at the end of a broken clip.
    """

    id: str
    name: str
    created: float
    expires: float
    asked: JobOptions
    status: JobStatus = "uploading"
    error: str | None = None
    read: int = 0
    of: int | None = None
    seconds: float = 0.0
    frames: int | None = None
    tracks: int | None = None
    process: asyncio.subprocess.Process | None = field(default=None, repr=False)

    def to_dict(self) -> Record:
        """Plain values, for job.json."""
        return {name: value for name, value in vars(self).items() if name != "process"}


class Jobs:
    """The clips of one folder, on one event loop.

    options: of the pipeline of a model, by its name, as plain values.
    InputError for a folder that cannot be used, or that another server uses.
    """

    def __init__(self, folder: Path, options: Mapping[str, Mapping[str, Any]], limits: ServerLimits) -> None:
        self._folder, self._options, self._limits = folder, options, limits
        self._lock = _locked(folder)
        self._jobs: dict[str, Job] = {}
        self._came = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        for path in sorted(folder.iterdir()):
            self._again(path)

    def get(self, id: str) -> Job | None:
        """The job of that id; None when there is none, or not any more."""
        job = self._jobs.get(id)
        return None if job is None or job.status == "uploading" else job

    def new(self, name: str, asked: JobOptions) -> Job | None:
        """A job whose clip is still to come; None when there are as many as may be."""
        self._expire()
        waiting = sum(job.status in ("uploading", "waiting") for job in self._jobs.values())
        if waiting >= self._limits.clips_waiting or len(self._jobs) >= self._limits.clips:
            return None
        now = time.time()
        job = Job(secrets.token_urlsafe(16), readable(name), now, now + self._limits.clip_keep_seconds, asked)
        self._jobs[job.id] = job
        self.folder(job).mkdir()
        self._save(job)
        return job

    def folder(self, job: Job) -> Path:
        """Return the folder of a job."""
        return self._folder / job.id

    def clip(self, job: Job) -> Path:
        """Return the path of its clip, which exists until it is read."""
        ending = Path(job.name).suffix.lower()
        return self.folder(job) / f"clip{ending if re.fullmatch(r'[.][a-z0-9]{1,5}', ending) else ''}"

    def result(self, job: Job, name: str) -> Path:
        """Return the path of a result of a finished job."""
        return self.folder(job) / "results" / name

    def ahead(self, job: Job) -> int:
        """Return the number of jobs before this one."""
        before = (j for j in self._jobs.values() if j.created < job.created and j.status in ("waiting", "running"))
        return sum(1 for _ in before) if job.status == "waiting" else 0

    def came(self, job: Job) -> None:
        """Let a job whose clip is there wait for its turn."""
        job.status = "waiting"
        self._save(job)
        self._came.set()

    async def delete(self, job: Job) -> None:
        """End a job and remove all that there is of it."""
        self._jobs.pop(job.id, None)
        if job.process is not None:
            await _kill(job.process)
        await run_sync(shutil.rmtree, self.folder(job), True)

    def start(self) -> None:
        """Read what waits, on the event loop that runs."""
        self._tasks = [asyncio.create_task(self._read_all()), asyncio.create_task(self._expire_all())]

    async def stop(self) -> None:
        """Stop; the clip that is being read waits for the next server, which reads it anew."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._lock.close()

    async def _read_all(self) -> None:
        while True:
            waiting = [job for job in self._jobs.values() if job.status == "waiting"]
            if not waiting:
                self._came.clear()
                await self._came.wait()
                continue
            job = min(waiting, key=lambda job: job.created)
            try:
                await self._read(job)
            except asyncio.CancelledError:
                if job.id in self._jobs and job.status == "running":
                    job.status, job.read = "waiting", 0
                    await self._clear(job, "reading")
                    self._save(job)
                raise
            except OSError as error:
                job.status, job.error = "failed", f"the results cannot be kept ({error.strerror or error})"

    async def _read(self, job: Job) -> None:
        job.status = "running"
        self._save(job)
        await self._clear(job, "reading")
        job.process = process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "mien.serve.clip_job", str(self.folder(job)),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            limit=_LINE,
        )  # fmt: skip
        try:
            outcome = await self._follow(job, process)
        finally:
            await _kill(process)
            job.process = None
        if job.id not in self._jobs:  # deleted meanwhile, and its folder with it
            await run_sync(shutil.rmtree, self.folder(job), True)
            return
        if "done" in outcome:
            self.folder(job).joinpath("reading").replace(self.folder(job) / "results")
            job.status = "done"
            job.frames, job.tracks, job.error = (outcome["done"][name] for name in ("frames", "tracks", "error"))
        else:
            job.status, job.error = "failed", outcome["failed"]
            await self._clear(job, "reading")
        await run_sync(lambda: self.clip(job).unlink(missing_ok=True))
        self._save(job)

    async def _follow(self, job: Job, process: asyncio.subprocess.Process) -> Record:
        """What a process says at its end; its progress goes into the job."""
        assert process.stdin is not None
        assert process.stdout is not None
        limits = self._limits
        asked = {
            "clip": self.clip(job).name, "name": job.name, "options": self._options[job.asked["model"]],
            "smooth": job.asked["smooth"], "fps": job.asked["fps"],
            "most_seconds": limits.clip_seconds, "most_pixels": limits.clip_pixels,
        }  # fmt: skip
        process.stdin.write(json.dumps(asked).encode() + b"\n")
        while True:
            try:
                line = await asyncio.wait_for(process.stdout.readline(), limits.clip_stall_seconds)
            except (TimeoutError, ValueError):
                return {"failed": f"it came no further for {limits.clip_stall_seconds:g} s"}
            if not line:
                return {"failed": "the clip ends the process that reads it; save it again with another program"}
            message: Record = json.loads(line)
            if "read" not in message:
                return message
            job.read, job.of, job.seconds = message["read"], message["of"], message["seconds"]

    async def _clear(self, job: Job, name: str) -> None:
        await run_sync(shutil.rmtree, self.folder(job) / name, True)

    async def _expire_all(self) -> None:
        while True:
            self._expire()
            await anyio.sleep(min(60.0, self._limits.clip_keep_seconds))

    def _expire(self) -> None:
        for job in [
            job for job in self._jobs.values() if job.expires < time.time() and job.status in ("done", "failed")
        ]:
            del self._jobs[job.id]
            shutil.rmtree(self.folder(job), ignore_errors=True)

    def _again(self, path: Path) -> None:
        """Take a job of an earlier server; what was being received or read then is of no use."""
        try:
            job = Job(**json.loads((path / "job.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return
        if not _ID.fullmatch(path.name) or job.id != path.name:
            return
        if job.status == "uploading":
            shutil.rmtree(path, ignore_errors=True)
            return
        self._jobs[job.id] = job
        if job.status == "running":
            job.status, job.error = "failed", "the server was ended while it read the clip; send it again"
            for rest in ("reading", "results"):
                shutil.rmtree(path / rest, ignore_errors=True)
            self.clip(job).unlink(missing_ok=True)
            self._save(job)

    def _save(self, job: Job) -> None:
        with replacing(self.folder(job) / "job.json") as beside:
            beside.write_text(json.dumps(job.to_dict()), encoding="utf-8")


async def _kill(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def _locked(folder: Path) -> IO[bytes]:
    """The lock on the folder, which ends with this process."""
    try:
        folder.mkdir(exist_ok=True)
        held = lock(folder / _LOCK)
    except OSError as error:
        raise InputError(f"{folder}: cannot be used for clips ({error.strerror or error})") from error
    if held is None:
        raise InputError(f"{folder}: another server keeps its clips there; give each a folder of its own")
    return held
