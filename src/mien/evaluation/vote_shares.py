"""Probabilities held against the shares of people who chose each word, and against how sure people were at all.

Letters: N faces.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.core.contract import softmax
from mien.evaluation.intervals import bootstrap, percentile_interval
from mien.evaluation.metrics import BINS
from mien.evaluation.protocols import majority, soft_votes

Floats = NDArray[np.floating]
# An answer with more than this probability is a sure one.
SURE = 0.8
# The shares of the faces that are left unanswered, the least readable first.
UNANSWERED = (0.0, 0.05, 0.1, 0.2)


def shares(logits: Floats, votes: NDArray[np.integer], *, resamples: int = 2000, seed: int = 0) -> dict[str, Any]:
    """How well the softmax of logits, (N, 8), gives the vote shares of readable faces, with 95 % intervals.

    votes: (N, 10). A face is readable where the largest column is an expression, single votes removed; its shares are
    the votes left. Also for the readable faces without a majority alone, which people are divided about.
    """
    targets, clear = soft_votes(votes), majority(votes).kept
    probabilities = softmax(logits).astype(np.float64)
    losses = cross_entropies(probabilities, targets.values)
    divided = targets.kept & ~clear
    found: dict[str, Any] = {"readable": int(targets.kept.sum()), "divided": int(divided.sum())}
    found["cross_entropy"] = _mean(losses[targets.kept], resamples, seed)
    found["cross_entropy_divided"] = _mean(losses[divided], resamples, seed)
    found["sure_divided"] = _mean((probabilities.max(axis=1) > SURE)[divided].astype(float), resamples, seed)
    found["reliability"] = reliability(probabilities[targets.kept], targets.values[targets.kept])
    return found


def cross_entropies(probabilities: Floats, targets: Floats) -> NDArray[np.float64]:
    """(N,) cross-entropy in nats of each answer with the shares, both (N, 8)."""
    return np.asarray(-(targets * np.log(np.maximum(probabilities, 1e-12))).sum(axis=1))


def reliability(probabilities: Floats, targets: Floats) -> list[dict[str, float]]:
    """For BINS bins of probability, over all words of all faces: the mean probability and the mean share of votes."""
    flat, wanted = probabilities.ravel(), targets.ravel()
    bins = np.minimum((flat * BINS).astype(int), BINS - 1)
    return [
        {"n": int(chosen.sum()), "probability": float(flat[chosen].mean()), "share": float(wanted[chosen].mean())}
        for b in range(BINS)
        if (chosen := bins == b).any()
    ]


def risk_coverage(right: NDArray[np.bool_], readability: Floats) -> dict[str, Any]:
    """What accuracy is left when the least readable faces are not answered, and the area under the curve of errors.

    right: (N,) whether each answer is.   readability: (N,); equal ones keep their order.
    """
    order = np.argsort(-readability, kind="stable")
    hits = right[order].cumsum() / np.arange(1, len(right) + 1)  # (N,) accuracy of the most readable 1 to N
    kept = {share: max(1, round((1 - share) * len(right))) for share in UNANSWERED}
    return {
        "accuracy": {f"{share:g}": float(hits[count - 1]) for share, count in kept.items()},
        "risk_area": float((1 - hits).mean()),
    }


def _mean(values: NDArray[np.float64], resamples: int, seed: int) -> dict[str, float | None]:
    if not len(values):
        return {"value": None, "low": None, "high": None}
    low, high = percentile_interval(bootstrap(values, resamples, seed) / len(values))
    return {"value": float(values.mean()), "low": float(low), "high": float(high)}
