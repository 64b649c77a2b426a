"""A model and a data set to one result: metrics with intervals, what was dropped, with and without duplicates."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.align import align
from mien.datasets.sample import Sample
from mien.detect import Detector, whole_picture
from mien.errors import InputError
from mien.evaluation import calibration, metrics
from mien.evaluation.intervals import bootstrap, percentile_interval, wilson_interval
from mien.evaluation.protocols import Selection, select
from mien.session import Classifier, softmax
from mien.vocabulary import Expression

Floats = NDArray[np.floating]
# Mean recall is also given over the classes with so many samples: below it a recall says little.
ENOUGH = 50
_BATCH = 64


def evaluate(
    classify: Classifier,
    dataset: Sequence[Sample],
    *,
    protocol: str = "majority",
    detect: Detector | None = None,
    cross_fit: int = 0,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """Score a classifier on every sample that the protocol keeps; see `scores` for what a result holds.

    The numbers at the top leave out samples marked as duplicates of another split; `with_duplicates` has them all.
    detect: find the face in each picture first; left out, every picture is one face already.
    cross_fit: refit the calibration on random halves, so many times, and score each on the half that it did not see.
    Classes that the dataset's `expressions` lack are masked and the rest renormalised. InputError when nothing is kept.
    """
    selection = select(dataset, protocol)
    if not selection.samples:
        raise InputError(
            f"the protocol {protocol!r} keeps none of the {len(dataset)} samples; dropped: {selection.dropped}"
        )
    crops, missed = _crops(selection, detect, classify.contract.size)
    logits = np.concatenate([classify.logits(crops[i : i + _BATCH]) for i in range(0, len(crops), _BATCH)])
    known = getattr(dataset, "expressions", tuple(Expression))
    masked = [e for e in Expression if e not in known]
    logits[:, masked] = -np.inf
    duplicate = np.array([s.duplicate for s in selection.samples])
    if duplicate.all():
        raise InputError("every sample kept is marked as a duplicate of another split, so none is left to score")
    clean, labels = ~duplicate, selection.labels

    dropped = selection.dropped | {"duplicate of another split": int(duplicate.sum())}
    result: dict[str, Any] = {"protocol": selection.protocol, "dropped": dropped}
    result |= scores(labels[clean], softmax(logits[clean])[None], resamples=resamples, seed=seed)
    result |= {"masked": [e.label for e in masked], "unknown_to_model": _unknown(classify), "seed": seed}
    if detect is not None:
        result["no_face_found"] = missed
    if cross_fit:
        answers = _refitted(classify, logits[clean], labels[clean], cross_fit, seed)
        result["cross_fit"] = {"splits": cross_fit, "fitted": ["strength", "temperature"]}
        result["cross_fit"] |= scores(labels[clean], answers, resamples=resamples, seed=seed)
    result["with_duplicates"] = scores(labels, softmax(logits)[None], resamples=resamples, seed=seed)
    return result


def scores(
    labels: NDArray[np.integer], probabilities: Floats, *, resamples: int = 2000, seed: int = 0
) -> dict[str, Any]:
    """Metrics with 95 % intervals from a bootstrap over images.

    labels: (N,).   probabilities: (S, N, 8), S answers for each image, which count 1/S each.
    A recall of exactly 0 or 1 gets Wilson's interval: every resample of it is the same.
    """
    confusions = np.mean([metrics.confusion_tally(labels, p) for p in probabilities], axis=0)
    reliabilities = np.mean([metrics.reliability_tally(labels, p) for p in probabilities], axis=0)
    confusion, many = confusions.sum(axis=0), bootstrap(confusions, resamples, seed)
    reliability = reliabilities.sum(axis=0)
    ece_low, ece_high = percentile_interval(metrics.ece(bootstrap(reliabilities, resamples, seed)))
    low, high = percentile_interval(many)
    counts = confusion.sum(axis=1)
    enough = counts >= ENOUGH

    def interval(metric: Callable[[Floats], Floats]) -> dict[str, float | None]:
        value, bounds = metric(confusion), percentile_interval(metric(many))
        if np.isnan(value):
            return {"value": None, "low": None, "high": None}
        return {"value": float(value), "low": float(bounds[0]), "high": float(bounds[1])}

    def mean_recall_enough(tally: Floats) -> Floats:
        return metrics.mean_recall(np.where(enough[:, None], tally, 0))

    recall, recalls = metrics.recall(confusion), metrics.recall(many)
    per_class: dict[str, dict[str, float | None]] = {}
    for e in Expression:
        if counts[e] == 0:
            per_class[e.label] = {"recall": None, "low": None, "high": None, "n": 0}
            continue
        bounds = percentile_interval(recalls[:, e])
        if recall[e] in (0, 1):
            bounds = wilson_interval(confusion[e, e], counts[e])  # type: ignore[assignment]
        per_class[e.label] = {
            "recall": float(recall[e]),
            "low": float(bounds[0]),
            "high": float(bounds[1]),
            "n": round(float(counts[e])),
        }
    return {
        "n": len(labels),
        "accuracy": interval(metrics.accuracy),
        "macro_f1": interval(metrics.macro_f1),
        "mean_recall": interval(metrics.mean_recall),
        f"mean_recall_n{ENOUGH}": interval(mean_recall_enough),
        "per_class": per_class,
        "ece": float(metrics.ece(reliability)),
        "ece_interval": {"low": float(ece_low), "high": float(ece_high)},
        "confusion": np.round(confusion, 3).tolist(),
        "confusion_interval": {"low": np.round(low, 3).tolist(), "high": np.round(high, 3).tolist()},
        "reliability": np.round(reliability, 3).tolist(),
    }


def _crops(selection: Selection, detect: Detector | None, size: int) -> tuple[NDArray[np.uint8], int]:
    crops, missed = [], 0
    for sample in selection.samples:
        faces = detect(sample.image)[:1] if detect is not None else []
        missed += detect is not None and not faces
        crops.append(align(sample.image, faces or whole_picture(sample.image), size))
    return np.concatenate(crops), missed


def _unknown(classify: Classifier) -> list[str]:
    return [e.label for e in Expression if e not in classify.contract.labels]


def _refitted(classify: Classifier, logits: Floats, labels: NDArray[np.integer], splits: int, seed: int) -> Floats:
    """(splits, N, 8) probabilities, each from a calibration that was fitted without the image."""
    meta = classify.contract.meta
    missing = [key for key in ("shift", "strength", "temperature", "accuracy_cost") if key not in meta]
    if missing:
        raise InputError(f"the model does not state its {missing[0]}, so its calibration cannot be fitted again")
    shift = np.array([float(v) for v in meta["shift"].split(",")])
    raw = logits * float(meta["temperature"]) - float(meta["strength"]) * shift
    answers = np.empty((splits, *logits.shape), np.float32)
    for i, (fit_on, score_on) in enumerate(calibration.halves(len(labels), splits, seed)):
        fitted = calibration.fit(raw[fit_on], labels[fit_on], shift, float(meta["accuracy_cost"]))
        answers[i // 2, score_on] = softmax(fitted(raw[score_on]))
    return answers
