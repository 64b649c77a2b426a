import gc
import json
import socket
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest

from mien.core.pipeline import Pipeline
from tests.helpers import encoded, noise
from tests.methods.facescan.stub import found

pytest.importorskip("fastapi")
pytest.importorskip("multipart")
pytest.importorskip("uvicorn")

from mien.serve import server as serving
from mien.serve.app import create_app
from mien.serve.limits import ServerLimits

PICTURE = encoded(noise(100, 200, 3))
LIMITS = ServerLimits(header_seconds=20, body_seconds=20, stop_upload_seconds=0.3, stop_seconds=20)


@contextmanager
def running(pipeline=None, limits=LIMITS, send_buffer=None, **options):
    """A server that really listens, as `mien serve` runs it; its port, and what stops it as SIGTERM would."""
    app = create_app(pipeline or found(20), limits=limits, **options)
    listening = serving.listen("127.0.0.1", 0)
    if send_buffer is not None:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    server = serving.make(app, limits)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)

    def stop():
        server.stop()
        thread.join(20)
        assert not thread.is_alive()

    try:
        yield listening.getsockname()[1], stop
    finally:
        server.stop()
        thread.join(20)


def connected(port):
    connection = socket.create_connection(("127.0.0.1", port))
    connection.settimeout(20)
    return connection


def head(port, length, path="/analyze"):
    return f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {length}\r\n\r\n".encode()


def answer(connection):
    """Status and body; (0, b"") when the connection was cut off."""
    data = b""
    with suppress(ConnectionError):
        while part := connection.recv(65536):
            data += part
            start, end, body = data.partition(b"\r\n\r\n")
            if end and len(body) >= int(start.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]):
                return int(data.split()[1]), body
    return 0, b""


def dripped(connection, byte):
    """Send a byte now and then until the server has enough of it; True when it had."""
    for _ in range(400):
        try:
            connection.sendall(byte)
        except OSError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("start", [b"", b"GET / HTTP/1.1\r\nX-Slow: a"])
def test_a_connection_whose_headers_do_not_come_is_cut_off(start):
    with running(limits=replace(LIMITS, header_seconds=0.3)) as (port, _), connected(port) as connection:
        connection.sendall(start)
        if start:
            assert dripped(connection, b"a")
        else:
            assert answer(connection) == (0, b"")


def test_headers_that_drip_after_an_answer_are_cut_off_too():
    with running(limits=replace(LIMITS, header_seconds=2)) as (port, _), connected(port) as connection:
        connection.sendall(head(port, len(PICTURE)) + PICTURE)
        assert answer(connection)[0] == 200
        connection.sendall(b"GET / HTTP/1.1\r\nX-Slow: ")
        assert dripped(connection, b"a")


def test_a_body_that_does_not_come_is_answered_408():
    with running(limits=replace(LIMITS, body_seconds=0.3)) as (port, _), connected(port) as connection:
        connection.sendall(head(port, 1000) + b"abc")
        status, body = answer(connection)
    assert status == 408
    assert "too slowly" in json.loads(body)["detail"]


