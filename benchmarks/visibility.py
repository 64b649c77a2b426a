"""How often a covered half of a face is found, and how often one is seen where nothing was covered.

python benchmarks/visibility.py KIND:PATH [--faces 400] [--seed 0] [-o FILE.json]

Faces that look into the camera (less than 20 degrees of yaw) have their image-right half painted over: plain, with
patches, with the blurred texture of another face, or in the colour of their own cheek. `auc` tells painted halves from
others by the score of the detector: at full size, and as it is used, where what is clearly a face when small is one.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mien import datasets
from mien.core.align import align
from mien.core.detect import YuNet
from mien.core.pipeline import Pipeline
from mien.core.visibility import CLEAR, COVERED, MARGIN, SHOWN, SMALL, SMALL_MARGIN, detector, doubled, hidden, in_color
from mien.facs.observation import Pose
from publish import publish

COVERS = ("plain", "patches", "texture", "skin")
FRONT = 20.0


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("data")
    arguments.add_argument("--faces", type=int, default=400)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("-o", "--output", type=Path)
    given = arguments.parse_args()
    dataset, pipeline, detect = datasets.open(given.data), Pipeline(assume_crop=True), detector()
    rng = np.random.default_rng(given.seed)
    found: dict[str, list[bool]] = defaultdict(list)
    faint = YuNet(0.01, rotations="never", enlarged=())
    painted: list[tuple[float, float]] = []
    bare: list[tuple[float, float]] = []
    other = None
    for row in rng.permutation(len(dataset)):
        image = dataset[int(row)].image
        (face,) = pipeline(image).faces
        if face.landmarks is None or face.pose is None or abs(face.pose.yaw) >= FRONT:
            continue
        (crop,) = align(image, [face.crop], pipeline.size)
        if other is not None:
            cover = COVERS[len(found["as it is"]) % len(COVERS)]
            for name, shown in (("as it is", crop), (cover, covered(crop, cover, other, rng))):
                halves = list(hidden(shown, face.landmarks, Pose(0, 0, 0), image.shape[:2], detect))
                seen = {half.side for half in halves if half.reason == "covered or unclear"}
                found[name].append("left" in seen if name == cover else bool(seen))
                (painted if name == cover else bare).append(scores(shown, faint))
        other = crop
        if len(found["as it is"]) == given.faces:
            break
    result = {
        "measure": "share of faces of which a half is said to be covered; for painted faces, the painted half",
        "data": Path(given.data).name,
        **{name: {"share": round(float(np.mean(said)), 3), "n": len(said)} for name, said in found.items()},
        "auc": {
            name: round(roc_auc(np.array(bare)[:, i], np.array(painted)[:, i]), 4)
            for i, name in enumerate(("full size", "as used"))
        },
        "other_answers_than_at_full_size": sum((a < COVERED) != (b < COVERED) for a, b in (*bare, *painted)),
        "seed": given.seed,
    }
    publish(result, given.output)


def scores(crop: NDArray[np.uint8], detect: YuNet) -> tuple[float, float]:
    """How much of a face the image-right half is: at full size, and 1 where it is clearly one when small."""
    half = crop[:, -(crop.shape[1] // 2) :][:, ::-1]
    full, small = (
        max((face.score for face in detect(in_color(doubled(half, side, margin)))), default=0.0)
        for side, margin in ((SHOWN, MARGIN), (SMALL, SMALL_MARGIN))
    )
    return full, 1.0 if small >= CLEAR else full


def roc_auc(high: NDArray[np.floating], low: NDArray[np.floating]) -> float:
    """The share of pairs in which the first scores higher, ties by half."""
    return float(np.mean((high[:, None] > low) + (high[:, None] == low) / 2))


def covered(
    crop: NDArray[np.uint8], cover: str, other: NDArray[np.uint8], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """The crop with its image-right half painted over."""
    side, half = len(crop), len(crop) // 2
    painted = crop.astype(float)
    if cover == "plain":
        painted[:, half:] = rng.integers(60, 200)
    elif cover == "patches":
        painted[:, half:] = np.kron(rng.integers(0, 255, (6, 3)), np.ones((side // 6, half // 3)))
    elif cover == "texture":
        painted[:, half:] = cv2.GaussianBlur(np.rot90(other), (0, 0), 2)[:, half:]
    else:
        cheek = crop[int(0.62 * side) : int(0.75 * side), int(0.2 * side) : int(0.4 * side)].mean()
        painted[:, half:] = 0.8 * cheek + rng.normal(0, 6, (side, side - half))
    return painted.clip(0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
