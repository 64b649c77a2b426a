"""People neutral and smiling: the Face Research Lab London Set (DeBruine and Jones, 2017, CC BY 4.0).

python benchmarks/london.py FOLDER [--model NAME|FILE.onnx ...] [-o FILE.json]

FOLDER holds NNN_neutral.jpg, NNN_smiling.jpg and faces.csv (file, person, posed, gender). Nothing is trained, chosen or
calibrated on it.
"""

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.core.images import read_image
from mien.core.pipeline import Pipeline
from mien.facs.vocabulary import Expression
from publish import publish

HAPPY, NEUTRAL = Expression.HAPPINESS, Expression.NEUTRAL
# Expressions that are less than this behind the first divide people.
CLOSE = 0.2


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--model", action="append")
    arguments.add_argument("-o", "--output", type=Path)
    given = arguments.parse_args()
    with (given.folder / "faces.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["posed"] in ("neutral", "smiling")]
    found = {Path(model).stem: measured(rows, given.folder, model) for model in given.model or ["reader"]}
    publish({"data": "Face Research Lab London Set", "pictures": len(rows)} | found, given.output)


def measured(rows: list[dict[str, str]], folder: Path, model: str) -> dict[str, Any]:
    pipeline, seen = Pipeline(model=model), {}
    for row in rows:
        faces = pipeline(read_image(folder / row["file"])).faces
        if faces:
            face = max(faces, key=lambda face: face.face.score)
            units = [np.nan if face.action_units is None else face.action_units[au] for au in (12, 6)]
            values = [*face.expression.probabilities, *units]
            seen[row["person"], row["posed"]] = np.array(values, float)
    people = {row["person"]: row["gender"] for row in rows}
    pairs = [p for p in people if (p, "neutral") in seen and (p, "smiling") in seen]
    calm, smiling = (np.array([seen[p, posed] for p in pairs]) for posed in ("neutral", "smiling"))
    close = smiling[:, :8] > smiling[:, :8].max(axis=1, keepdims=True) - CLOSE
    return {
        "found": len(seen),
        "neutral_read_neutral": int((calm[:, :8].argmax(axis=1) == NEUTRAL).sum()),
        "neutral_above_.8_happy": int((calm[:, HAPPY] > 0.8).sum()),
        "smiling_read_happiness": int((smiling[:, :8].argmax(axis=1) == HAPPY).sum()),
        "smiling_divided_with_happiness": int((close[:, HAPPY] & (close.sum(axis=1) > 1)).sum()),
        "people": len(pairs),
        "auc_happiness": auc(smiling[:, HAPPY], calm[:, HAPPY]),
        "by_gender": {g: gender([people[p] == g for p in pairs], calm, smiling) for g in sorted(set(people.values()))},
        "pairs_higher": {
            name: int((smiling[:, k] > calm[:, k]).sum()) for name, k in (("happiness", HAPPY), ("AU12", 8), ("AU6", 9))
        },
    }


def gender(who: list[bool], calm: NDArray[np.floating], smiling: NDArray[np.floating]) -> dict[str, float | int]:
    return {
        "n": sum(who),
        "auc_happiness": auc(smiling[who, HAPPY], calm[who, HAPPY]),
        "smiling_read_happiness": int((smiling[who, :8].argmax(axis=1) == HAPPY).sum()),
    }


def auc(high: NDArray[np.floating], low: NDArray[np.floating]) -> float:
    """How often a value of the first is above one of the second, equal ones half."""
    return float(((high[:, None] > low) + (high[:, None] == low) / 2).mean())


if __name__ == "__main__":
    main()
