"""Requests that are made to cost a server memory, and the most that it takes with its processes under each of them."""

import asyncio
import io
import json
import os
import re
import socket
import struct
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from PIL import Image

BODY, WAITING = 31_000_000, 40.0
BOUNDARY = "mien-attack"
EXAMPLE = Path(__file__).parents[1] / "examples" / "astronaut.png"


class Case(NamedTuple):
    """So many requests at once.

    left: bytes at the end of each that never come.   taken: whether the answers are taken from the connection.
    """

    path: str
    body: bytes
    times: int
    kind: str = "application/octet-stream"
    left: int = 0
    taken: bool = True


class Cost(NamedTuple):
    """memory_mb: at most, of the server with its processes.   before_mb: at rest.   answers: by status; 0 is none."""

    before_mb: float
    memory_mb: float
    answers: dict[str, int]


CASES: dict[str, Callable[[], Case]] = {
    "4 reports of an RGBA PNG of 100 megapixels, 16 bits": lambda: Case("/report", png(10_000, 10_000, 16, 6), 4),
    "40 reports of a JPEG of 24 megapixels": lambda: Case("/report", picture(6_000, 4_000), 40),
    "60 unfinished uploads of 31 MB": lambda: Case("/analyze", bytes(BODY), 60, left=1),
    "60 unfinished forms of 31 MB": lambda: Case("/v1/analyze", form([bytes(BODY)]), 60, FORM, left=1),
    "5 JSON bodies of 31 MB, of empty lists": lambda: Case(CHAT, b"[" + b"[]," * (BODY // 3) + b"1]", 5),
    "5 JSON bodies of 31 MB, of one long text": lambda: Case(CHAT, said("a" * BODY), 5),
    "5 JSON bodies of 31 MB, of wide characters": lambda: Case(CHAT, said("a" * (BODY - 4) + "\U0001f600"), 5),
    "4 tables of 31 MB, of the shortest records": lambda: Case("/v1/table", RECORD * (BODY // len(RECORD)), 4),
    "4 AVIF of 40 megapixels": lambda: Case("/analyze", picture(8_000, 5_000, "AVIF", quality=50, speed=10), 4),
    "8 pages of a form of 100 pictures": lambda: Case("/v1/report", form([picture(1_280, 1_280)] * 100), 8, FORM),
    "100 reports of many faces that are not taken": lambda: Case("/report", faces(12), 100, taken=False),
}
CHAT: str = "/v1/chat/completions"
FORM: str = f"multipart/form-data; boundary={BOUNDARY}"
RECORD: bytes = b'{"input":"","status":"ok","error":null,"faces":[]}\n'


def cost(case: Case, seconds: float = 240.0) -> Cost:
    """What a case costs a server of its own, until all is answered or so many seconds have passed.

    A case whose clients wait is watched for WAITING seconds.
    """
    if case.left or not case.taken:
        seconds = min(seconds, WAITING)
    with served("--openai") as (process, port):
        with suppress(OSError):
            asyncio.run(_ask(port, Case("/report", EXAMPLE.read_bytes(), 1), 60))
        before = memory(process.pid)
        answers, peak = asyncio.run(_watched(process.pid, port, case, seconds))
    return Cost(round(before), round(peak), {str(status): count for status, count in sorted(answers.items())})


@contextmanager
def served(*options: str, source: Path | None = None) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A server; the process, and its port.   source: the `src` of another version."""
    environment = os.environ if source is None else {**os.environ, "PYTHONPATH": str(source)}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mien", "serve", "--port", str(port), *options]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            break
        time.sleep(0.1)
    try:
        yield process, port
    finally:
        process.kill()
        process.wait()


def memory(process: int) -> float:
    """Resident megabytes of a program and those that it started."""
    total, waiting = 0.0, [process]
    while waiting:
        each = waiting.pop()
        with suppress(OSError, TypeError):  # it ended meanwhile
            lists = Path(f"/proc/{each}/task").glob("*/children")
            waiting += [int(child) for children in lists for child in children.read_text().split()]
            total += int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{each}/status").read_text())[1]) / 1e3  # type: ignore[index]
    return total


async def _watched(pid: int, port: int, case: Case, seconds: float) -> tuple[Counter[int], float]:
    asking = asyncio.create_task(_ask(port, case, seconds))
    peak = memory(pid)
    while not asking.done():
        await asyncio.sleep(0.02)
        peak = max(peak, memory(pid))
    return await asking, peak


async def _ask(port: int, case: Case, seconds: float) -> Counter[int]:
    head = (
        f"POST {case.path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nContent-Type: {case.kind}\r\n"
        f"Content-Length: {len(case.body)}\r\n\r\n"
    ).encode()
    body = case.body[: len(case.body) - case.left]

    async def one() -> None:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 16)
            writer.write(head)
            sent = asyncio.create_task(_send(writer, body))
            answer = await reader.read(64)
            answers[int(answer.split()[1]) if answer else 0] += 1
            if case.taken:
                while await reader.read(1 << 16):
                    pass
            else:
                await asyncio.sleep(seconds)
            sent.cancel()
            writer.close()
        except OSError:  # cut off
            pass

    answers: Counter[int] = Counter()
    _, open = await asyncio.wait([asyncio.create_task(one()) for _ in range(case.times)], timeout=seconds)
    for task in open:
        task.cancel()
    answers[0] += case.times - answers.total()
    return +answers


async def _send(writer: asyncio.StreamWriter, body: bytes) -> None:
    with suppress(OSError):
        for start in range(0, len(body), 1 << 18):
            writer.write(body[start : start + (1 << 18)])
            await writer.drain()


def said(text: str) -> bytes:
    """A request of chat completions in which a picture should be."""
    content = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{text}"}}]
    return json.dumps(
        {"model": "mien", "messages": [{"role": "user", "content": content}]}, ensure_ascii=False
    ).encode()


def form(pictures: list[bytes]) -> bytes:
    """A form of these files."""
    head = 'Content-Disposition: form-data; name="file"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    parts = (f"--{BOUNDARY}\r\n{head}".encode() + picture + b"\r\n" for picture in pictures)
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def picture(width: int, height: int, format: str = "JPEG", **options: object) -> bytes:
    """A gray picture as a file's bytes."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), "gray").save(file, format, **options)
    return file.getvalue()


def faces(side: int) -> bytes:
    """A face, side times side times, as a PNG."""
    face = Image.open(EXAMPLE).convert("RGB").crop((150, 40, 300, 190)).resize((96, 96))
    whole = Image.new("RGB", (96 * side, 96 * side))
    for i in range(side * side):
        whole.paste(face, (96 * (i % side), 96 * (i // side)))
    file = io.BytesIO()
    whole.save(file, "WEBP", lossless=True)
    return file.getvalue()


def png(width: int, height: int, bits: int, color: int) -> bytes:
    """A black PNG, a thousand times smaller than its pixels."""
    line = b"\0" + bytes(width * bits * {0: 1, 2: 3, 6: 4}[color] // 8)
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(line) for _ in range(height)) + packer.flush()
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)),
        (b"IDAT", packed),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


if __name__ == "__main__":
    for name in sys.argv[1:] or CASES:
        for case in (each for each in CASES if name in each):
            print(json.dumps({"name": case, **cost(CASES[case]())._asdict(), "load": os.getloadavg()[0]}), flush=True)
