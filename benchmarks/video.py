"""What reading a clip costs: decode, detect, read, track, the whole with and without following, and memory.

python benchmarks/video.py [--clip FILE] [--minutes 180] [-o benchmarks/results/video-DATE.json]

Milliseconds are processor time, all threads together, so that other programs on the machine count little; frames a
second are by the clock. Opening the models, once a clip, is left out. Two cores: the decoder has a thread of its own.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

import mien
from mien.core.detect import YuNet
from mien.core.pipeline import Pipeline
from mien.results.face import Face
from mien.video.analyze import DETECT_EVERY, read_frames
from mien.video.cuts import colors
from mien.video.frames import Frame, frames
from mien.video.tracks import Tracker
from publish import publish

PHOTO = Path(__file__).parents[1] / "examples" / "astronaut.png"
RATE, COUNT, ROUNDS = 25, 100, 3
WAYS = {"search every frame": 1, "follow": DETECT_EVERY}
CASES = [(size, faces) for size in ((640, 360), (1280, 720)) for faces in (1, 3)]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--clip", type=Path, help="also measure this clip")
    arguments.add_argument("--minutes", type=float, default=180, help="length of the long clip, at 5 frames a second")
    arguments.add_argument("--busy", action="store_true", help="processor time alone: the clock says nothing here")
    arguments.add_argument("-o", "--output", type=Path)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        drawn = {f"{w}x{h}, {n} faces": draw(Path(folder) / f"{w}-{n}.mp4", w, h, n) for (w, h), n in CASES}
        speed = {name: measured(path, given.busy) for name, path in drawn.items()}
        speed |= {given.clip.name: measured(given.clip, given.busy)} if given.clip else {}
    result = {
        "measure": "clips: milliseconds of processor time a frame; frames a second by the clock; MB of memory",
        "frames": COUNT,
        "detect_every": DETECT_EVERY,
        "cores": os.cpu_count(),
        "clips": speed,
        "tracking_20_faces_ms": tracking(),
        "memory": memory(given.minutes) if given.minutes else None,
        "load_before": round(os.getloadavg()[0], 2),
    }
    publish(result, given.output)


def draw(path: Path, width: int, height: int, faces: int) -> Path:
    """A clip in which the astronaut's head, one or several times, walks from side to side."""
    head = Image.open(PHOTO).convert("RGB").crop((145, 40, 285, 180)).resize((height * 4 // 10,) * 2)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), RATE, (width, height))
    ground = Image.fromarray(np.random.default_rng(0).integers(70, 110, (height, width, 3), np.uint8))
    for n in range(COUNT):
        picture = ground.copy()
        for i in range(faces):
            x = (i + 0.5) * width / faces - head.width / 2 + width / 40 * np.sin(n / 12 + i)
            picture.paste(head, (round(x), round(height * 0.3)))
        writer.write(np.ascontiguousarray(np.asarray(picture)[:, :, ::-1]))
    writer.release()
    return path


def measured(path: Path, busy: bool) -> dict[str, Any]:
    """The parts by themselves, and the whole: searching every frame, and following.   busy: without the clock."""
    read = list(frames(path))[:COUNT]
    pipeline, detect = Pipeline(), YuNet(0.4)
    found = [detect(frame.image) for frame in read]
    started = time.process_time()
    for _ in zip(frames(path), range(len(read)), strict=False):
        pass
    parts = {"decode": (time.process_time() - started) * 1000 / len(read)}
    parts["detect"] = cost(lambda i: detect(read[i].image), len(read))
    parts["read, what is hidden"] = cost(lambda i: list(pipeline.read_faces(read[i].image, found[i])), len(read))
    parts["look for a cut"] = cost(lambda i: colors(read[i].image), len(read))
    whole: dict[str, list[float]] = {name: [] for name in WAYS}
    reports = {}
    for _ in range(ROUNDS):  # in turns, so that what else the machine does is shared by both
        for name, every in WAYS.items():
            made = read_frames(read, detect_every=every)
            first = next(made)  # which opens the models
            began = time.process_time()
            reports[name] = [first, *made]
            whole[name].append((time.process_time() - began) * 1000 / (len(read) - 1) + parts["decode"])
    for name, every in () if busy else WAYS.items():
        for cores in (1, 2):
            parts[f"frames a second, {cores} core{'s' * (cores > 1)}, {name}"] = on_cores(path, every, cores, len(read))
    cost_of = {name: float(np.median(each)) for name, each in whole.items()}
    searched, follow = (answers(reports[name]) for name in WAYS)
    both = sorted(searched.keys() & follow.keys())
    change = np.abs(np.array([searched[k] for k in both]) - np.array([follow[k] for k in both]))
    rounded = {name: round(value, 3) for name, value in parts.items()}
    return rounded | {
        "whole": {name: round(value, 3) for name, value in cost_of.items()},
        "frames a second that two cores can give": round(2000 / cost_of["follow"], 1),
        "times faster": round(cost_of["search every frame"] / cost_of["follow"], 2),
        "times faster, decoding left out": round(
            (cost_of["search every frame"] - parts["decode"]) / (cost_of["follow"] - parts["decode"]), 2
        ),
        "times faster, each round": [
            round(a / b, 2) for a, b in zip(whole["search every frame"], whole["follow"], strict=True)
        ],
        "faces a frame": round(len(searched) / len(read), 2),
        "rows in one alone": len(searched.keys() ^ follow.keys()),
        "change of a probability": round(float(change[:, :8].mean()), 5),
        "change of an action unit": round(float(change[:, 8:].mean()), 5),
    }


def answers(reports: list[mien.FrameReport]) -> dict[tuple[int, int], np.ndarray]:
    """Frame and track to probabilities and action units."""
    return {
        (report.number, track): np.concatenate([face.expression.probabilities, face.action_units.intensities])
        for report in reports
        for track, face in zip(report.tracks, report.report.faces, strict=True)
        if face.action_units is not None
    }


def cost(call: Any, count: int) -> float:
    """Milliseconds of processor time of one call."""
    started = time.process_time()
    for i in range(count):
        call(i)
    return (time.process_time() - started) * 1000 / count


def on_cores(path: Path, every: int, cores: int, count: int) -> float:
    """Frames a second of the whole, decoder and all, by the clock, in a process that may use so many cores."""
    code = (
        "import os, sys, time\n"
        f"if hasattr(os, 'sched_setaffinity'): os.sched_setaffinity(0, range({cores}))\n"
        "from mien.video.analyze import analyze_video\n"
        f"reports = analyze_video({str(path)!r}, detect_every={every})\n"
        "next(reports); began, count = time.perf_counter(), 0\n"
        f"for _ in zip(reports, range({count - 1})): count += 1\n"
        "print(count / (time.perf_counter() - began))"
    )
    return float(subprocess.check_output([sys.executable, "-c", code], text=True))


def tracking(faces: int = 20, count: int = 200) -> float:
    """Milliseconds a frame of the tracker alone, with so many faces in 1280x720."""
    rng = np.random.default_rng(0)
    places = np.stack([np.tile(np.arange(5) * 250 + 120, 4), np.repeat(np.arange(4) * 170 + 100, 5)], 1).astype(float)
    tracker, total = Tracker(0.7), 0.0
    for n in range(count):
        places += rng.normal(0, 2, places.shape)
        boxes = np.concatenate([places - 40, places + 40], axis=1).astype(np.float32)
        points = (places[:, None] + np.array([[-15, -10], [15, -10], [0, 5], [-12, 20], [12, 20]])).astype(np.float32)
        shown = [Face(box, own, 0.9) for box, own in zip(boxes, points, strict=True)]
        started = time.process_time()
        ids = tracker.assign(n / RATE, shown)
        given = tracker.see(n / RATE, [face.box for face in shown], [id for id in ids if id is not None])
        for id, face in zip(given, shown, strict=True):
            tracker.remember(id, face.points)
        total += time.process_time() - started
        assert given == list(range(faces))
    return round(total * 1000 / count, 3)


def memory(minutes: float) -> dict[str, float]:
    """Peak memory in MB after a minute, and after the whole, of a clip that a generator makes, 5 frames a second."""
    code = (
        "import sys; sys.path.insert(0, 'benchmarks')\n"
        "import video\n"
        "from robustness import peak_mb as peak\n"
        f"for i, _ in enumerate(video.read_frames(video.endless(int({minutes} * 300)))):\n"
        "    if i == 300: first = peak()\n"
        "print(first, peak())"
    )
    root = Path(__file__).parents[1]
    first, last = map(float, subprocess.check_output([sys.executable, "-c", code], text=True, cwd=root).split())
    return {"minutes": minutes, "after a minute": round(first, 1), "at the end": round(last, 1)}


def endless(count: int) -> Iterator[Frame]:
    """Frames of one walking face, 5 a second."""
    head = np.asarray(Image.open(PHOTO).convert("RGB"))[40:180, 145:285]
    for n in range(count):
        image = np.full((256, 256, 3), 90, np.uint8)
        x = int(58 + 50 * np.sin(n / 9))
        image[50:190, x : x + 140] = head
        yield Frame(n, n / 5, image)


if __name__ == "__main__":
    main()
