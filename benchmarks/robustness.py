"""Damaged pictures, and cases that are made to cost: outcomes, worst seconds, worst memory, lines on standard error.

python benchmarks/robustness.py pictures [--files 40000] [-o benchmarks/results/robustness-pictures.json]
python benchmarks/robustness.py costs [-o benchmarks/results/robustness-costs.json]
python benchmarks/robustness.py server [-o benchmarks/results/robustness-server.json]

Each damaged file goes through a Pipeline as a photograph would. Every case of cost runs in a process of its own, which
may take 8 GB and 30 seconds of the processor. Every attack on the server has a server of its own. PYTHONPATH may name
another version of mien, to compare.
"""

import argparse
import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import mien
from attacks import CASES as ATTACKS
from attacks import cost, png
from mien.errors import InputWarning
from mutator import damaged, seeds

# Files a process: its largest resident memory is that of the worst of them.
CHUNK, WORKERS = 2_000, 4
# Of a case: bytes, seconds of the processor, and seconds to wait.
MOST_MEMORY, MOST_SECONDS, MOST_WAIT = 8 << 30, 30, 120.0


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("what", choices=("pictures", "costs", "server"))
    arguments.add_argument("--files", type=int, default=40_000)
    arguments.add_argument("--chunk", type=int, help=argparse.SUPPRESS)
    arguments.add_argument("--case", help=argparse.SUPPRESS)
    arguments.add_argument("-o", "--output", type=Path)
    given = arguments.parse_args()
    if given.chunk is not None:
        print(json.dumps(chunk(given.chunk, min(CHUNK, given.files - given.chunk))))
    elif given.case:
        case(*given.case.split(":", 1))
    elif given.what == "server":
        rows = [{"name": name, **cost(make())._asdict()} for name, make in ATTACKS.items()]
        publish({"measure": "attacks on a server, each on one of its own", **load(), "cases": rows}, given.output)
    elif given.what == "pictures":
        publish({"measure": "damaged pictures through a Pipeline", **mutator(given.files)}, given.output)
    else:
        result = {"measure": "cases that are made to cost, each in a process of its own", **load(), "cases": costs()}
        publish(result, given.output)


def publish(result: dict[str, Any], output: Path | None) -> None:
    """Print a result with its conditions; without them in versions of mien that keep those elsewhere."""
    try:
        from publish import publish
    except ImportError:
        print(json.dumps(result, indent=1))
    else:
        publish(result, output)


def load() -> dict[str, float]:
    """Programs that want the processor meanwhile: seconds mean little when they are more than its cores."""
    return {"load": round(os.getloadavg()[0], 1)}


def mutator(files: int) -> dict[str, Any]:
    """What became of so many damaged files."""
    with ThreadPoolExecutor(WORKERS) as pool:
        parts = list(pool.map(partial(process, files=files), range(0, files, CHUNK)))
    outcomes = sum((Counter(part["outcomes"]) for part in parts), Counter())
    worst = max(parts, key=lambda part: part["worst_seconds"])
    return {
        "files": files,
        "seeds": len(seeds()),
        **dict(sorted(outcomes.items())),
        "exceptions": sum(part["exceptions"] for part in parts),
        "worst_cpu_seconds": worst["worst_seconds"],
        "worst_file": worst["worst_file"],
        "worst_memory_mb": max(part["peak_mb"] for part in parts),
        "lines_on_standard_error": sum(part["lines"] for part in parts),
    }


