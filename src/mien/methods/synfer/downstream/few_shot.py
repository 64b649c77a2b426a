"""Few-shot learning: episodes of five expressions with one or five examples each (prototypical networks).

Snell et al., NeurIPS 2017, https://arxiv.org/abs/1703.05175; the encoder is not trained further.

Letters: N faces, F features, E episodes.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mien.errors import InputError
from mien.facs.vocabulary import Expression

# In every episode; two others are drawn.
RARE = (Expression.CONTEMPT, Expression.DISGUST, Expression.FEAR)
OTHERS = 2


def episodes(
    features: NDArray[np.floating],
    labels: NDArray[np.integer],
    *,
    shots: int,
    count: int = 600,
    queries: int = 5,
    seed: int = 0,
) -> NDArray[np.float64]:
    """(E,) accuracy of each episode over (N, F) features; the same labels and seed give the same episodes.

    In each, the mean of `shots` faces is the prototype of an expression, and `queries` others of each are assigned to
    the nearest. Raise InputError if an expression of RARE, or all but one of the others, has too few faces.
    """
    rng = np.random.default_rng(seed)
    need = shots + queries
    enough = [e for e in Expression if (labels == e).sum() >= need]
    common = [e for e in enough if e not in RARE]
    if any(e not in enough for e in RARE) or len(common) < OTHERS:
        raise InputError(
            f"an episode needs {need} faces of each of {', '.join(e.label for e in RARE)} and two others; enough are "
            f"there of {', '.join(e.label for e in enough) or 'none'}"
        )
    return np.array([_episode(features, labels, common, shots, need, rng) for _ in range(count)])


def mean(values: NDArray[np.float64]) -> dict[str, float]:
    """Return the mean over E episodes with its 95 % interval.

    The interval covers the draw of episodes, not the choice of the few faces of rare expressions.
    """
    value, half = float(values.mean()), 1.96 * float(values.std(ddof=1)) / len(values) ** 0.5
    return {"value": value, "low": value - half, "high": value + half}


def _episode(
    features: NDArray[np.floating],
    labels: NDArray[np.integer],
    common: Sequence[Expression],
    shots: int,
    need: int,
    rng: np.random.Generator,
) -> float:
    drawn = rng.choice(len(common), OTHERS, replace=False)
    classes = [*RARE, *(common[i] for i in drawn)]
    rows = np.stack([rng.choice(np.flatnonzero(labels == e), need, replace=False) for e in classes])
    prototypes = features[rows[:, :shots]].mean(axis=1)  # (5, F)
    asked = features[rows[:, shots:]]  # (5, queries, F)
    off = ((asked[:, :, None] - prototypes) ** 2).sum(axis=-1)  # (5, queries, 5)
    return float((off.argmin(axis=2) == np.arange(len(classes))[:, None]).mean())
