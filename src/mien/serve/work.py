"""One work item from bytes to answer: as many at a time as there are cores; the others wait for their turn."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from anyio import CapacityLimiter, current_time
from anyio.to_thread import run_sync
from fastapi import HTTPException

from mien.errors import MienError
from mien.report.embed import reduced
from mien.results.outcome import Outcome
from mien.serve.decoders import Decoders
from mien.serve.limits import Deadlines, ServerLimits, busy
from mien.serve.pipelines import Pipelines
from mien.serve.traffic import Traffic

Answer = TypeVar("Answer")


class Work:
    """Reads pictures in threads.

    workers: pictures that are read at a time.   A wait for one's turn ends when the server is stopped.
    """

    def __init__(
        self, pipelines: Pipelines, workers: int, limits: ServerLimits, deadlines: Deadlines, traffic: Traffic
    ) -> None:
        self._traffic = traffic
        self.pipelines, self._workers, self._limits, self._deadlines = pipelines, workers, limits, deadlines
        self.decoders = Decoders(limits.decoding)
        self._turns: CapacityLimiter | None = None
        self._threads: CapacityLimiter | None = None
        self._forms: CapacityLimiter | None = None

    async def run(self, item: Callable[[], tuple[Answer, str]], gone: Callable[[], Awaitable[bool]]) -> Answer:
        """The item's answer, from a thread; beside it the item says what became of its picture, which is counted.

        gone: whether nobody waits for the answer any more, asked when it is the item's turn.
        """
        if self._turns is None or self._threads is None:  # they belong to the event loop, which runs by now
            self._turns, self._threads = CapacityLimiter(self._workers), CapacityLimiter(self._workers)
        await self._wait(self._turns)
        try:
            if await gone():
                raise HTTPException(400, "the client went away")
            began = current_time()
            answer, status = await run_sync(item, limiter=self._threads)
            self._traffic.pictures[status] += 1
            self._traffic.reading_seconds += current_time() - began
            return answer
        finally:
            self._turns.release()

    @asynccontextmanager
    async def gathering(self) -> AsyncIterator[None]:
        """Hold while the answers to several pictures are gathered: they take memory, so that other forms wait."""
        if self._forms is None:
            self._forms = CapacityLimiter(self._workers)
        await self._wait(self._forms)
        try:
            yield
        finally:
            self._forms.release()

    async def _wait(self, turns: CapacityLimiter) -> None:
        with self._deadlines.within(float("inf"), busy(self._limits), self._limits.stop_seconds):
            await turns.acquire()

    @property
    def stopping(self) -> bool:
        """Whether the server was asked to stop."""
        return self._deadlines.stopping

    def read(self, name: str, data: bytes | bytearray | memoryview, model: str, show: bool = False) -> Outcome:
        """The outcome of one picture.   show: keep it, as small as a page shows it."""
        try:
            with self.decoders.open(data) as image:
                return Outcome(name, self.pipelines(model)(image), image=reduced(image) if show else None)
        except MienError as error:
            return Outcome(name, error=error)
