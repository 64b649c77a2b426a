"""Compare results of several models, one file per training seed: which differences are separable?

Results keep the answer to each face, so models are compared on the same faces: a bootstrap over faces, within each
class, of the mean over training seeds. The variation between seeds is in the mean, not in the interval.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mien.errors import InputError
from mien.evaluation import metrics
from mien.evaluation.intervals import bootstrap, percentile_interval
from mien.evaluation.result import Result

Floats = NDArray[np.floating]
CLASSES = 8
METRICS: dict[str, Callable[[Floats], Floats]] = {
    "accuracy": metrics.accuracy,
    "macro_f1": metrics.macro_f1,
    "macro_f1_n50": partial(metrics.macro_f1, at_least=metrics.ENOUGH),
    "mean_recall": metrics.mean_recall,
}
# Largest half-width, as a fraction, of an interval around 0 that counts as not separable.
NARROW = 0.007


class Predictions(NamedTuple):
    """Answers of one trained model about N faces.

    faces: hash of the faces.   labels, answers: (N,), in Expression order.
    """

    faces: str
    labels: NDArray[np.int64]
    answers: NDArray[np.int64]


def kept(sources: Sequence[str], labels: NDArray[np.integer], answers: NDArray[np.integer]) -> dict[str, str]:
    """Return the answers as a result file stores them: a hash of the faces, and one digit per face."""
    return {
        "faces": hashed(sources),
        "labels": "".join(map(str, labels.tolist())),
        "answers": "".join(map(str, answers.tolist())),
    }


def hashed(sources: Sequence[str]) -> str:
    """Return a hash of the faces and their order, in 16 letters."""
    return hashlib.sha256("\n".join(sources).encode()).hexdigest()[:16]


def read(path: Path) -> Result:
    """Return a result file; raise InputError if it is none or has no answers."""
    try:
        result: Result = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: no result can be read from it ({error})") from error
    if not isinstance(result, dict):
        raise InputError(f"{path}: no result, which is an object with answers")
    if not isinstance(result.get("answers"), dict):
        raise InputError(f"{path} does not keep its answers face by face; write it anew with `mien evaluate -o`")
    return result


def answers_of(result: Mapping[str, Any]) -> Predictions:
    """Return the stored answers of a result."""
    stored = result["answers"]
    labels, answers = (np.array(list(map(int, stored[key])), np.int64) for key in ("labels", "answers"))
    return Predictions(stored["faces"], labels, answers)


def contrast(
    arms: Mapping[str, Sequence[Predictions]],
    weights: Mapping[str, float],
    metric: str = "accuracy",
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Result:
    """Return a weighted sum of the arms' mean metric, such as one arm minus another, with its 95 % interval.

    arms: answers of each arm's training seeds, by name.   weights: of the arms to use.   metric: of METRICS. Raise
    InputError if the answers are about different faces. A metric over classes is null if no class has enough faces.
    """
    chosen = {name: arms[name] for name in weights}
    first = next(iter(chosen.values()))[0]
    tallies, factors = [], []
    for name, answers in chosen.items():
        for predictions in answers:
            if predictions.faces != first.faces or not np.array_equal(predictions.labels, first.labels):
                raise InputError(f"the results of {name} are of other faces, or other labels, than those compared with")
            tallies.append(
                metrics.confusion_tally(predictions.labels, np.eye(CLASSES)[predictions.answers]).reshape(
                    -1, CLASSES**2
                )
            )
            factors.append(weights[name] / len(answers))
    tally = np.stack(tallies, axis=1)  # (N, runs, 64)
    shape = (-1, len(factors), CLASSES, CLASSES)
    value, values = (
        METRICS[metric](t.reshape(shape)) @ np.array(factors)
        for t in (tally.sum(axis=0), bootstrap(tally, resamples, seed, strata=first.labels))
    )
    if np.isnan(value[0]):
        return {"value": None, "low": None, "high": None, "answer": "undecided"}
    low, high = percentile_interval(values)
    result = {"value": float(value[0]), "low": float(low), "high": float(high)}
    return result | {"answer": verdict(result)}


def means(answers: Sequence[Predictions], *, resamples: int = 2000, seed: int = 0) -> Result:
    """Return each metric of one model, mean over its training seeds, with its 95 % interval."""
    every = {m: contrast({"": answers}, {"": 1.0}, m, resamples=resamples, seed=seed) for m in METRICS}
    # Only a difference has a verdict.
    return {metric: {key: value for key, value in v.items() if key != "answer"} for metric, v in every.items()}


def verdict(interval: Mapping[str, float]) -> str:
    """Return "higher", "lower", "not separable" (around 0 and narrow) or "undecided" for a difference."""
    if interval["low"] > 0:
        return "higher"
    if interval["high"] < 0:
        return "lower"
    narrow = interval["high"] - interval["low"] < 2 * NARROW
    return "not separable" if narrow else "undecided"


def compare(models: Mapping[str, Sequence[Mapping[str, Any]]], *, resamples: int = 2000, seed: int = 0) -> Result:
    """Return each model's metrics, averaged over its results, and its difference from the first, with 95 % intervals.

    models: results of `mien evaluate` by name of the model, one per training seed.
    """
    arms = {name: [answers_of(result) for result in results] for name, results in models.items()}
    reference = next(iter(arms))
    options = {"resamples": resamples, "seed": seed}
    rows = []
    for name in arms:
        row: Result = {"model": name, "runs": len(arms[name])} | means(arms[name], **options)
        for metric in METRICS:
            if name != reference:
                row[f"{metric}_difference"] = contrast(arms, {name: 1.0, reference: -1.0}, metric, **options)
        rows.append(row)
    first = next(iter(models.values()))[0]
    about = {key: first.get(key) for key in ("data", "split", "protocol", "n")}
    return about | {"reference": reference, "models": rows, "resamples": resamples, "seed": seed}
