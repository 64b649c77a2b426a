"""uvicorn with an end to everything: connections that send or take nothing, and a stop that comes in time."""

import asyncio
import gc
import os
import socket
import threading
from types import FrameType
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Response

from mien.serve.door import HEADERS
from mien.serve.limits import Deadlines, ServerLimits

# Seconds for what runs to end by itself after the deadline of a stop; then the process ends.
_LAST_SECONDS = 6


def run(app: FastAPI, listening: socket.socket, limits: ServerLimits) -> None:
    """Answer on a socket until SIGTERM or Ctrl-C; what has come by then is finished, within limits.stop_seconds."""
    # What is imported and open stays until the end: to search it for garbage would hold up everybody each time.
    gc.collect()
    gc.freeze()
    make(app, limits).run(sockets=[listening])


def make(app: FastAPI, limits: ServerLimits) -> "Server":
    """Return a server of an application of mien.serve.app, made with the same limits."""
    config = uvicorn.Config(
        app,
        http=type("Protocol", (_BoundedProtocol,), {"limits": limits}),
        ws=_sockets(limits),
        ws_max_size=limits.live_frame,
        ws_per_message_deflate=False,  # pictures are compressed, and a bomb need not be
        log_level="warning",
        access_log=False,
        server_header=False,
    )
    return Server(config, app.state.deadlines, limits)


class Server(uvicorn.Server):
    """A server that tells the waits of its application when it is stopped."""

    def __init__(self, config: uvicorn.Config, deadlines: Deadlines, limits: ServerLimits) -> None:
        super().__init__(config)
        self._deadlines, self._limits = deadlines, limits
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Note the event loop that the server runs on."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)

    def stop(self) -> None:
        """Begin to stop; from any thread."""
        self.should_exit = True
        if self._loop is not None and self._loop.is_running():
            asyncio.run_coroutine_threadsafe(self._deadlines.stop(), self._loop)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop on a signal."""
        super().handle_exit(sig, frame)
        self.stop()
        # A thread inside a library cannot be ended otherwise.
        last = threading.Timer(self._limits.stop_seconds + _LAST_SECONDS, os._exit, [128 + sig])
        last.daemon = True
        last.start()


class _BoundedProtocol(H11Protocol):
    """HTTP/1.1 connections that are cut off when a request's headers, or the taking of an answer, take too long."""

    limits: ServerLimits
    _waiting: asyncio.TimerHandle | None = None
    _writing: asyncio.TimerHandle | None = None
    _upgraded = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            transport.abort()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for timer in (self._waiting, self._writing):
            if timer is not None:
                timer.cancel()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        super().handle_websocket_upgrade(event)
        self._upgraded = True  # the socket has deadlines of its own

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, with the headers that all answers have."""
        headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
        headers += [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
        for event in (
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=msg.encode("ascii")),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _watch(self) -> None:
        """Set the deadline when no request is being answered, once: more bytes do not move it."""
        answering = self._upgraded or (self.cycle is not None and not self.cycle.response_complete)
        if answering and self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        elif not answering and self._waiting is None:
            self._waiting = self.loop.call_later(self.limits.header_seconds, self.transport.abort)

    def pause_writing(self) -> None:
        super().pause_writing()
        seconds = self.limits.body_seconds + self.transport.get_write_buffer_size() / self.limits.body_rate
        self._writing = self.loop.call_later(seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._writing is not None:
            self._writing.cancel()


def _sockets(limits: ServerLimits) -> type[asyncio.Protocol]:
    """WebSockets whose clients are cut off when they do not take what is sent; refusals have the usual headers."""

    class BoundedSocket(WebSocketsSansIOProtocol):
        _writing: asyncio.TimerHandle | None = None

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            send = self.conn.send_response

            def send_response(response: Response) -> None:
                for name, value in HEADERS.items() if response.status_code != 101 else ():
                    if name not in response.headers:
                        response.headers[name] = value
                send(response)

            self.conn.send_response = send_response  # type: ignore[method-assign]

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            if self._writing is not None:
                self._writing.cancel()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._writing = self.loop.call_later(limits.body_seconds, self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            if self._writing is not None:
                self._writing.cancel()

    return BoundedSocket


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; OSError when the address is not to be had."""
    families = [family for family, *_ in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    family = socket.AF_INET if socket.AF_INET in families else families[0]
    return socket.create_server((host, port), family=family, backlog=2048)
