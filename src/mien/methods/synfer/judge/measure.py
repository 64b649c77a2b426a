"""Metrics of generated faces from the answers of judges: arrays in, numbers out; mien.cli.measure.judge combines them.

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
# Action units for which the judge's correlation with the teacher on photographs is at most this are left out.
TRUSTED = 0.3
# Action units whose control is reported, and the smallest usable spread of requests.
CONTROLLED = (12, 26, 4, 43, 2)
_SPREAD = 0.05
# A generated face closer to a training face than this percentile of other photographs is a copy.
NEAR = 1.0
_CHUNK = 512


def agreement(requested: Sequence[Expression | None], probabilities: Floats) -> Result:
    """Return the share of faces that show the request, with Wilson's interval; also per class with counts.

    probabilities: (N, 8) of the judge. Faces without a request do not count.
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
    """(K,) Pearson's r between (N, K) action units, over the requested rows (not NaN).

    NaN for action units that hardly vary, or with fewer than three requests.
    """
    return np.array([_pearson(w, m) for w, m in zip(wanted.T, measured.T, strict=True)])


def control(wanted: Floats, measured: Floats, resamples: int = 1000, seed: int = 0) -> dict[str, Result]:
    """Return Spearman's rank correlation of requested and judged intensity for each action unit of CONTROLLED, "AU12".

    With a bootstrap interval over faces and the number of faces; null if too few faces request it.
    """
    correlations: dict[str, Result] = {}
    for number in CONTROLLED:
        column = [int(unit) for unit in UNITS].index(number)
        w, m = wanted[:, column], measured[:, column]
        requested = ~np.isnan(w)
        correlations[f"AU{number:02d}"] = _spearman(w[requested], m[requested], resamples, seed)
    return correlations


def _spearman(w: Floats, m: Floats, resamples: int, seed: int) -> Result:
    value = _pearson(ranks(w), ranks(m)) if len(w) >= 3 and np.std(w) >= _SPREAD else float("nan")
    if np.isnan(value):
        return {"value": None, "low": None, "high": None, "n": len(w)}
    # Rank once; correlations are computed from resampled moments.
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
    requested = ~np.isnan(w)
    w, m = w[requested].astype(np.float64), m[requested].astype(np.float64)
    if len(w) < 3 or w.std() < 1e-6 or m.std() < 1e-6:
        return float("nan")
    return float(np.mean((w - w.mean()) * (m - m.mean())) / (w.std() * m.std()))


def frechet(one: Floats, other: Floats, weights: Floats | None = None) -> float:
    """Return the Fréchet distance of two sets of features, (N, F) and (M, F), as Gaussians; 0 for equal ones.

    weights: (M,) of the second set; equal by default.

    |m - m'|^2 + tr(C + C' - 2 (C C')^(1/2)), as in Heusel et al., 2017, with a judge's features instead of Inception's:
    comparable with each other, not with published values.
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
    """(M,) weights of faces with these labels, (M,), that give each class its share in (N,) wanted."""
    there, needed = (np.bincount(x, minlength=len(Expression)) for x in (labels, wanted))
    return np.asarray((needed / np.maximum(there, 1))[labels] / len(wanted))


def drawn(labels: NDArray[np.int64], wanted: NDArray[np.int64], seed: int = 0) -> NDArray[np.intp]:
    """(N,) rows of faces with these labels, (M,), one for each of (N,) wanted; repeated only if needed."""
    rng = np.random.default_rng(seed)
    rows = []
    for label, count in zip(*np.unique(wanted, return_counts=True), strict=True):
        there = np.flatnonzero(labels == label)
        rows.append(rng.choice(there, count, replace=count > len(there)))
    return np.concatenate(rows)


def nearest(queries: Floats, among: Floats) -> NDArray[np.float64]:
    """(N,) Euclidean distance of each of (N, F) to the nearest of (M, F)."""
    among = among.astype(np.float64)
    squares = (among**2).sum(axis=1)
    parts = []
    for start in range(0, len(queries), _CHUNK):
        x = queries[start : start + _CHUNK].astype(np.float64)
        squared = (x**2).sum(axis=1)[:, None] + squares - 2 * x @ among.T
        parts.append(np.sqrt(np.clip(squared.min(axis=1), 0, None)))
    return np.concatenate(parts)


def memorised(generated: Floats, training: Floats, photographs: Floats) -> Result:
    """Return the share of generated faces that are closer to a training face than nearly all other photographs.

    The limit is the first percentile of the distances of photographs that were not trained on, of which one in a
    hundred is closer.
    """
    limit = float(np.percentile(nearest(photographs, training), NEAR))
    return _share(nearest(generated, training) < limit) | {"limit": limit}
