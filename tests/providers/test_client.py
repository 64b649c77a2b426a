import gzip
import json
import socket
import threading
import time
from contextlib import contextmanager

import pytest

from mien.facs.vocabulary import Attribute
from mien.methods.facescan import FaceScanner
from mien.providers.base import Message, Picture
from mien.providers.openai import OpenAICompatible
from mien.results.scan import AnswerStatus
from tests.helpers import noise
from tests.methods.facescan.stub import Reply, fails, found, says, serving

pytest.importorskip("openai")

QUESTION = [Message("user", "What?")]
PICTURE = [Picture(noise(40, 40, 3))]
ANSWER = json.dumps(says("fear").body).encode()


@contextmanager
def hostile(*parts, pause=0.0, forever=False):
    """A server that answers each request with these bytes, a pause between them; forever: the last again and again."""
    listening = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def answer(connection):
        with connection:
            try:
                connection.recv(1 << 20)
                for part in parts:
                    connection.sendall(part)
                    over.wait(pause)
                while forever and not over.is_set():
                    connection.sendall(parts[-1])
                    over.wait(pause)
                over.wait(5 if forever else 0)
            except OSError:
                pass

    def accept():
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    finally:
        over.set()
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def head(*lines):
    return "".join(f"{line}\r\n" for line in ("HTTP/1.1 200 OK", "Content-Type: application/json", *lines)).encode()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_so_no_other_host_gets_the_face(status):
    with serving() as elsewhere, serving() as server:
        elsewhere.will(says("fear"))
        server.will(Reply({}, status, {"location": f"{elsewhere.url}/chat/completions"}))
        completion = OpenAICompatible(server.url, "m", timeout=5).complete(QUESTION, PICTURE)
        assert elsewhere.requests == []
    assert completion.failure is AnswerStatus.TRANSPORT_ERROR
    assert f"redirects to {elsewhere.url}" in completion.problem


@pytest.mark.parametrize("status", [200, 400])
def test_an_answer_without_end_is_a_transport_error_and_is_asked_for_once(status):
    with hostile(head("Connection: close", "").replace(b"200", b"%d" % status), b" " * 100_000, forever=True) as url:
        completion = OpenAICompatible(url, "m", timeout=20).complete(QUESTION, [])
    assert completion.failure is AnswerStatus.TRANSPORT_ERROR
    assert "longer than 1000 kB" in completion.problem


def test_a_compressed_answer_is_not_unpacked():
    bomb = gzip.compress(b" " * 10_000_000)
    with hostile(head("Content-Encoding: gzip", f"Content-Length: {len(bomb)}", "") + bomb) as url:
        completion = OpenAICompatible(url, "m", timeout=20).complete(QUESTION, [])
    assert completion.failure is AnswerStatus.TRANSPORT_ERROR
    assert "compressed (gzip)" in completion.problem


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param((b"HTTP/1.1 200 OK\r\nX-Slow: ", b"a"), id="headers"),
        pytest.param((head("Content-Length: 100000", ""), b" "), id="body"),
    ],
)
def test_a_server_that_drips_ends_at_the_deadline(parts):
    with hostile(*parts, pause=0.1, forever=True) as url:
        asking = OpenAICompatible(url, "m", timeout=0.5)
        answers = []
        waiting = threading.Thread(target=lambda: answers.append(asking.complete(QUESTION, [])), daemon=True)
        waiting.start()
        waiting.join(30)  # it would drip for ever
    assert [answer.failure for answer in answers] == [AnswerStatus.TIMEOUT]
    assert "did not answer in time" in answers[0].problem


def test_the_deadline_is_of_all_attempts_together():
    with serving() as server:
        server.will(fails(503, **{"retry-after-ms": "30000"}))
        start = time.monotonic()
        completion = OpenAICompatible(server.url, "m", timeout=0.5).complete(QUESTION, [])
        assert time.monotonic() - start < 25
    assert (completion.failure, len(server.requests)) == (AnswerStatus.TIMEOUT, 1)


def test_json_that_is_nested_without_end_is_a_transport_error():
    with serving() as server:
        server.will(Reply(b"[" * 500_000))
        completion = OpenAICompatible(server.url, "m", timeout=20).complete(QUESTION, [])
    assert completion.failure is AnswerStatus.TRANSPORT_ERROR


def test_a_long_reason_with_control_characters_is_shown_short_and_plain():
    with serving() as server:
        server.will(fails(400, "\x1b[31mno\n" + "a" * 10_000))
        completion = OpenAICompatible(server.url, "m", timeout=20).complete(QUESTION, [])
    assert len(completion.problem) < 400
    assert completion.problem.isprintable()


def test_half_a_surrogate_pair_inside_the_json_of_an_answer_can_be_written():
    with serving() as server:
        server.will(says('{"expression": "fear", "confidence": 0.8, "observations": "brows \\ud800 raised"}'))
        scanner = FaceScanner(OpenAICompatible(server.url, "m", timeout=20), pipeline=found(20))
        attributes = scanner(noise(100, 200, 3)).faces[0].attributes
    assert attributes.answers[Attribute.EXPRESSION].value == "fear"
    assert attributes.rationale == "brows ? raised"
