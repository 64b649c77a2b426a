"""Readers side by side on the held-out tenth of the training faces and on the validation faces of FERPlus.

python benchmarks/readers.py MODEL [MODEL ...] --train KIND:PATH --valid KIND:PATH [--hold-out 0.1] [-o FILE.json]

MODEL is a name or an ONNX file; differences are of each to the first. Duplicates of other splits are left out. A model
that was trained before there was a held-out tenth has learned from those faces: `trained_before` names such models, and
their figures there are no measurement of unseen faces.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien import datasets
from mien.core.align import crop
from mien.core.contract import Classifier, softmax
from mien.core.zoo import load
from mien.datasets import Sample
from mien.datasets.hold_out import hold_out
from mien.evaluation.intervals import bootstrap, percentile_interval
from mien.evaluation.protocols import UNKNOWN, majority, soft_votes
from mien.evaluation.scoring import scores
from mien.evaluation.seen import ENTRY
from mien.evaluation.vote_shares import risk_coverage, shares
from mien.facs.vocabulary import ActionUnit, Expression
from publish import publish

BLURRED = 6


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("models", nargs="+")
    arguments.add_argument("--train", required=True)
    arguments.add_argument("--valid", required=True)
    arguments.add_argument("--hold-out", type=float, default=0.1)
    arguments.add_argument("-o", "--output", type=Path)
    given = arguments.parse_args()
    apart = hold_out(datasets.open(given.train), given.hold_out).held_out
    parts = {"held_out": apart, "valid": datasets.open(given.valid)}
    result: dict[str, Any] = {"hold_out": given.hold_out, "seed": 0, "intervals": "95 %, bootstrap over faces"}
    opened = {Path(model).stem: Classifier(load(model)) for model in given.models}
    result["trained_before"] = [name for name, model in opened.items() if ENTRY not in model.contract.meta]
    for name, part in parts.items():
        found, right = {}, {}
        for model, classify in opened.items():
            found[model], right[model] = measured(part, classify)
        first = next(iter(right))
        for model in list(right)[1:]:
            change = right[model].astype(float) - right[first]
            low, high = percentile_interval(bootstrap(change) / len(change))
            found[model]["accuracy_above_first"] = {
                "value": float(change.mean()),
                "low": float(low),
                "high": float(high),
            }
        result[name] = found
    publish(result, given.output)


def measured(dataset: Sequence[Sample], classify: Classifier) -> tuple[dict[str, Any], NDArray[np.bool_]]:
    """What a model answers about a data set, and whether it is right about each face that has a majority."""
    samples = [s for s in (dataset[i] for i in range(len(dataset))) if s.votes is not None and not s.duplicate]
    votes = np.array([sample.votes for sample in samples])
    crops = np.stack([crop(sample.image, classify.contract.size) for sample in samples])
    logits, readability, units = answers(classify, crops)
    mirrored, _, _ = answers(classify, crops[:, :, ::-1])
    clear = majority(votes)
    kept, labels = clear.kept, clear.values.argmax(axis=1)
    right = (logits.argmax(axis=1) == labels)[kept]
    both = (softmax(logits) + softmax(mirrored)) / 2
    result = scores(labels[kept], softmax(logits[kept])[None])
    result = {key: result[key] for key in ("n", "accuracy", "mean_recall", "mean_recall_n50", "ece", "per_class")}
    result["accuracy_with_mirror_image"] = float((both.argmax(axis=1) == labels)[kept].mean())
    result["same_word_mirrored"] = float((logits.argmax(axis=1) == mirrored.argmax(axis=1)).mean())
    result["vote_shares"] = shares(logits, votes)
    if readability is not None:
        nobody = votes.argmax(axis=1) >= UNKNOWN
        blurred = np.stack([blur(image, BLURRED) for image in crops[~nobody][:500]])
        _, worn, _ = answers(classify, blurred)
        assert worn is not None, "a model answers readability of all faces or of none"
        result["readability"] = {
            "voted_unknown_or_no_face": {
                "n": int(nobody.sum()),
                "auc": auc(-readability[nobody], -readability[~nobody]),
            },
            f"blurred_to_{BLURRED}": {"n": len(blurred), "auc": auc(-worn, -readability[~nobody][:500])},
            "risk_coverage": risk_coverage(right, readability[kept]),
        }
    result["confidence_risk_coverage"] = risk_coverage(right, softmax(logits).max(axis=1)[kept])
    if units is not None:
        brow = units[:, list(ActionUnit).index(ActionUnit.BROW_LOWERER)][soft_votes(votes).kept]
        top = soft_votes(votes).values[soft_votes(votes).kept].argmax(axis=1)
        anger, neutral = top == Expression.ANGER, top == Expression.NEUTRAL
        result["AU04"] = {
            "anger_against_rest_auc": auc(brow[anger], brow[~anger]),
            "anger_against_neutral_auc": auc(brow[anger], brow[neutral]),
            "median_anger": float(np.median(brow[anger])),
            "median_neutral": float(np.median(brow[neutral])),
        }
    return result, right


def answers(
    classify: Classifier, crops: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None, NDArray[np.float32] | None]:
    """Logits, readability and action units of crops."""
    parts = [classify.answers(np.ascontiguousarray(crops[i : i + 64])) for i in range(0, len(crops), 64)]
    readability = None if parts[0].readability is None else np.concatenate([p.readability for p in parts])
    units = None if parts[0].action_units is None else np.concatenate([p.action_units for p in parts])
    return np.concatenate([p.logits for p in parts]), readability, units


def blur(image: NDArray[np.uint8], pixels: int) -> NDArray[np.uint8]:
    """A face reduced to so many pixels a side and enlarged again."""
    small = cv2.resize(image, (pixels, pixels), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, image.shape[::-1], interpolation=cv2.INTER_LINEAR))


def auc(positive: NDArray[np.floating], negative: NDArray[np.floating]) -> float | None:
    """Area under the curve: how often a positive score is above a negative one, equal ones half."""
    if not len(positive) or not len(negative):
        return None
    order = np.sort(negative)
    above = np.searchsorted(order, positive, side="left") + np.searchsorted(order, positive, side="right")
    return float(above.mean() / 2 / len(negative))


if __name__ == "__main__":
    main()
