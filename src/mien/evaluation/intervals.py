"""Confidence intervals: bootstrap over images, and Wilson's."""

import math
import warnings

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
LEVEL = 0.95
_CHUNK = 100


def bootstrap(tally: Floats, resamples: int = 2000, seed: int = 0, strata: NDArray[np.integer] | None = None) -> Floats:
    """(N, ...) tallies of samples -> (resamples, ...) tallies of samples drawn with replacement.

    The same N, resamples and seed draw the same samples, so several tallies of one data set stay paired. strata: (N,),
    such as labels: draw within each, so that every resample has as many of each as the data.
    """
    rng = np.random.default_rng(seed)
    count = len(tally)
    if strata is not None:
        parts = [bootstrap(tally[strata == s], resamples, int(rng.integers(2**31))) for s in np.unique(strata)]
        return np.asarray(sum(parts))
    flat = tally.reshape(count, -1)
    parts = []
    for start in range(0, resamples, _CHUNK):
        rows = min(_CHUNK, resamples - start)
        drawn = rng.integers(0, count, (rows, count)) + np.arange(rows)[:, None] * count
        weights = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)
        parts.append(weights.astype(np.float32) @ flat)
    return np.concatenate(parts).reshape(resamples, *tally.shape[1:])


def percentile_interval(values: Floats) -> tuple[Floats, Floats]:
    """Return the central 95 % of bootstrap values along the first axis, ignoring NaN; NaN if all are."""
    tail = 100 * (1 - LEVEL) / 2
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
        low, high = np.nanpercentile(values, [tail, 100 - tail], axis=0)
    return low, high


def wilson_interval(hits: float, count: float) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share; unlike the bootstrap it also holds for 0 of 10 and 10 of 10."""
    z = 1.959964
    share = hits / count
    center = share + z * z / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return max(0.0, (center - spread) / scale), min(1.0, (center + spread) / scale)
