"""What calm faces show of each action unit: the table of mien.facs.rest.

python benchmarks/rest.py --data KIND:PATH [--hold-out 0.1] [--model NAME|FILE.onnx] [-o FILE.json]

Calm are the held-out faces that at least eight of ten people call neutral. Say with the table whether the model has
learned from them.
"""

import argparse
from pathlib import Path

import numpy as np

from mien import datasets
from mien.core.detect import whole_picture
from mien.core.pipeline import Pipeline
from mien.datasets.hold_out import is_held_out
from mien.facs.vocabulary import ActionUnit, Expression
from publish import publish

VOTES = 8
LEVELS = (0.5, 0.9, 0.95)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", required=True)
    arguments.add_argument("--hold-out", type=float, default=0.1)
    arguments.add_argument("--model", default="reader")
    arguments.add_argument("-o", "--output", type=Path)
    given = arguments.parse_args()
    dataset, read, units = datasets.open(given.data), Pipeline(model=given.model, assume_crop=True), []
    for sample in map(dataset.__getitem__, range(len(dataset))):
        calm = sample.votes is not None and sample.votes[Expression.NEUTRAL] >= VOTES
        if calm and is_held_out(sample.image, given.hold_out):
            image = sample.image
            (face,) = read.read_faces(image, whole_picture(image), hidden=[()])
            assert face.action_units is not None, "the model gives action units"
            units.append(face.action_units.intensities)
    shown = np.quantile(units, LEVELS, axis=0)
    levels = {f"{level:g}": {u.column: round(float(v), 3) for u, v in zip(ActionUnit, row, strict=True)}
              for level, row in zip(LEVELS, shown, strict=True)}  # fmt: skip
    about = {"model": given.model, "data": Path(given.data).name, "hold_out": given.hold_out, "faces": len(units)}
    publish(about | {"levels": levels}, given.output)


if __name__ == "__main__":
    main()