def process(start: int, files: int) -> dict[str, Any]:
    """A chunk of damaged files, in a process of its own."""
    command = [sys.executable, __file__, "pictures", "--chunk", str(start), "--files", str(files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"files {start} and following end with {done.returncode}: {done.stderr[-2000:]}")
    sys.stderr.write(done.stderr)
    result: dict[str, Any] = json.loads(done.stdout)
    return result | {"lines": len(done.stderr.splitlines())}


def chunk(start: int, count: int) -> dict[str, Any]:
    """These damaged files in this process."""
    warnings.simplefilter("ignore", InputWarning)  # what a picture holds is no noise of a decoder
    pipeline = mien.Pipeline()
    outcomes: Counter[str] = Counter()
    worst, exceptions = (0.0, ""), 0
    for number in range(start, start + count):
        name, data = damaged(number)
        begun = time.process_time()
        try:
            outcomes[pipeline(data).status] += 1
        except mien.InputError as error:
            outcomes[error.status] += 1
        except Exception as error:
            exceptions += 1
            print(f"{number}, {name}: {error!r}", file=sys.stderr)
        worst = max(worst, (time.process_time() - begun, f"{number}, {name}"))
    return {
        "outcomes": outcomes,
        "exceptions": exceptions,
        "worst_seconds": round(worst[0], 2),
        "worst_file": worst[1],
        "peak_mb": peak_mb(),
    }


def peak_mb(process: int | str = "self") -> float:
    """The largest resident memory of a program; getrusage would count that of the one which started it, too."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return round(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1e3, 1)


def costs() -> list[dict[str, Any]]:
    """Every case, in a process of its own."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder))
        for name in CASES:
            rows.append({"name": name, **measured([sys.executable, __file__, "costs", "--case", f"{name}:{folder}"])})
    return rows


def measured(command: list[str]) -> dict[str, Any]:
    """What one case says of itself; of one that does not come to an end, the memory that it had by then."""
    memory, end = 0.0, time.monotonic() + MOST_WAIT
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        while process.poll() is None and time.monotonic() < end:
            with contextlib.suppress(OSError, StopIteration):  # it ended meanwhile
                memory = max(memory, sum(map(peak_mb, family(process.pid))))
            time.sleep(0.05)
        waited = process.poll() is None
        process.kill()
        said = process.communicate()[0].splitlines()
    if said:
        told = dict(json.loads(said[-1]))
        return told | {"memory_mb": round(max(memory, told["memory_mb"]), 1)}
    ended = "does not end" if waited or process.returncode == -signal.SIGXCPU else f"ends with {process.returncode}"
    return {"outcome": ended, "memory_mb": memory}


def family(process: int) -> list[int]:
    """A program and those that it started."""
    lists = Path(f"/proc/{process}/task").glob("*/children")
    return [process, *(int(child) for each in lists for child in each.read_text().split())]


def case(name: str, folder: str) -> None:
    """One case in this process."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS))
    os.chdir(folder)
    begun = time.process_time()
    try:
        outcome = CASES[name]() or "read"
    except mien.MienError as error:
        outcome = f"{type(error).__name__}: {error}"
    except BaseException as error:
        outcome = f"raises {type(error).__name__}"
    spent = time.process_time() - begun
    with contextlib.suppress(ImportError):  # versions of mien that decode everything in one process
        from mien.core import apart

        apart._end_all()
    others = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent += others.ru_utime + others.ru_stime
    print(json.dumps({"outcome": outcome, "cpu_seconds": round(spent, 2), "memory_mb": peak_mb()}))


CASES: dict[str, Callable[[], str]] = {
    "PNG of 10,000,000 x 1": lambda: mien.analyze("long.png").status,
    "array of 100,000,000 x 1": lambda: mien.analyze(np.broadcast_to(np.uint8(0), (10**8, 1))).status,
    "16-bit gray PNG of 100 megapixels": lambda: read("deep.png"),
    "RGBA PNG of 100 megapixels": lambda: read("alpha.png"),
    "JPEG of 100 megapixels": lambda: read("large.jpg"),
    "JPEG of 100 scans of 16 megapixels": lambda: read("many.jpg"),
    "WebP of 36 megapixels of noise": lambda: read("noise.webp"),
    "AVIF of 36 megapixels of noise": lambda: read("noise.avif"),
    "JPEG 2000 of 16 megapixels of noise": lambda: read("noise.jp2"),
    "JPEG of 5,000 scans": lambda: read("scans.jpg"),
    "pipe called x.jpg": lambda: read("x.jpg"),
    "socket called s.jpg": lambda: read("s.jpg"),
    "sparse file of 6 GB": lambda: read("sparse.jpg"),
    "np.matrix": lambda: mien.analyze(np.matrix(np.zeros((60, 80), np.uint8))).status,
    "Pipeline(threads=10**6)": lambda: str(mien.Pipeline(threads=10**6)),
}


def read(name: str) -> str:
    """The shape of a picture."""
    return " x ".join(map(str, mien.read_image(name).shape))


def make(folder: Path) -> None:
    """The files of the cases."""
    (folder / "long.png").write_bytes(png(10_000_000, 1, 8, 2))
    (folder / "deep.png").write_bytes(png(10_000, 10_000, 16, 0))
    (folder / "alpha.png").write_bytes(png(10_000, 10_000, 8, 6))
    Image.new("RGB", (10_000, 10_000), "gray").save(folder / "large.jpg", progressive=True)
    Image.new("L", (4_000, 4_000), 128).save(folder / "one.jpg", progressive=True)
    whole = (folder / "one.jpg").read_bytes()
    last = whole.rindex(b"\xff\xda")
    (folder / "scans.jpg").write_bytes(whole[:-2] + whole[last:-2] * 5_000 + b"\xff\xd9")
    (folder / "many.jpg").write_bytes(whole[:-2] + whole[last:-2] * 90 + b"\xff\xd9")
    noise = np.random.default_rng(0).integers(0, 256, (1000, 1000, 4), np.uint8)
    six, four = (Image.fromarray(np.tile(noise, (side, side, 1))) for side in (6, 4))
    six.save(folder / "noise.webp", lossless=True, quality=0, method=0)
    six.convert("RGB").save(folder / "noise.avif", quality=90, speed=10)
    four.convert("RGB").save(folder / "noise.jp2")
    os.mkfifo(folder / "x.jpg")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "s.jpg"))
    with (folder / "sparse.jpg").open("wb") as file:
        file.truncate(6_000_000_000)


if __name__ == "__main__":
    main()
