"""What the server gives to its clients at most, and the deadlines that move when it is asked to stop."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition, Lock

import anyio
from fastapi import HTTPException

from mien.core.images import LIMITS


@dataclass(frozen=True)
class ServerLimits:
    """Bytes, counts and seconds.

    request_bytes: of one request.   bytes_in_flight: of all requests that are being received, waiting or read, and of
    answers that are not taken yet.
    requests: such requests.   connections: open ones, idle or not.
    decoding: bytes that the decoding of pictures takes at a time, and what is decoded, estimated as in mien.Limits.
    header_seconds: from a connection, or the last answer, to the end of a request's headers.
    body_seconds: for a body, and another second for every body_rate bytes; both ways.
    files: in one form.
    json_nodes: values in a JSON body.   table_lines: records of one table.
    retry_seconds: after which a refused client may come again.
    stop_seconds: for what has come when the server is stopped; what still waits for its turn then is refused.
    stop_upload_seconds: for what is still coming then.
    live: sockets of /v1/live.   live_frame: bytes of one frame.   live_seconds: from one frame to the next.
    clip_bytes: of one clip, which goes to the disk.   clip_seconds: how long it may last.   clip_pixels: of its frames.
    clips: jobs that are there at a time.   clips_waiting: of these, jobs that are received or wait.
    clip_keep_seconds: after which a job and its results are deleted.
    clip_stall_seconds: a job that comes no further for so long is ended.
    """

    request_bytes: int = 32_000_000
    bytes_in_flight: int = 256_000_000
    requests: int = 256
    connections: int = 512
    decoding: int = LIMITS.memory
    header_seconds: float = 10.0
    body_seconds: float = 20.0
    body_rate: int = 50_000
    files: int = 100
    json_nodes: int = 20_000
    table_lines: int = 100_000
    retry_seconds: int = 5
    stop_seconds: float = 22.0
    stop_upload_seconds: float = 5.0
    live: int = 32
    live_frame: int = 2_000_000
    live_seconds: float = 30.0
    clip_bytes: int = 1_000_000_000
    clip_seconds: float = 1800.0
    clip_pixels: int = 36_000_000
    clips: int = 100
    clips_waiting: int = 16
    clip_keep_seconds: float = 86_400.0
    clip_stall_seconds: float = 120.0


STOPPING = HTTPException(503, "the server is being stopped", {"connection": "close"})


def busy(limits: ServerLimits) -> HTTPException:
    """The answer of a server that has all it can take."""
    return HTTPException(503, "the server is busy; try again soon", {"retry-after": str(limits.retry_seconds)})


class Budget:
    """An amount that requests share; on the event loop alone."""

    def __init__(self, total: int) -> None:
        self._total, self.used = total, 0

    def take(self, amount: int) -> bool:
        """Whether there is room for the amount, which is taken then."""
        if self.used + amount > self._total:
            return False
        self.used += amount
        return True

    def give(self, amount: int) -> None:
        """Give back what was taken."""
        self.used -= amount


class Turnstile:
    """Lets threads through while what they take together is within the total, and a large one is not overtaken."""

    def __init__(self, total: int) -> None:
        self._total, self._used = total, 0
        self._changed, self._next = Condition(), Lock()

    @contextmanager
    def pass_(self, amount: int) -> Iterator[None]:
        """Hold so much; what is more than the total waits until it is alone."""
        amount = min(amount, self._total)
        with self._next, self._changed:  # who waits for room goes before those behind
            self._changed.wait_for(lambda: self._used + amount <= self._total)
            self._used += amount
        try:
            yield
        finally:
            with self._changed:
                self._used -= amount
                self._changed.notify_all()


class Deadlines:
    """Waits that end at a deadline of their own, or soon after the server is asked to stop."""

    def __init__(self) -> None:
        self.stopping = False
        self._waits: dict[anyio.CancelScope, float] = {}

    async def stop(self) -> None:
        """Let every wait end within the seconds that it may go on then."""
        self.stopping = True
        for scope, seconds in self._waits.items():
            scope.deadline = min(scope.deadline, anyio.current_time() + seconds)

    @contextmanager
    def within(self, seconds: float, refusal: HTTPException, when_stopping: float) -> Iterator[None]:
        """Raise the refusal when what is done inside takes longer; STOPPING when the server was stopped meanwhile.

        when_stopping: the seconds that are left then.
        """
        if self.stopping:
            seconds = min(seconds, when_stopping)
        with anyio.CancelScope(deadline=anyio.current_time() + seconds) as scope:
            self._waits[scope] = when_stopping
            try:
                yield
            finally:
                del self._waits[scope]
        if scope.cancelled_caught:
            raise STOPPING if self.stopping else refusal
