"""How well the reader's landmarks, action units and head pose agree with its teacher's on faces it was not trained on.

python benchmarks/teacher.py KIND:PATH LABELS.parquet [--model NAME|FILE.onnx] [-o FILE.json]

LABELS are those of these faces, written by `mien pseudo-label` with the calibration of the training faces. Faces that
also occur in another split are left out. Intervals are 95 %, from a bootstrap over faces.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torchmetrics.functional.classification import binary_auroc

from mien import datasets
from mien.core.align import align, compose, inverse, realigned, to_crop_frame
from mien.core.contract import Answers, Classifier
from mien.core.detect import whole_picture
from mien.core.zoo import load
from mien.datasets import Sample, pseudo_labels
from mien.datasets.pseudo_labels import PseudoLabels, shown_expression
from mien.facs.units import PROXIES
from mien.facs.vocabulary import ASYMMETRIES, ActionUnit, Expression
from publish import publish

Floats = NDArray[np.floating]
# What nobody trained for: how well an action unit tells an expression from the rest.
FACTS = (
    (ActionUnit.LIP_CORNER_PULLER, Expression.HAPPINESS),
    (ActionUnit.JAW_DROP, Expression.SURPRISE),
    (ActionUnit.UPPER_LID_RAISER, Expression.SURPRISE),
    (ActionUnit.BROW_LOWERER, Expression.ANGER),
    (ActionUnit.LIP_CORNER_DEPRESSOR, Expression.SADNESS),
    (ActionUnit.INNER_BROW_RAISER, Expression.SADNESS),
)
UNITS = list(ActionUnit)
# What landmark errors are a share of: the inter-ocular distance of 300-W (Sagonas et al., 2013), which is that of the
# outer corners of the eyes, and the shorter one between their centres.
DISTANCES: dict[str, Callable[[Floats], tuple[Floats, Floats]]] = {
    "outer_corners": lambda points: (points[:, 36], points[:, 45]),
    "eye_centres": lambda points: (points[:, 36:42].mean(axis=1), points[:, 42:48].mean(axis=1)),
}
RESAMPLES = 2000


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("data")
    arguments.add_argument("labels", type=Path)
    arguments.add_argument("--model", default="reader")
    arguments.add_argument("-o", "--output", type=Path)
    given = arguments.parse_args()
    dataset, labels = datasets.open(given.data), pseudo_labels.read(given.labels)
    rows = [i for i in range(len(dataset)) if labels.found[i] and not dataset[i].duplicate]
    samples = [dataset[i] for i in rows]
    result = {
        "data": Path(given.data).name,
        "model": given.model,
        "faces": len(rows),
        **agreement(samples, labels, np.array(rows), Classifier(load(given.model))),
        "intervals": "95 %, bootstrap over faces, seed 0",
    }
    publish(result, given.output)


def agreement(
    samples: Sequence[Sample], labels: PseudoLabels, rows: NDArray[np.int_], read: Classifier
) -> dict[str, Any]:
    frames: list[Any] = [to_crop_frame(whole_picture(sample.image)[0]) for sample in samples]
    once = answers(samples, frames, read)
    if once.landmarks is None or once.action_units is None or once.pose is None:
        raise SystemExit("the model has no landmarks, action units or pose to compare")
    better = [realigned(f, points) for f, points in zip(frames, once.landmarks, strict=True)]
    twice = answers(samples, [f if b is None else b for f, b in zip(frames, better, strict=True)], read)
    assert twice.landmarks is not None
    second = []
    for frame, other, points in zip(frames, better, twice.landmarks, strict=True):
        back = compose(frame, inverse(frame if other is None else other))
        second.append(points @ back[:, :2].T + back[:, 2])
    truth = np.stack([labels.landmarks[r] @ f[:, :2].T + f[:, 2] for r, f in zip(rows, frames, strict=True)])
    units, expected = once.action_units, labels.action_units[rows]
    correlations = [np.corrcoef(units[:, k], expected[:, k])[0, 1] for k in range(units.shape[1])]
    named = [unit.column for unit in UNITS] + [f"{unit.column}_asymmetry" for unit in ASYMMETRIES]
    shown = np.array([-1 if (e := shown_expression(s)) is None else int(e) for s in samples])
    seen = [k for k in range(len(UNITS)) if np.isfinite(correlations[k])]
    return {
        "landmarks": {
            "measure": "mean over 68 points, per cent of a distance between the eyes",
            **{
                distance: {
                    "one_pass": spread(100 * errors(once.landmarks, truth, distance)),
                    "two_passes": spread(100 * errors(np.stack(second), truth, distance)),
                }
                for distance in DISTANCES
            },
        },
        "action_units": {
            "pearson": {name: round(float(r), 3) for name, r in zip(named, correlations, strict=True)},
            "mean": interval(lambda i: mean_correlation(units[i][:, seen], expected[i][:, seen]), len(rows), 200),
            "proxies": [unit.column for unit in PROXIES],
        },
        "pose": {
            name: round(float(np.abs(once.pose[:, k] - labels.pose[rows, k]).mean()), 2)
            if once.pose is not None
            else None
            for k, name in enumerate(("yaw", "pitch", "roll"))
        },
        "facts": [fact(unit, expression, units, expected, shown) for unit, expression in FACTS],
    }


def answers(samples: Sequence[Sample], frames: Sequence[Any], read: Classifier) -> Answers:
    crops = np.concatenate([align(s.image, [f], read.contract.size) for s, f in zip(samples, frames, strict=True)])
    parts = [read.answers(crops[i : i + 64]) for i in range(0, len(crops), 64)]
    joined: list[Any] = [None if part[0] is None else np.concatenate(part) for part in zip(*parts, strict=True)]
    return Answers(*joined)


def errors(given: Floats, truth: Floats, distance: str) -> Floats:
    """(N,) mean distance of (N, 68, 2) points, as a share of one of DISTANCES."""
    left, right = DISTANCES[distance](truth)
    return np.asarray(np.linalg.norm(given - truth, axis=2).mean(axis=1) / np.linalg.norm(left - right, axis=1))


def spread(values: Floats) -> dict[str, Any]:
    return interval(lambda i: float(values[i].mean()), len(values)) | {
        "median": round(float(np.median(values)), 2),
        "p95": round(float(np.percentile(values, 95)), 2),
    }


def mean_correlation(one: Floats, other: Floats) -> float:
    a, b = one - one.mean(axis=0), other - other.mean(axis=0)
    return float(((a * b).sum(axis=0) / np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))).mean())


def fact(
    unit: ActionUnit, expression: Expression, units: Floats, teacher: Floats, shown: NDArray[np.int_]
) -> dict[str, Any]:
    k, some = UNITS.index(unit), shown >= 0
    right = shown[some] == expression
    mine, theirs = units[some, k], teacher[some, k]
    return {
        "unit": unit.column,
        "expression": expression.label,
        "n": int(right.sum()),
        "reader": round(auc(mine, right), 3),
        "teacher": round(auc(theirs, right), 3),
        "difference": interval(lambda i: auc(mine[i], right[i]) - auc(theirs[i], right[i]), len(right), 500),
    }


def auc(scores: Floats, right: NDArray[np.bool_]) -> float:
    return float(binary_auroc(torch.from_numpy(np.array(scores)), torch.from_numpy(right.astype(int))))


def interval(of: Callable[[NDArray[np.int_]], float], count: int, resamples: int = RESAMPLES) -> dict[str, float]:
    rng = np.random.default_rng(0)
    values = [of(rng.integers(0, count, count)) for _ in range(resamples)]
    low, high = np.percentile(values, [2.5, 97.5])
    return {"value": round(of(np.arange(count)), 3), "low": round(float(low), 3), "high": round(float(high), 3)}


if __name__ == "__main__":
    main()
