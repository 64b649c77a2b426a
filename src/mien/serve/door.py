"""What every request passes before its route: who may ask, how much, and how slowly; and what every answer carries."""

import base64
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import anyio
from fastapi import HTTPException

from mien.serve.limits import Deadlines, ServerLimits, busy
from mien.serve.traffic import Traffic

LOOPBACK = ("127.0.0.1", "localhost", "::1")
# Neither says anything of anybody, and who looks after servers asks by address and without a token.
_OPEN = ("/healthz",)
# An answer is nobody's to frame, to guess the type of, or to keep; the page and its script say otherwise themselves.
HEADERS = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "x-frame-options": "SAMEORIGIN",
    # Under "no-referrer" a browser would send the page's own form from the origin "null", which is refused.
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
# What a client of /v1/live may offer as its protocol, and how it may send the token: pages cannot set headers there.
PROTOCOL, _TOKEN_PROTOCOL = "mien.live", "mien.token."
_RAW = {name.encode(): value.encode() for name, value in HEADERS.items()}
_DRAIN_SECONDS = 5
# An answer is there once as itself and once as what its connection has still to send; small ones are not counted.
_COPIES, _SMALL = 2, 100_000
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Door:
    """ASGI middleware.

    hosts: names of this server that requests may use; "*" is any.   origins: web pages elsewhere that may ask.
    token: what requests have to know; None lets everybody in.
    streamed: paths whose bodies are not kept in memory, with how many bytes each may have.
    """

    def __init__(
        self,
        app: Callable[[Scope, Receive, Send], Awaitable[None]],
        limits: ServerLimits,
        deadlines: Deadlines,
        traffic: Traffic,
        hosts: Sequence[str] = LOOPBACK,
        origins: Sequence[str] = (),
        token: str | None = None,
        streamed: Mapping[str, int] | None = None,
    ) -> None:
        self._app, self._limits, self._deadlines = app, limits, deadlines
        self._hosts = frozenset(host.lower().strip("[]") for host in hosts)
        self._origins = frozenset(origins)
        self._token = None if token is None else token.encode()
        self._traffic, self._streamed = traffic, dict(streamed or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = _headers(scope)
        passage = _Passage(self, scope, headers, receive, send)
        refusal = self._refusal(scope, headers)
        if refusal is None and scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            await passage.answer(204, b"", {"access-control-max-age": "600"})
        elif refusal is not None or (refusal := passage.enter()) is not None:
            await passage.refuse(refusal)
        else:
            try:
                # HEAD is GET without its body, which the passage leaves out.
                method = "GET" if passage.head else scope["method"]
                await self._app({**scope, "method": method}, passage.receive, passage.send)
            finally:
                passage.leave()

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a WebSocket through, or refuse it with an answer of HTTP."""

        async def counted_send(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "websocket.http.response.start":
                self._traffic.answers[message["status"]] += 1
                message = _with(message, _RAW)
            await send(message)

        refusal = self._refusal(scope, _headers(scope))
        if refusal is None:
            await self._app(scope, receive, counted_send)
            return
        body = json.dumps({"detail": refusal.detail}).encode()
        raw = _raw({"content-type": "application/json", **(refusal.headers or {})})
        await counted_send({"type": "websocket.http.response.start", "status": refusal.status_code, "headers": raw})
        await counted_send({"type": "websocket.http.response.body", "body": body})

    def _refusal(self, scope: Scope, headers: Mapping[str, str]) -> HTTPException | None:
        if scope["path"] in _OPEN:
            return None
        host = _name(headers.get("host", ""))
        if "*" not in self._hosts and host not in self._hosts:
            return HTTPException(
                421, f"this server does not go by the name {host!r}; start it with --allow-host {host}"
            )
        origin = headers.get("origin")
        if origin is not None and origin not in self._origins and urlsplit(origin).netloc != headers.get("host"):
            return HTTPException(403, f"pages of {origin} may not ask; start the server with --allow-origin {origin}")
        preflight = scope.get("method") == "OPTIONS"  # comes without a token, by design
        if self._token is not None and not preflight and not self._let_in(scope, headers):
            # A browser asks for the password of the second, so that the page can be used as well.
            schemes = {"www-authenticate": 'Bearer, Basic realm="mien: any user, the token as password"'}
            return HTTPException(401, "this server wants its token: Authorization: Bearer TOKEN", schemes)
        return None

    def _let_in(self, scope: Scope, headers: Mapping[str, str]) -> bool:
        offered = [
            p.removeprefix(_TOKEN_PROTOCOL) for p in scope.get("subprotocols", ()) if p.startswith(_TOKEN_PROTOCOL)
        ]
        return self._knows(headers.get("authorization", "")) or any(map(self._decodes, offered))

    def _decodes(self, offered: str) -> bool:
        try:
            secret = base64.urlsafe_b64decode(offered + "=" * (-len(offered) % 4))
        except ValueError:
            return False
        return hmac.compare_digest(secret, self._token or b"")

    def _knows(self, authorization: str) -> bool:
        scheme, _, given = authorization.partition(" ")
        secret = given.strip().encode("latin-1")
        if scheme.lower() == "basic":
            try:
                secret = base64.b64decode(secret, validate=True).partition(b":")[2]
            except ValueError:
                return False
        elif scheme.lower() != "bearer":
            return False
        return hmac.compare_digest(secret, self._token or b"")


class _Passage:
    """One request on its way in, and its answer on its way out."""

    def __init__(self, door: Door, scope: Scope, headers: Mapping[str, str], receive: Receive, send: Send) -> None:
        self._door, self._headers, self._receive, self._send = door, headers, receive, send
        self.head = scope["method"] == "HEAD"
        self._streamed = scope["path"] in door._streamed
        self._most = door._streamed.get(scope["path"], door._limits.request_bytes)
        self._declared = int(headers.get("content-length", "0"))
        self._length = self._declared
        self._has_body = self._declared > 0 or "transfer-encoding" in headers
        self._ended = not self._has_body
        self._came = 0
        self._held: int | None = None
        self._answer, self._withheld = 0, False
        self._began = 0.0

    def enter(self) -> HTTPException | None:
        """Reserve what the request will take; the reason when there is no room for it."""
        door, limits = self._door, self._door._limits
        if not self._has_body:
            return None
        if self._declared > self._most:
            return _too_large(self._most)
        if not door._traffic.requests.take(1):
            return busy(limits)
        held = 0 if self._streamed else self._declared
        if not door._traffic.bytes.take(held):
            door._traffic.requests.give(1)
            return busy(limits)
        self._held, self._began = held, anyio.current_time()
        return None

    def leave(self) -> None:
        """Give back what was reserved."""
        self._door._traffic.bytes.give(self._answer)
        self._answer = 0
        if self._held is not None:
            self._door._traffic.bytes.give(self._held)
            self._door._traffic.requests.give(1)
            self._held = None

    async def receive(self) -> MutableMapping[str, Any]:
        """The next part of the body, within its deadline, its size and the budget."""
        if self._ended:
            return await self._receive()
        limits = self._door._limits
        allowed = limits.body_seconds + self._came / limits.body_rate
        left = self._began + allowed - anyio.current_time()
        late = HTTPException(408, "the request came too slowly", _CLOSE)
        with self._door._deadlines.within(left, late, limits.stop_upload_seconds):
            message = await self._receive()
        self._ended = not message.get("more_body")
        self._count(len(message.get("body", b"")))
        return message

    def _count(self, size: int) -> None:
        self._came += size
        if self._came > self._most:
            raise _too_large(self._most)
        more = 0 if self._streamed else self._came - (self._held or 0)
        if more > 0:  # its length was not declared
            if not self._door._traffic.bytes.take(more):
                raise busy(self._door._limits)
            self._held = self._came

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Send a part of the answer, with the headers that all have."""
        if self._withheld:
            return
        if message["type"] == "http.response.start":
            if (refusal := self._hold(message)) is not None:
                await self.refuse(refusal)
                self._withheld = True
                return
            self._door._traffic.answers[message["status"]] += 1
            message = _with(message, self._all())
        elif self.head:
            message = {**message, "body": b""}
        elif self._answer and not message.get("more_body"):
            # The end of the answer is sent when the connection has taken the rest: until then it is in memory.
            await self._send({**message, "more_body": True})
            message = {"type": "http.response.body", "body": b""}
        if message["type"] == "http.response.body" and not message.get("more_body") and not self._ended:
            # A connection that is closed while its client still sends is reset, and the client may lose the answer.
            await self._send({**message, "more_body": True})
            self.leave()
            await self._drain()
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)

    def _hold(self, start: MutableMapping[str, Any]) -> HTTPException | None:
        """Reserve what the answer takes until it is taken; the reason when there is no room for it."""
        length = next((int(value) for name, value in start.get("headers", ()) if name.lower() == b"content-length"), 0)
        held, limits = _COPIES * length, self._door._limits
        if length <= _SMALL or self.head:
            return None
        if held > limits.bytes_in_flight:
            return HTTPException(413, f"the answer would have {length / 1e6:.3g} MB; ask about less", _CLOSE)
        if not self._door._traffic.bytes.take(held):
            return busy(limits)
        self._answer = held
        return None

    def _all(self) -> dict[bytes, bytes]:
        origin = self._headers.get("origin")
        if origin not in self._door._origins:
            return _RAW
        allowed = {
            b"access-control-allow-origin": origin.encode("latin-1"),
            b"access-control-allow-methods": b"DELETE, GET, HEAD, POST",
            b"access-control-allow-headers": b"authorization, content-type",
            b"vary": b"origin",
            b"cross-origin-resource-policy": b"cross-origin",
        }
        return _RAW | allowed

    async def _drain(self) -> None:
        with anyio.move_on_after(1 if self._door._deadlines.stopping else _DRAIN_SECONDS):
            while True:
                message = await self._receive()
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    return

    async def answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        """Answer without asking a route."""
        raw = _raw(headers)
        if body:
            raw.append((b"content-length", str(len(body)).encode()))
        await self.send({"type": "http.response.start", "status": status, "headers": raw})
        await self.send({"type": "http.response.body", "body": body})

    async def refuse(self, refusal: HTTPException) -> None:
        """Answer with the reason."""
        body = json.dumps({"detail": refusal.detail}).encode()
        await self.answer(refusal.status_code, body, {"content-type": "application/json", **(refusal.headers or {})})


_CLOSE = {"connection": "close"}


def _too_large(most: int) -> HTTPException:
    return HTTPException(413, f"a request may have {most / 1_000_000:g} MB; send something smaller", _CLOSE)


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def _raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]


def _with(message: MutableMapping[str, Any], headers: Mapping[bytes, bytes]) -> MutableMapping[str, Any]:
    """The start of an answer with these headers, except those that it has already."""
    given = list(message.get("headers", ()))
    names = {name.lower() for name, _ in given}
    return {**message, "headers": given + [h for h in headers.items() if h[0] not in names]}


def _name(host: str) -> str:
    """The name in a Host header, without its port."""
    name = host.rpartition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return name.lower().strip("[]")
