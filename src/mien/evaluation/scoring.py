"""Score a model on a data set: metrics with intervals, dropped samples, with and without duplicates."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.core.align import realigned, to_crop_frame
from mien.core.contract import Classifier, softmax
from mien.core.detect import Detector, surest, whole_picture
from mien.core.reader import Reader
from mien.datasets.base import Sample
from mien.errors import InputError
from mien.evaluation import calibration, metrics
from mien.evaluation.compare import kept
from mien.evaluation.intervals import bootstrap, percentile_interval, wilson_interval
from mien.evaluation.protocols import Selection, select, vote_shares
from mien.evaluation.result import Result
from mien.evaluation.seen import fingerprint, seen
from mien.facs.vocabulary import Expression

Floats = NDArray[np.floating]
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
    threads: int = 1,
) -> Result:
    """Score a classifier on every sample that the protocol keeps; see `scores` for the entries of a result.

    The top level leaves out samples marked as duplicates of another split; `with_duplicates` includes them. `answers`
    keeps the answer to each face, for mien.evaluation.compare. If samples have a group, such as the data set within a
    hybrid, `groups` has n, accuracy, macro F1 and mean recall of each. `seen_in_calibration` counts the pictures that
    the model's choices or calibration saw, and `unseen` says whether there are none; both are None if the model does
    not state it.
    detect: find the face in each picture first; by default every picture is one face.   threads: of the reader that
    then aligns the faces.
    cross_fit: number of times to refit the calibration on random halves and score each on the other half. Classes
    missing in the data set's `expressions` are masked and the rest renormalized. Raise InputError if no sample is kept.
    """
    if cross_fit and protocol == "multi-target":
        raise InputError("a calibration is fitted on one label a face; cross_fit does not go with multi-target")
    crop = _Cropper(classify, detect, threads)
    selection = select(dataset, protocol, prepare=crop)
    samples = selection.samples
    if not samples:
        raise InputError(
            f"the protocol {protocol!r} keeps none of the {len(dataset)} samples; dropped: {selection.dropped}"
        )
    known = getattr(dataset, "expressions", tuple(Expression))
    masked = [e for e in Expression if e not in known]
    logits = _logits(classify, samples, masked)
    duplicate = np.array([sample.duplicate for sample in samples])
    if duplicate.all():
        raise InputError("every sample kept is marked as a duplicate of another split, so none is left to score")
    clean, probabilities = ~duplicate, softmax(logits)
    labels = credited(selection, probabilities)
    dropped = selection.dropped | {"duplicate of another split": int(duplicate.sum())}
    result: Result = {"protocol": selection.protocol, "dropped": dropped}
    result |= scores(labels[clean], probabilities[clean][None], resamples=resamples, seed=seed)
    count = seen(crop.pictures, classify.contract.meta)
    result |= {"seen_in_calibration": count, "unseen": None if count is None else count == 0}
    scored = [sample for sample, keep in zip(samples, clean, strict=True) if keep]
    result["answers"] = kept([sample.source for sample in scored], labels[clean], probabilities[clean].argmax(axis=1))
    result |= {"masked": [e.label for e in masked], "unknown_to_model": _unknown(classify), "seed": seed}
    groups = np.array([sample.group or "" for sample in scored])
    if groups.any():
        result["groups"] = _groups(groups, labels[clean], probabilities[clean], resamples, seed)
    if detect is not None:
        result["no_face_found"] = int(np.array(crop.missed)[clean].sum())
    if cross_fit:
        answers, fitted = _refitted(classify, scored, logits[clean], labels[clean], cross_fit, seed)
        result["cross_fit"] = {"splits": cross_fit, "fitted": fitted}
        result["cross_fit"] |= scores(labels[clean], answers, resamples=resamples, seed=seed)
    result["with_duplicates"] = scores(labels, probabilities[None], resamples=resamples, seed=seed)
    return result


def _logits(classify: Classifier, samples: Sequence[Sample], masked: Sequence[Expression]) -> Floats:
    crops = np.stack([sample.image for sample in samples])
    logits = np.concatenate([classify.logits(crops[i : i + _BATCH]) for i in range(0, len(crops), _BATCH)])
    logits[:, masked] = -np.inf
    return logits


class _Cropper:
    """Crops the face of a picture as the pipeline does, with `detect`; without it the picture is the face.

    missed: for each picture so far, whether no face was detected.   pictures: their fingerprints.
    """

    def __init__(self, classify: Classifier, detect: Detector | None, threads: int) -> None:
        self._detect, self._view = detect, classify.contract.view
        self._reader = None if detect is None else Reader(classify, threads)
        self.missed: list[bool] = []
        self.pictures: list[int] = []

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        face = surest(self._detect(image)) if self._detect is not None else None
        self.missed.append(self._detect is not None and face is None)
        self.pictures.append(fingerprint(image))
        frame = to_crop_frame(face or whole_picture(image)[0])
        crops = self._view.crops(image, [frame])
        landmarks = self._reader.answers(crops).landmarks if face is not None and self._reader is not None else None
        if landmarks is not None and (better := realigned(frame, landmarks[0])) is not None:
            crops = self._view.crops(image, [better])
        return np.asarray(crops[0])


def _groups(
    groups: NDArray[np.str_], labels: NDArray[np.integer], probabilities: Floats, resamples: int, seed: int
) -> Result:
    result: Result = {}
    for group in np.unique(groups[groups != ""]).tolist():
        rows = groups == group
        whole = scores(labels[rows], probabilities[rows][None], resamples=resamples, seed=seed)
        result[group] = {key: whole[key] for key in ("n", "accuracy", "macro_f1", "mean_recall", "ece")}
    return result


def credited(selection: Selection, probabilities: Floats) -> NDArray[np.int64]:
    """(N,) label that each answer is compared with; under multi-target the answer itself, if it is right."""
    labels, answers = selection.labels, probabilities.argmax(axis=1)
    if selection.protocol != "multi-target":
        return labels
    return np.where(selection.targets[np.arange(len(answers)), answers] > 0, answers, labels)


def scores(labels: NDArray[np.integer], probabilities: Floats, *, resamples: int = 2000, seed: int = 0) -> Result:
    """Return metrics with 95 % intervals: Wilson's for shares (accuracy, recall of a class), else a bootstrap over
    images.

    labels: (N,).   probabilities: (S, N, 8), S answers for each image with weight 1/S; the ECE is the mean over S. Two
    known faults of the percentile bootstrap are corrected: the recall of a class with fewer than metrics.ENOUGH samples
    enters the interval of the mean recall as Beta(hits + 1/2, misses + 1/2), and the interval of the ECE, which
    resampling inflates, is shifted back by that much.
    """
    answers = len(probabilities)
    confusions = np.mean([metrics.confusion_tally(labels, p) for p in probabilities], axis=0).reshape(len(labels), -1)
    reliabilities = [metrics.reliability_tally(labels, p).reshape(len(labels), -1) for p in probabilities]
    # One bootstrap over all tallies, so that every metric uses the same resamples.
    tally = np.concatenate([confusions, *reliabilities], axis=1)
    whole, many = tally.sum(axis=0)[None], bootstrap(tally, resamples, seed)
    (confusion, reliability), (confused, calibrated) = (
        _unpacked(t, confusions.shape[1], answers) for t in (whole, many)
    )
    recalls = _recalls(confusion[0], confused, seed)
    ece = float(metrics.ece(reliability).mean())
    eces = metrics.ece(calibrated).mean(axis=1)
    low, high = percentile_interval(confused)
    return {
        "n": len(labels),
        "accuracy": {"value": float(metrics.accuracy(confusion)[0]), **_share(np.trace(confusion[0]), len(labels))},
        "macro_f1": _interval(metrics.macro_f1(confusion)[0], metrics.macro_f1(confused)),
        "mean_recall": _mean_recall(confusion[0], recalls, at_least=1),
        f"mean_recall_n{metrics.ENOUGH}": _mean_recall(confusion[0], recalls, at_least=metrics.ENOUGH),
        "per_class": {e.label: _class(e, confusion[0]) for e in Expression},
        "ece": ece,
        "ece_interval": {k: max(0.0, v) for k, v in _bounds(eces - (eces.mean() - ece)).items()},
        "confusion": np.round(confusion[0], 3).tolist(),
        "confusion_interval": {"low": np.round(low, 3).tolist(), "high": np.round(high, 3).tolist()},
        "reliability": np.round(reliability[0].mean(axis=0), 3).tolist(),
    }


def _unpacked(tally: Floats, width: int, answers: int) -> tuple[Floats, Floats]:
    """(R, ...) flat tallies -> (R, 8, 8) confusion matrices and (R, S, BINS, 3) reliability bins."""
    classes = len(Expression)
    return tally[:, :width].reshape(-1, classes, classes), tally[:, width:].reshape(
        len(tally), answers, metrics.BINS, 3
    )


def _recalls(confusion: Floats, confused: Floats, seed: int) -> Floats:
    """(R, 8) recalls of the resamples; those of small classes drawn from a Beta distribution."""
    recalls = metrics.recall(confused)
    counts, hits = metrics.samples(confusion), np.diagonal(confusion)
    rng = np.random.default_rng([seed, 1])
    for c in np.flatnonzero((counts > 0) & (counts < metrics.ENOUGH)):
        recalls[:, c] = rng.beta(hits[c] + 0.5, counts[c] - hits[c] + 0.5, len(recalls))
    return recalls


def _mean_recall(confusion: Floats, recalls: Floats, at_least: int) -> dict[str, float | None]:
    rows = metrics.samples(confusion) >= at_least
    if not rows.any():
        return {"value": None, "low": None, "high": None}
    return _interval(metrics.mean_recall(confusion, at_least), np.nanmean(recalls[:, rows], axis=1))


def _class(e: Expression, confusion: Floats) -> dict[str, float | int | None]:
    count, hits = int(metrics.samples(confusion)[e]), float(confusion[e, e])
    if count == 0:
        return {"recall": None, "low": None, "high": None, "n": 0}
    return {"recall": hits / count, **_share(hits, count), "n": count}


def _share(hits: float, count: int) -> dict[str, float]:
    low, high = wilson_interval(float(hits), count)
    return {"low": low, "high": high}


def _interval(value: Any, values: Floats) -> dict[str, float | None]:
    return {"value": float(value), **_bounds(values)}


def _bounds(values: Floats) -> dict[str, float]:
    low, high = percentile_interval(values)
    return {"low": float(low), "high": float(high)}


def _unknown(classify: Classifier) -> list[str]:
    return [e.label for e in Expression if e not in classify.contract.labels]


def _refitted(
    classify: Classifier,
    samples: Sequence[Sample],
    logits: Floats,
    labels: NDArray[np.integer],
    splits: int,
    seed: int,
) -> tuple[Floats, list[str]]:
    """Return (splits, N, 8) probabilities, each from a calibration fitted without the image, and what was fitted.

    For a model whose probabilities were fitted to vote shares, that is the temperature alone.
    """
    meta = classify.contract.meta
    shares = vote_shares(samples) if meta.get("probabilities") == "vote shares" else None
    missing = [key for key in ("shift", "strength", "temperature") if key not in meta]
    if missing or (shares is None and "accuracy_cost" not in meta):
        what = (missing or ["accuracy_cost"])[0]
        raise InputError(f"the model does not state its {what}, so its calibration cannot be fitted again")
    shift, strength = np.array([float(v) for v in meta["shift"].split(",")]), float(meta["strength"])
    raw = logits * float(meta["temperature"]) - strength * shift
    answers = np.empty((splits, *logits.shape), np.float32)
    for i, (fit_on, score_on) in enumerate(calibration.halves(len(labels), splits, seed)):
        if shares is None:
            fitted = calibration.fit(raw[fit_on], labels[fit_on], shift, float(meta["accuracy_cost"]))
        else:
            heat = calibration.temperature_of_shares(raw[fit_on] + strength * shift, shares[fit_on])
            fitted = calibration.Calibration(tuple(map(float, shift)), strength, heat)
        answers[i // 2, score_on] = softmax(fitted(raw[score_on]))
    return answers, ["strength", "temperature"] if shares is None else ["temperature"]