def test_a_slow_upload_that_goes_on_is_read():
    with running() as (port, _), connected(port) as connection:
        connection.sendall(head(port, len(PICTURE)))
        for start in range(0, len(PICTURE), len(PICTURE) // 10):
            connection.sendall(PICTURE[start : start + len(PICTURE) // 10])
            time.sleep(0.05)
        assert answer(connection)[0] == 200


def test_a_refusal_reaches_a_client_that_is_still_sending():
    with running(limits=replace(LIMITS, request_bytes=1000)) as (port, _), connected(port) as connection:
        closing = head(port, 20_000_000).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        connection.sendall(closing + bytes(20_000_000))
        assert answer(connection)[0] == 413


def test_an_upload_that_is_broken_off_leaves_no_traceback(caplog):
    with running() as (port, stop):
        for content_type in ("image/png", "multipart/form-data; boundary=a"):
            with connected(port) as connection:
                connection.sendall(
                    head(port, 1000).replace(b"\r\n\r\n", f"\r\nContent-Type: {content_type}\r\n\r\n".encode())
                )
                connection.sendall(b"--a\r\n")
        stop()
    assert caplog.records == []


def test_a_stalled_upload_does_not_hold_up_a_stop():
    with running(limits=replace(LIMITS, body_seconds=1000)) as (port, stop), connected(port) as connection:
        connection.sendall(head(port, 1000) + b"abc")
        time.sleep(0.2)
        stop()
        assert answer(connection)[0] == 503


def test_what_has_come_when_the_server_is_stopped_is_finished():
    started = threading.Event()

    def slow(image):
        started.set()
        time.sleep(0.3)
        return []

    with running(Pipeline(detect=slow), workers=1) as (port, stop):
        connections = [connected(port) for _ in range(5)]
        for connection in connections:
            connection.sendall(head(port, len(PICTURE)) + PICTURE)
        assert started.wait(20)
        stop()
        assert [answer(connection)[0] for connection in connections] == [200] * 5


def test_what_still_waits_at_the_end_of_a_stop_is_refused():
    started = threading.Event()

    def slow(image):
        started.set()
        time.sleep(0.5)
        return []

    with running(Pipeline(detect=slow), replace(LIMITS, stop_seconds=0.1), workers=1) as (port, stop):
        connections = [connected(port) for _ in range(5)]
        for connection in connections:
            connection.sendall(head(port, len(PICTURE)) + PICTURE)
        assert started.wait(20)
        stop()
        statuses = sorted(answer(connection)[0] for connection in connections)
    assert statuses[0] == 200
    assert statuses[-1] == 503


def test_a_client_that_does_not_take_its_answer_is_cut_off():
    limits = replace(LIMITS, body_seconds=2, body_rate=100_000_000)
    with running(limits=limits, send_buffer=4096) as (port, stop):
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", port))
        data = encoded(noise(1200, 1200, 3), "JPEG", quality=95)
        connection.sendall(head(port, len(data), "/report") + data)
        connection.settimeout(20)
        time.sleep(4)
        stop()
        taken = b""
        with connection, suppress(ConnectionError):
            while part := connection.recv(1 << 16):
                taken += part
        assert len(taken) < 200_000


def test_what_stays_for_good_is_not_searched_for_garbage_between_requests(monkeypatch):
    class Stub:
        def run(self, sockets):
            counts.append(gc.get_freeze_count())

    counts = []
    monkeypatch.setattr(serving, "make", lambda app, limits: Stub())
    try:
        serving.run(None, None, LIMITS)
    finally:
        gc.unfreeze()
    assert counts[0] > 10_000


@pytest.mark.parametrize("path", ["/v1/analyze", "/v1/report"])
def test_no_more_forms_are_gathered_than_there_are_workers(path):
    """What is read of a form waits in memory for its last picture."""
    order = []

    def detect(image):
        order.append(len(image))
        return []

    def body(height):
        part = b'--x\r\nContent-Disposition: form-data; name="f"; filename="a.png"\r\n\r\n'
        return (part + encoded(noise(height, 40, 3)) + b"\r\n") * 3 + b"--x--\r\n"

    with running(Pipeline(detect=detect), workers=1) as (port, _), connected(port) as one, connected(port) as other:
        for connection, height in ((one, 40), (other, 50)):
            form = b"\r\nContent-Type: multipart/form-data; boundary=x\r\n\r\n"
            connection.sendall(head(port, len(body(height)), path).replace(b"\r\n\r\n", form) + body(height))
        assert (answer(one)[0], answer(other)[0]) == (200, 200)
    assert order in ([40] * 3 + [50] * 3, [50] * 3 + [40] * 3)


def test_more_connections_than_allowed_are_cut_off_and_the_others_live():
    with running(limits=replace(LIMITS, connections=3, header_seconds=20)) as (port, _):
        connections = [connected(port) for _ in range(3)]
        with connected(port) as surplus:
            assert answer(surplus) == (0, b"")
        connections[0].sendall(head(port, len(PICTURE)) + PICTURE)
        assert answer(connections[0])[0] == 200
        for connection in connections:
            connection.close()


def test_who_went_away_is_not_read_for():
    read = []
    go = threading.Event()

    def slow(image):
        read.append(image)
        go.wait(20)
        return []

    with running(Pipeline(detect=slow), workers=1) as (port, _):
        staying, leaving, last = (connected(port) for _ in range(3))
        for connection in (staying, leaving, last):
            connection.sendall(head(port, len(PICTURE)) + PICTURE)
            time.sleep(0.2)
        leaving.close()
        time.sleep(0.2)
        go.set()
        assert [answer(connection)[0] for connection in (staying, last)] == [200, 200]
    assert len(read) == 2


@pytest.mark.parametrize(
    "sent",
    [
        b"hello",
        b"GET /v1/live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: a",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13",
    ],
)
def test_what_no_route_answers_has_the_headers_of_every_answer(sent):
    with running() as (port, _), connected(port) as connection:
        connection.sendall(sent + b"\r\n\r\n")
        data = b""
        with suppress(ConnectionError):
            while part := connection.recv(65536):
                data += part
    assert data.startswith(b"HTTP/1.1 4")
    for header in (b"x-content-type-options: nosniff", b"frame-ancestors 'self'", b"x-frame-options: SAMEORIGIN"):
        assert header in data


def opened_socket(port):
    """A connection after the handshake of a WebSocket."""
    connection = connected(port)
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n"
    connection.sendall(f"GET /v1/live HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{upgrade}{key}\r\n".encode())
    assert connection.recv(4096).startswith(b"HTTP/1.1 101")
    return connection


def test_a_socket_outlives_the_deadline_of_headers_and_one_that_drips_a_frame_is_cut_off():
    limits = replace(LIMITS, header_seconds=0.2, live_seconds=1.5)
    with running(limits=limits) as (port, _), opened_socket(port) as connection:
        # The head of a masked frame of 100 kB, and then a byte now and then.
        connection.sendall(b"\x82\xff" + (100_000).to_bytes(8, "big") + b"\0\0\0\0")
        began = time.monotonic()
        assert dripped(connection, b"a")
        assert time.monotonic() - began > 0.5


def test_a_stop_says_goodbye_to_open_sockets():
    with running() as (port, stop), opened_socket(port) as connection:
        stop()
        assert connection.recv(4096)[:4] == b"\x88\x02" + (1012).to_bytes(2, "big")
