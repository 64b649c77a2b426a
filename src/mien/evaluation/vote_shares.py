"""Compare probabilities with the shares of people who chose each word, and with how certain people were.

Letters: N faces.
"""

import numpy as np
from numpy.typing import NDArray

from mien.core.contract import softmax
from mien.evaluation.intervals import bootstrap, percentile_interval
from mien.evaluation.metrics import BINS
from mien.evaluation.protocols import majority, soft_votes
from mien.evaluation.result import Result

Floats = NDArray[np.floating]
# An answer with a higher probability counts as confident.
SURE = 0.8
# Shares of faces left unanswered, least readable first.
UNANSWERED = (0.0, 0.05, 0.1, 0.2)


def shares(logits: Floats, votes: NDArray[np.integer], *, resamples: int = 2000, seed: int = 0) -> Result:
    """Return how well the softmax of logits, (N, 8), matches the vote shares of readable faces, with 95 % intervals.

    votes: (N, 10). A face is readable if its largest column is an expression after removing single votes; its shares
    are the remaining votes. Also scored on the readable faces without a majority, which divide people.
    """
    targets, clear = soft_votes(votes), majority(votes).kept
    probabilities = softmax(logits).astype(np.float64)
    losses = cross_entropies(probabilities, targets.values)
    divided = targets.kept & ~clear
    measures: Result = {"readable": int(targets.kept.sum()), "divided": int(divided.sum())}
    measures["cross_entropy"] = _mean(losses[targets.kept], resamples, seed)
    measures["cross_entropy_divided"] = _mean(losses[divided], resamples, seed)
    measures["sure_divided"] = _mean((probabilities.max(axis=1) > SURE)[divided].astype(float), resamples, seed)
    measures["reliability"] = reliability(probabilities[targets.kept], targets.values[targets.kept])
    return measures


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


def risk_coverage(right: NDArray[np.bool_], readability: Floats) -> Result:
    """Return the accuracy without the least readable faces, and the area under the risk-coverage curve.

    right: (N,) whether each answer is right.   readability: (N,); ties keep their order.
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
