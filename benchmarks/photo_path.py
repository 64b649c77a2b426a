"""Two versions of mien on the same pictures: whose faces or words changed, and what a picture costs.

python benchmarks/photo_path.py answers KIND:PATH [--faces 1000] [--photos FOLDER] [--seed 0] -o answers.json
python benchmarks/photo_path.py compare BEFORE.json AFTER.json [-o FILE.json]
python benchmarks/photo_path.py time --before OTHER/src --after src [--picture FILE ...] [--rounds 8] [-o FILE.json]

`answers` reads each face of a data set, pasted into a picture of 640x480 pixels in a random size, place and turn, and
the photographs of a folder; PYTHONPATH names the version. `time` lets two source trees read one picture in turn, each
in a process of its own that starts anew in every round, and counts the processor's time and not the clock's.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien import Pipeline, datasets
from mien.core.batch import analyze_many
from publish import publish

EXAMPLE = Path(__file__).parents[1] / "examples" / "astronaut.png"
# A face counts as the same one where the boxes share so much of their union.
SAME = 0.5
# In a process of its own: the median over 20 pictures of the processor's time of this thread.
TIMED = """
import statistics, time
import cv2, mien
cv2.setNumThreads(1)
pipeline, picture, times = mien.Pipeline(), open({picture!r}, "rb").read(), []
for _ in range(3):
    pipeline(picture)
for _ in range(20):
    began = time.thread_time()
    pipeline(picture)
    times.append(time.thread_time() - began)
print(statistics.median(times))
"""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("what", choices=("answers", "compare", "time"))
    arguments.add_argument("names", nargs="*")
    arguments.add_argument("--faces", type=int, default=1000)
    arguments.add_argument("--photos", type=Path)
    arguments.add_argument("--picture", type=Path, nargs="+", default=[EXAMPLE])
    arguments.add_argument("--before", type=Path)
    arguments.add_argument("--after", type=Path)
    arguments.add_argument("--rounds", type=int, default=8)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("-o", "--output", type=Path)
    given = arguments.parse_args()
    if given.what == "answers":
        given.output.write_text(json.dumps(answers(given.names[0], given.faces, given.photos, given.seed)))
    elif given.what == "compare":
        before, after = (json.loads(Path(name).read_text()) for name in given.names)
        publish(compare(before, after) | {"seed": given.seed}, given.output)
    else:
        publish(time_both(given.before, given.after, given.picture, given.rounds), given.output)


def answers(data: str, count: int, photos: Path | None, seed: int) -> dict[str, list[dict[str, Any]]]:
    """What is read of each picture: boxes, words and the halves that cannot be seen."""
    cv2.setNumThreads(1)
    dataset, pipeline, rng = datasets.open(data), Pipeline(), np.random.default_rng(seed)
    result = {}
    for row in rng.permutation(len(dataset))[:count]:
        result[f"row {row}"] = _plain(pipeline(pasted(dataset[int(row)].image, rng)))
    for outcome in analyze_many([photos], pipeline=pipeline) if photos else ():
        result[Path(outcome.name).name] = _plain(outcome.report)
    return result


def pasted(face: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A face of 60 to 240 pixels, turned by up to 20 degrees, in a picture of blurred noise."""
    noise = rng.integers(40, 216, (12, 16, 3)).astype(np.uint8)
    picture = cv2.resize(noise, (640, 480), interpolation=cv2.INTER_CUBIC)
    side, degrees = rng.uniform(60, 240), np.radians(rng.uniform(-20, 20))
    scale = side / len(face)
    turn = scale * np.array([[np.cos(degrees), -np.sin(degrees)], [np.sin(degrees), np.cos(degrees)]])
    reach = side * 0.7
    center = np.array([rng.uniform(reach, 640 - reach), rng.uniform(reach, 480 - reach)])
    matrix = np.column_stack([turn, center - turn @ np.full(2, len(face) / 2)])
    shown = cv2.warpAffine(face, matrix, (640, 480), flags=cv2.INTER_CUBIC)
    mask = cv2.warpAffine(np.ones(face.shape[:2], np.float32), matrix, (640, 480), flags=cv2.INTER_LINEAR)[..., None]
    return (picture * (1 - mask) + shown.reshape(480, 640, -1) * mask).round().astype(np.uint8)


def compare(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """How many pictures have other faces, and how many faces other words, probabilities or hidden halves."""
    same = words = hidden = faces = 0
    off, other = [], []
    for name, first in before.items():
        pairs = matched(first, after[name])
        if len(pairs) == len(first) == len(after[name]):
            same += 1
        else:
            other.append(name)
        for a, b in pairs:
            faces += 1
            words += a["word"] != b["word"]
            hidden += a["hidden"] != b["hidden"]
            off.append(max(abs(x - y) for x, y in zip(a["probabilities"], b["probabilities"], strict=True)))
    return {
        "measure": "pictures with the same faces; of those faces, how many have another word or other hidden halves",
        "pictures": len(before),
        "with_the_same_faces": same,
        "others": other[:20],
        "faces": faces,
        "other_words": words,
        "other_hidden": hidden,
        "largest_change_of_a_probability": {f"p{q}": round(float(np.percentile(off, q)), 4) for q in (50, 95, 99, 100)},
    }


def time_both(before: Path, after: Path, pictures: list[Path], rounds: int) -> dict[str, Any]:
    """Milliseconds of the processor a picture, of both versions in turn, and the median of their ratios."""
    result: dict[str, Any] = {"measure": "milliseconds of the processor a picture, one thread", "rounds": rounds}
    for picture in pictures:
        times = [[_timed(tree, picture) for tree in (before, after)] for _ in range(rounds)]
        first, second = zip(*times, strict=True)
        result[picture.name] = {
            "before": round(statistics.median(first) * 1000, 2),
            "after": round(statistics.median(second) * 1000, 2),
            "ratio": round(statistics.median(b / a for a, b in times), 3),
        }
    return result


def _timed(tree: Path, picture: Path) -> float:
    command = [sys.executable, "-c", TIMED.format(picture=str(picture))]
    return float(subprocess.check_output(command, env=os.environ | {"PYTHONPATH": str(tree.resolve())}, text=True))


def _plain(report: Any) -> list[dict[str, Any]]:
    return [
        {
            "box": [float(x) for x in face.box],
            "word": face.expression.top.label,
            "probabilities": [round(float(p), 4) for p in face.expression.probabilities],
            "hidden": [half.side for half in face.hidden],
        }
        for face in report.faces
    ]


def matched(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Each face with the one of the other list that it shares most with."""
    left, pairs = list(second), []
    for face in first:
        best = max(left, key=lambda one: _shared(face["box"], one["box"]), default=None)
        if best is not None and _shared(face["box"], best["box"]) >= SAME:
            left.remove(best)
            pairs.append((face, best))
    return pairs


def _shared(a: list[float], b: list[float]) -> float:
    sides = [min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1)]
    shared = max(sides[0], 0) * max(sides[1], 0)
    area = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return shared / max(area - shared, 1e-9)


if __name__ == "__main__":
    main()
