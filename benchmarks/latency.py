"""Milliseconds a stage for one picture, cold start, memory and size on disk.

python benchmarks/latency.py [-o benchmarks/results/latency-DATE.json]
"""

import argparse
import os
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import mien
from mien.core.align import align, to_crop_frame
from mien.core.contract import Classifier
from mien.core.detect import YuNet
from mien.core.reader import BATCH, Reader
from mien.core.visibility import detector, hidden
from mien.core.zoo import MODELS, load
from publish import publish

PHOTO = Path(__file__).parents[1] / "examples" / "astronaut.png"
WARMUP, RUNS = 10, 200


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("-o", "--output", type=Path)
    output = arguments.parse_args().output
    # First: a process that is forked starts with the memory of this one, which stages() fills with models.
    cold = cold_start()
    result = {
        "measure": "milliseconds a call, warm; cold start in seconds; bytes in MB (10^6)",
        "picture": "examples/astronaut.png on a 640x480 canvas, one face",
        "runs": RUNS,
        "warmup": WARMUP,
        "stages": {f"{threads} thread{'s' * (threads > 1)}": stages(threads) for threads in (1, 2)},
        "cold_start": cold,
        "import_seconds": import_seconds(),
        "installed_mb": installed_mb(),
        "model": "reader",
        "load_before": round(os.getloadavg()[0], 2),
    }
    publish(result, output)


def stages(threads: int) -> dict[str, Any]:
    """Every stage by itself, then the whole, each with `threads` threads a session and as many for OpenCV."""
    cv2.setNumThreads(threads)
    image = np.full((480, 640, 3), 127, np.uint8)
    photo = mien.read_image(PHOTO)[:480]
    image[: photo.shape[0], 64 : 64 + photo.shape[1]] = photo
    jpeg = cv2.imencode(".jpg", image[:, :, ::-1])[1].tobytes()
    detect, read = YuNet(threads=threads), Reader(threads=threads)
    pipeline, halves = mien.Pipeline(detect, read, threads=threads), detector(threads)
    faces = detect(image)
    assert len(faces) == 1, f"the picture should have one face, but {len(faces)} were found"
    report = pipeline(image).faces[0]
    assert report.landmarks is not None and report.pose is not None  # noqa: PT018
    frames, points, pose = [to_crop_frame(face) for face in faces], report.landmarks, report.pose
    crops = align(image, frames, read.size)
    batch = np.repeat(crops, BATCH, axis=0)
    networks = {name: Classifier(load(name), threads=threads) for name, entry in MODELS.items() if entry.reads}
    return {
        "decode JPEG": timed(lambda: mien.read_image(jpeg)),
        "detect": timed(lambda: detect(image)),
        "align": timed(lambda: align(image, frames, read.size)),
        "read one face": timed(lambda: read(crops)),
        f"read, a face of {BATCH}": timed(lambda: read(batch), parts=BATCH),
        **{f"{n} alone, a face of {BATCH}": timed(partial(one.logits, batch), BATCH) for n, one in networks.items()},
        "what is hidden": timed(lambda: list(hidden(crops[0], points, pose, image.shape[:2], halves))),
        "array to report": timed(lambda: pipeline(image)),
        "JPEG bytes to report": timed(lambda: pipeline(jpeg)),
    }


def timed(call: Callable[[], object], parts: int = 1) -> dict[str, float]:
    """Median and 95th percentile of the milliseconds of one call, divided by `parts`."""
    for _ in range(WARMUP):
        call()
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        call()
        times.append((time.perf_counter() - started) * 1000 / parts)
    return {"median": round(statistics.median(times), 3), "p95": round(float(np.percentile(times, 95)), 3)}


def cold_start(runs: int = 7) -> dict[str, float]:
    """`mien analyze` of the photo as a whole process: seconds, and its largest resident memory in MB."""
    seconds = []
    for _ in range(runs):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "mien", "analyze", str(PHOTO)], check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - started)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3  # kilobytes on Linux
    return {
        "median_s": round(statistics.median(seconds), 3),
        "max_s": round(max(seconds), 3),
        "peak_mb": round(peak, 1),
    }


def import_seconds(runs: int = 7) -> dict[str, float]:
    """`import mien` in a new interpreter, without the interpreter's own start."""
    code = "import time; t = time.perf_counter(); import mien; print(time.perf_counter() - t)"
    times = [float(subprocess.check_output([sys.executable, "-c", code], text=True)) for _ in range(runs)]
    return {"median": round(statistics.median(times), 4), "max": round(max(times), 4)}


def installed_mb() -> dict[str, float]:
    """What mien and everything its core requires take on disk, by distribution; extras are not counted."""
    sizes: dict[str, float] = {}
    waiting = ["mien"]
    while waiting:
        name = waiting.pop()
        if name in sizes:
            continue
        found = distribution(name)
        sizes[name] = _size(found) if name != "mien" else _tree(Path(mien.__file__).parent)
        for requirement in found.requires or ():
            if (
                "extra ==" not in requirement
                and "sys_platform" not in requirement
                and "python_version" not in requirement
            ):
                waiting.append(re.split(r"[^A-Za-z0-9_.-]", requirement)[0].lower().replace("_", "-"))
    return {"total": round(sum(sizes.values()), 1)} | {k: round(v, 1) for k, v in sorted(sizes.items())}


def _size(found: Any) -> float:
    return sum(p.stat().st_size for f in found.files or () if (p := Path(found.locate_file(f))).is_file()) / 1e6


def _tree(folder: Path) -> float:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 1e6


if __name__ == "__main__":
    main()
