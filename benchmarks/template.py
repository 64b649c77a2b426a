"""Where the detector's five points lie in FER2013 training faces: the constants of mien.align.TEMPLATE.

python benchmarks/template.py ferplus_train.parquet [--faces 4000] [--seed 0]
"""

import argparse
import json

import numpy as np

from mien.datasets import FerPlus
from mien.detect import YuNet

MIRRORED = [1, 0, 2, 4, 3]  # the other eye, the other mouth corner


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("data")
    arguments.add_argument("--faces", type=int, default=4000)
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()
    faces, detect = FerPlus(given.data), YuNet()
    rows = np.random.default_rng(given.seed).choice(len(faces), min(given.faces, len(faces)), replace=False)
    found = []
    for row in rows:
        image = faces[int(row)].image
        for face in detect(image)[:1]:
            found.append(face.points.astype(float) / image.shape[0])
    median = np.median(found, axis=0)
    mirrored = median[MIRRORED] * [-1, 1] + [1, 0]
    print(
        json.dumps(
            {
                "template": np.round((median + mirrored) / 2, 3).tolist(),
                "median": np.round(median, 3).tolist(),
                "spread": np.round(np.std(found, axis=0), 3).tolist(),
                "faces": len(rows),
                "found": len(found),
                "seed": given.seed,
            }
        )
    )


if __name__ == "__main__":
    main()
