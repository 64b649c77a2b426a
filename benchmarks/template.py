"""Where five points lie in FER2013 training faces: the constants of mien.core.align.

python benchmarks/template.py ferplus_train.parquet [--labels train_labels.parquet] [--faces 4000] [--seed 0]

TEMPLATE is where the detector puts them; LANDMARK_TEMPLATE, with the labels that `mien pseudo-label` wrote of the same
faces, where the teacher's landmarks do.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.core.align import five_points
from mien.core.detect import YuNet
from mien.datasets import FerPlus, pseudo_labels

MIRRORED = [1, 0, 2, 4, 3]  # the other eye, the other mouth corner
Floats = NDArray[np.floating]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("data")
    arguments.add_argument("--labels", type=Path)
    arguments.add_argument("--faces", type=int, default=4000)
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()
    faces = FerPlus(given.data)
    rows = np.random.default_rng(given.seed).choice(len(faces), min(given.faces, len(faces)), replace=False)
    found = list(detected(faces, rows) if given.labels is None else labelled(faces, given.labels))
    median = np.median(found, axis=0)
    mirrored = median[MIRRORED] * [-1, 1] + [1, 0]
    print(
        json.dumps(
            {
                "template": np.round((median + mirrored) / 2, 3).tolist(),
                "median": np.round(median, 3).tolist(),
                "spread": np.round(np.std(found, axis=0), 3).tolist(),
                "faces": len(rows) if given.labels is None else len(faces),
                "found": len(found),
                "seed": given.seed,
            }
        )
    )


def detected(faces: FerPlus, rows: NDArray[np.int_]) -> Iterator[Floats]:
    detect = YuNet()
    for row in rows:
        image = faces[int(row)].image
        for face in detect(image)[:1]:
            assert face.points is not None
            yield face.points.astype(float) / image.shape[0]


def labelled(faces: FerPlus, path: Path) -> Iterator[Floats]:
    labels = pseudo_labels.read(path)
    side = faces[0].image.shape[0]
    for landmarks in labels.landmarks[labels.found]:
        yield five_points(landmarks) / side


if __name__ == "__main__":
    main()
