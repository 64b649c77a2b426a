"""What generated faces show and how close they come to photographs, by the word of networks that did not guide them.

Everything here is arrays in, numbers out; mien.cli.measure.judge puts it together.

Letters: N generated faces, M photographs, F features of a judge, K = 24 action units and asymmetries.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mien.errors import InputError
from mien.evaluation.intervals import bootstrap, percentile_interval, wilson_interval
from mien.evaluation.result import Result
from mien.facs.vocabulary import Expression
from mien.methods.synfer.flow.requests import UNITS

Floats = NDArray[np.floating]
# An action unit whose judge agrees with the teacher no better than this on photographs is left out.
TRUSTED = 0.3
# Action units whose control is reported one by one, and the smallest spread of requests that says anything.
CONTROLLED = (12, 26, 4, 43, 2)
_SPREAD = 0.05
# A generated face nearer to a training face than this percentile of the distances of other photographs is a copy.
NEAR = 1.0
_CHUNK = 512


def agreement(requested: Sequence[Expression | None], probabilities: Floats) -> Result:
    """The share of faces that show what was asked for, with Wilson's interval; also a class, and how many there are.

    probabilities: (N, 8) of the judge.   Faces that were asked for nothing do not count.
    """
    rows = [i for i, wanted in enumerate(requested) if wanted is not None]
    wanted = np.array([int(requested[i] or 0) for i in rows], int)
    right = probabilities[rows].argmax(axis=1) == wanted
    per_class = {e.label: _share(right[wanted == e]) for e in Expression if (wanted == e).any()}
    return _share(right) | {"per_class": per_class}


def _share(right: NDArray[np.bool_]) -> Result:
    if not len(right):
        return {"value": None, "low": None, "high": None, "n": 0}
    low, high = wilson_interval(float(right.sum()), len(right))
    return {"value": float(right.mean()), "low": low, "high": high, "n": len(right)}


def correlations(wanted: Floats, measured: Floats) -> NDArray[np.float64]:
    """(K,) Pearson's r between (N, K) action units, over the rows where they are wanted (not NaN).

    NaN for those that hardly vary, or are wanted of fewer than three faces.
    """
    return np.array([_pearson(w, m) for w, m in zip(wanted.T, measured.T, strict=True)])


def control(wanted: Floats, measured: Floats, resamples: int = 1000, seed: int = 0) -> dict[str, Result]:
    """Spearman's rank correlation of requested and judged intensity, for each action unit of CONTROLLED, "AU12".

    With a bootstrap interval over faces, and the number of faces; null where too few faces ask for it.
    """
    found: dict[str, Result] = {}
    for number in CONTROLLED:
        column = [int(unit) for unit in UNITS].index(number)
        w, m = wanted[:, column], measured[:, column]
        told = ~np.isnan(w)
        found[f"AU{number:02d}"] = _spearman(w[told], m[told], resamples, seed)
    return found


def _spearman(w: Floats, m: Floats, resamples: int, seed: int) -> Result:
    value = _pearson(ranks(w), ranks(m)) if len(w) >= 3 and np.std(w) >= _SPREAD else float("nan")
    if np.isnan(value):
        return {"value": None, "low": None, "high": None, "n": len(w)}
    # Ranks are taken once: resampled moments of them are what a correlation is made of.
    x, y = ranks(w), ranks(m)
    moments = bootstrap(np.stack([x, y, x * x, y * y, x * y, np.ones_like(x)], axis=1), resamples, seed)
    mean = moments / moments[:, -1:]
    spread = np.sqrt((mean[:, 2] - mean[:, 0] ** 2) * (mean[:, 3] - mean[:, 1] ** 2))
    low, high = percentile_interval((mean[:, 4] - mean[:, 0] * mean[:, 1]) / np.where(spread > 0, spread, np.nan))
    return {"value": value, "low": float(low), "high": float(high), "n": len(w)}


def ranks(values: Floats) -> NDArray[np.float64]:
    """(N,) from 0; equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    first = np.cumsum(counts) - counts
    return (first + (counts - 1) / 2)[inverse].astype(np.float64)


