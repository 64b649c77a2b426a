"""A server under many clients: python benchmarks/server.py [--source FOLDER] [--live].

--source: the `src` of another version, whose server is measured instead.   --live: also sockets of /v1/live.
Prints one line of JSON: 200 uploads at once and what / takes meanwhile, a stop with 30 uploads in flight, 20 live
sockets with the memory of the server and its processes, and how long a client lives that sends a byte a second.
"""

import argparse
import asyncio
import json
import os
import re
import signal
import time
from datetime import date
from pathlib import Path
from statistics import median

from attacks import served

ROOT = Path(__file__).parents[1]
PHOTO = (ROOT / "examples" / "astronaut.png").read_bytes()


async def asked(port, request):
    """Status of HTTP, 0 for a connection that was cut off, and seconds."""
    began = time.perf_counter()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        await writer.drain()
        answer = await reader.read()
        writer.close()
    except OSError:
        answer = b""
    return int(answer.split()[1]) if answer else 0, time.perf_counter() - began


def upload(port):
    head = (
        f"POST /analyze HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nContent-Length: {len(PHOTO)}\r\n\r\n"
    )
    return head.encode() + PHOTO


async def crowd(port, count=200):
    page = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode()
    await asked(port, upload(port))
    idle = [await asked(port, page) for _ in range(5)]
    began = time.perf_counter()
    uploads = [asyncio.create_task(asked(port, upload(port))) for _ in range(count)]
    pages = []
    while not all(task.done() for task in uploads):
        pages.append(await asked(port, page))
        await asyncio.sleep(0.2)
    seconds = time.perf_counter() - began
    answers = [await task for task in uploads]
    times = sorted(s for _, s in pages)
    return {
        "uploads": count, "answered_200": sum(status == 200 for status, _ in answers), "seconds": round(seconds, 1),
        "pages": len(pages), "pages_200": sum(status == 200 for status, _ in pages),
        "page_median_s": round(median(times), 3), "page_p95_s": round(times[int(0.95 * (len(times) - 1))], 3),
        "page_worst_s": round(times[-1], 3), "page_idle_s": round(median(s for _, s in idle), 3),
    }  # fmt: skip


async def stopped(process, port, count=30):
    await asked(port, upload(port))
    uploads = [asyncio.create_task(asked(port, upload(port))) for _ in range(count)]
    await asyncio.sleep(0.5)
    began = time.perf_counter()
    process.send_signal(signal.SIGTERM)
    answers = [await task for task in uploads]
    code = await asyncio.to_thread(process.wait, 60)
    statuses = [status for status, _ in answers]
    counts = {str(status): statuses.count(status) for status in sorted(set(statuses))}
    return {"in_flight": count, "answers": counts, "seconds": round(time.perf_counter() - began, 1), "exit": code}


async def dripped(port):
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for byte in b"POST /analyze HTTP/1.1\r\nX-Slow: " + b"a" * 100:
        writer.write(bytes([byte]))
        try:
            await writer.drain()
            await asyncio.wait_for(reader.read(1), 1)
            break
        except TimeoutError:
            continue
        except OSError:
            break
    return {"byte_a_second_lives_s": round(time.perf_counter() - began, 1)}


def memory(pid):
    """Megabytes of a process and those that it started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    of = int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1000
    return of + sum(memory(child) for child in children if Path(f"/proc/{child}").exists())


async def live(process, port, rate, count=20, seconds=20.0):
    """Each client sends so many frames a second, whether or not they are answered."""
    from websockets.asyncio.client import connect

    frame = _frame()
    answers, peak = [0] * count, [memory(process.pid)]
    start = peak[0]

    async def client(i):
        async with connect(f"ws://127.0.0.1:{port}/v1/live", max_size=None) as socket:

            async def receive():
                async for _ in socket:
                    answers[i] += 1

            receiving = asyncio.create_task(receive())
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                await socket.send(frame)
                await asyncio.sleep(1 / rate)
            receiving.cancel()

    async def watch():
        while True:
            await asyncio.sleep(0.5)
            peak.append(memory(process.pid))

    watching = asyncio.create_task(watch())
    await asyncio.gather(*map(client, range(count)))
    watching.cancel()
    half = len(peak) // 2
    return {
        "sockets": count, "sent_a_second_each": rate, "seconds": seconds,
        "answers_least": min(answers), "answers_most": max(answers),
        "answers_a_second": round(sum(answers) / seconds, 1), "memory_before_mb": round(start),
        "memory_first_half_mb": round(max(peak[:half])), "memory_second_half_mb": round(max(peak[half:])),
    }  # fmt: skip


def _frame():
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.open(io.BytesIO(PHOTO)).convert("RGB").resize((640, 640)).crop((0, 0, 640, 480)).save(
        file, "JPEG", quality=85
    )
    return file.getvalue()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", type=Path, default=ROOT / "src")
    parser.add_argument("--live", action="store_true")
    given = parser.parse_args()
    result: dict[str, object] = {}
    with served(source=given.source) as (process, port):
        result |= asyncio.run(crowd(port))
    with served(source=given.source) as (process, port):
        result["stop"] = asyncio.run(stopped(process, port))
    if given.live:
        with served(source=given.source) as (process, port):
            result["live"] = [asyncio.run(live(process, port, rate)) for rate in (5, 30)]
            result |= asyncio.run(dripped(port))
    load = os.getloadavg()[0]
    print(
        json.dumps(
            {
                "source": given.source.parent.name,
                **result,
                "cores": os.cpu_count(),
                "load": load,
                "date": date.today().isoformat(),
            }
        )
    )


if __name__ == "__main__":
    main()
