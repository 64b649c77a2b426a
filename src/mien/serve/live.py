"""/v1/live: frames of a camera over a WebSocket, each a JPEG; the newest is read, and answered as JSON."""

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import monotonic

import anyio
from fastapi import HTTPException
from fastapi.responses import JSONResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from mien.errors import MienError
from mien.report.clips import frame_record
from mien.results.outcome import Outcome
from mien.serve.door import PROTOCOL
from mien.serve.limits import ServerLimits, busy
from mien.serve.pipelines import Pipelines
from mien.serve.work import Work
from mien.video.frames import Frame
from mien.video.live import LiveReader

# Codes of RFC 6455 and its registry.
_UNSUPPORTED, _IDLE, _RESTART, _LATER = 1003, 1008, 1012, 1013
_LONGEST_SMOOTHING = 5.0


class Live:
    """The route. Of a socket one frame is read and one waits; a newer one takes the place of that which waits."""

    def __init__(self, work: Work, pipelines: Pipelines, limits: ServerLimits) -> None:
        self._work, self._pipelines, self._limits = work, pipelines, limits
        self.open = 0

    async def talk(self, socket: WebSocket) -> None:
        """Talk to one client until it goes away or sends nothing any more."""
        try:
            name, smooth = self._asked(socket)
            if self.open >= self._limits.live:
                raise busy(self._limits)
        except HTTPException as refusal:
            answer = JSONResponse({"detail": refusal.detail}, refusal.status_code, refusal.headers)
            await socket.send_denial_response(answer)
            return
        self.open += 1
        try:
            await socket.accept(PROTOCOL if PROTOCOL in socket.scope["subprotocols"] else None)
            shown = Outcome(socket.query_params.get("name", "camera")).name
            talk = _Talk(socket, self._work, self._limits, shown)
            await talk.run(partial(self._pipelines.live, name, smooth))
        finally:
            self.open -= 1

    def _asked(self, socket: WebSocket) -> tuple[str, float]:
        name = self._pipelines.check(socket.query_params.get("model"))
        given = socket.query_params.get("smooth", "0")
        try:
            smooth = float(given)
        except ValueError:
            smooth = -1.0
        if not 0 <= smooth <= _LONGEST_SMOOTHING:
            raise HTTPException(422, f"smooth should be 0 to {_LONGEST_SMOOTHING:g} seconds, but is {given[:40]!r}")
        return name, smooth


class _Talk:
    """One socket.   name: what its records say as their input."""

    def __init__(self, socket: WebSocket, work: Work, limits: ServerLimits, name: str) -> None:
        self._socket, self._work, self._limits, self._name = socket, work, limits, name
        self._newest: tuple[int, float, bytes] | None = None
        self._taking = threading.Lock()
        self._came = anyio.Event()
        self._gone = False

    async def run(self, open_reader: Callable[[], LiveReader]) -> None:
        """Receive frames and answer them."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._answer, open_reader)
            await self._receive()
            self._gone = True
            tasks.cancel_scope.cancel()

    async def _receive(self) -> None:
        """Keep the newest frame, until the client goes away."""
        number, began = 0, monotonic()
        while True:
            with anyio.move_on_after(self._limits.live_seconds):
                message = await self._socket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                frame = message.get("bytes")
                if frame is None:
                    await self._close(_UNSUPPORTED, "a frame is a binary message, one JPEG")
                    return
                with self._taking:
                    self._newest = number, monotonic() - began, frame
                number += 1
                self._came.set()
                continue
            await self._close(_IDLE, f"no frame came for {self._limits.live_seconds:g} s")
            return

    async def _answer(self, open_reader: Callable[[], LiveReader]) -> None:
        """Read the newest frame and send what was read, over and over."""
        reader: LiveReader | None = None

        def read() -> tuple[str, str]:
            nonlocal reader
            reader = reader or open_reader()
            return self._read(reader)

        try:
            while True:
                while self._newest is None:
                    self._came = anyio.Event()
                    await self._came.wait()
                text = await self._work.run(read, self._left)
                with anyio.fail_after(self._limits.body_seconds):
                    await self._socket.send_text(text)
        except HTTPException as refusal:
            stopping = self._work.stopping
            await self._close(_RESTART if stopping else _LATER, str(refusal.detail))
        except TimeoutError:
            await self._close(_IDLE, "the answers are not taken")
        except (WebSocketDisconnect, RuntimeError):  # gone while it was answered
            pass

    async def _left(self) -> bool:
        return self._gone

    def _read(self, reader: LiveReader) -> tuple[str, str]:
        """The record of the newest frame, and what became of it."""
        with self._taking:
            taken, self._newest = self._newest, None
        assert taken is not None  # nobody else takes it
        number, time, data = taken
        try:
            with self._work.decoders.open(data) as image:
                record = frame_record(self._name, reader(Frame(number, time, image)))
        except MienError as error:
            about = {"frame": number, "timestamp": round(time, 4)}
            record = Outcome(self._name, error=error).to_dict() | about
        return json.dumps(record), record["status"]

    async def _close(self, code: int, reason: str) -> None:
        with suppress(WebSocketDisconnect, RuntimeError):  # it may be gone already
            await self._socket.close(code, reason)