def _pearson(w: Floats, m: Floats) -> float:
    told = ~np.isnan(w)
    w, m = w[told].astype(np.float64), m[told].astype(np.float64)
    if len(w) < 3 or w.std() < 1e-6 or m.std() < 1e-6:
        return float("nan")
    return float(np.mean((w - w.mean()) * (m - m.mean())) / (w.std() * m.std()))


def frechet(one: Floats, other: Floats, weights: Floats | None = None) -> float:
    """The Fréchet distance of two sets of features, (N, F) and (M, F), each taken for a Gaussian; 0 for equal ones.

    weights: (M,) how much each of the others counts; left out, all alike.

    |m - m'|^2 + tr(C + C' - 2 (C C')^(1/2)), as in Heusel et al., 2017, with the features of a judge in place of
    Inception's: such numbers compare with each other, and with no published one.
    """
    (mean, spread), (mean_o, spread_o) = _gaussian(one), _gaussian(other, weights)
    values, vectors = np.linalg.eigh(spread)
    root = vectors * np.sqrt(np.clip(values, 0, None)) @ vectors.T
    cross = np.sqrt(np.clip(np.linalg.eigvalsh(root @ spread_o @ root), 0, None)).sum()
    distance = ((mean - mean_o) ** 2).sum() + np.trace(spread) + np.trace(spread_o) - 2 * cross
    return float(max(distance, 0.0))


def _gaussian(x: Floats, weights: Floats | None = None) -> tuple[Floats, Floats]:
    if len(x) < 2:
        raise InputError(f"a distance between sets of faces needs two or more of each, but one has {len(x)}")
    x = x.astype(np.float64)
    spread = np.cov(x, rowvar=False, bias=True, aweights=weights)
    return np.average(x, axis=0, weights=weights), np.atleast_2d(spread)


def shared(labels: NDArray[np.int64], wanted: NDArray[np.int64]) -> Floats:
    """(M,) weights of faces with these labels, (M,), so that each class has the share that it has in (N,) wanted."""
    there, needed = (np.bincount(x, minlength=len(Expression)) for x in (labels, wanted))
    return np.asarray((needed / np.maximum(there, 1))[labels] / len(wanted))


def drawn(labels: NDArray[np.int64], wanted: NDArray[np.int64], seed: int = 0) -> NDArray[np.intp]:
    """(N,) rows of faces with these labels, (M,), one for each of (N,) wanted; twice the same only where needed."""
    rng = np.random.default_rng(seed)
    rows = []
    for label, count in zip(*np.unique(wanted, return_counts=True), strict=True):
        there = np.flatnonzero(labels == label)
        rows.append(rng.choice(there, count, replace=count > len(there)))
    return np.concatenate(rows)


def nearest(queries: Floats, among: Floats) -> NDArray[np.float64]:
    """(N,) the Euclidean distance of each of (N, F) to the nearest of (M, F)."""
    among = among.astype(np.float64)
    squares = (among**2).sum(axis=1)
    parts = []
    for start in range(0, len(queries), _CHUNK):
        x = queries[start : start + _CHUNK].astype(np.float64)
        squared = (x**2).sum(axis=1)[:, None] + squares - 2 * x @ among.T
        parts.append(np.sqrt(np.clip(squared.min(axis=1), 0, None)))
    return np.concatenate(parts)


def memorised(generated: Floats, training: Floats, photographs: Floats) -> Result:
    """The share of generated faces that lie as near to a training face as few other photographs do.

    Nearer than the first percentile of the distances of photographs that were not trained on; were generated faces like
    those, one in a hundred would be.
    """
    limit = float(np.percentile(nearest(photographs, training), NEAR))
    return _share(nearest(generated, training) < limit) | {"limit": limit}
