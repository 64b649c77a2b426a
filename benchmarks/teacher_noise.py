"""How far the teacher's landmarks of a face and of its mirror image lie apart: what no reader can learn away.

python benchmarks/teacher_noise.py KIND:PATH LABELS.parquet face_landmarker.task [--faces 250] [--seed 0] [-o FILE.json]

Needs the extra `mediapipe`, in an environment of its own. Per cent of the distance between the eyes' centres.
"""

import argparse
from pathlib import Path

import numpy as np

from mien import datasets
from mien.datasets import pseudo_labels
from mien.facs.landmarks import MIRRORED_68
from publish import publish


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("data")
    arguments.add_argument("labels", type=Path)
    arguments.add_argument("model", type=Path)
    arguments.add_argument("--faces", type=int, default=250)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("-o", "--output", type=Path)
    given = arguments.parse_args()
    dataset, labels = datasets.open(given.data), pseudo_labels.read(given.labels)
    rng = np.random.default_rng(given.seed)
    errors = []
    with pseudo_labels.mediapipe_mesh(given.model) as mesh:
        teacher = pseudo_labels.MeshTeacher(mesh)
        for row in rng.choice(np.flatnonzero(labels.found), given.faces, replace=False):
            image, here = dataset[int(row)].image, labels.landmarks[row]
            reading = teacher(np.ascontiguousarray(image[:, ::-1]))
            if reading is not None:
                mirrored = (reading.landmarks * [-1, 1] + [image.shape[1], 0])[MIRRORED_68]
                eyes = np.linalg.norm(here[36:42].mean(axis=0) - here[42:48].mean(axis=0))
                errors.append(100 * np.linalg.norm(mirrored - here, axis=1).mean() / eyes)
    result = {
        "measure": "landmarks of a face and of its mirror image, per cent of the distance between the eyes' centres",
        "data": Path(given.data).name,
        "mean": round(float(np.mean(errors)), 2),
        "median": round(float(np.median(errors)), 2),
        "found": len(errors),
        "faces": given.faces,
        "seed": given.seed,
    }
    publish(result, given.output)


if __name__ == "__main__":
    main()
