"""A server that says what a test tells it to, and pictures with known faces."""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from mien.core.pipeline import Pipeline
from mien.facs.vocabulary import Expression
from mien.providers.base import Completion
from mien.results.face import Face, Reading
from tests.helpers import scores


@dataclass
class Reply:
    """status and headers of HTTP.   body: JSON, or bytes as they are.   delay: seconds before anything is said."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0


def says(content: str | None, refusal: str | None = None, finish: str = "stop") -> Reply:
    message = {"role": "assistant", "content": content, "refusal": refusal}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    return Reply(
        {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}
    )


def fails(status: int, message: str = "no", **headers: str) -> Reply:
    # Retries wait a millisecond here.
    return Reply({"error": {"message": message}}, status, {"retry-after-ms": "1", **headers})


class Server:
    """replies: one for each request, the last for all that follow.   requests: what came, decoded."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.url = ""

    def will(self, *replies: Reply) -> None:
        self.replies = list(replies)


@contextmanager
def serving() -> Iterator[Server]:
    stub = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            stub.requests.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            stub.keys.append(self.headers["authorization"])
            reply = stub.replies.pop(0) if len(stub.replies) > 1 else stub.replies[0]
            time.sleep(reply.delay)
            body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            try:
                self.send_response(reply.status)
                for name, value in {"content-type": "application/json", **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:  # who asked has hung up
                pass

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    stub.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()


class Scripted:
    """A provider that gives these completions, the last again and again, and keeps what it was asked."""

    name, model, ranks = "scripted", "m", False

    def __init__(self, *completions: Completion | str) -> None:
        self.completions = [c if isinstance(c, Completion) else Completion(c) for c in completions]
        self.asked: list[tuple[Any, ...]] = []

    def complete(self, messages, images, json_schema=None, choices=None):
        self.asked.append((tuple(messages), tuple(images), json_schema, choices))
        return self.completions.pop(0) if len(self.completions) > 1 else self.completions[0]


def found(*lefts: float) -> Pipeline:
    """A pipeline that finds a face of 40 pixels at each of these places from the left, all of them happy."""

    def read(crops: np.ndarray) -> Sequence[Reading]:
        return [Reading(scores({Expression.HAPPINESS: 0.75, Expression.NEUTRAL: 0.25})) for _ in crops]

    faces = [Face(np.array([x, 30, x + 40, 70], np.float32), None, 0.9) for x in lefts]
    return Pipeline(detect=lambda image: faces, read=read)
