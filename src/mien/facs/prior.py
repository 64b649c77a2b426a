"""Priors: the expected frequency of each expression, and probabilities under another prior.

A reader's probabilities are those of faces like the ones it learned from, of which a third is neutral. Whoever knows
what his own pictures hold can say so: by Bayes' rule each probability is multiplied by the ratio of the wanted and the
learned share of its word, and all are scaled to sum to 1 again.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mien.errors import InputError
from mien.facs.vocabulary import Expression

# Mean shares of the votes of the 28,388 FERPlus training faces that mien learns from, single votes removed.
FERPLUS = (0.3334, 0.2648, 0.1227, 0.1413, 0.0867, 0.0102, 0.0307, 0.0103)
PRIORS = {"ferplus": FERPLUS, "uniform": (1 / 8,) * 8}


def prior(given: str | Sequence[float]) -> NDArray[np.float64]:
    """(8,) expected shares in Expression order, which sum to 1.

    given: a name in PRIORS, or eight numbers of 0 or more, or such numbers in one text with commas between; they are
    scaled to sum to 1. InputError for anything else.
    """
    if isinstance(given, str) and given.strip().lower() in PRIORS:
        given = PRIORS[given.strip().lower()]
    try:
        shares = np.array(given.split(",") if isinstance(given, str) else given, np.float64)
    except (ValueError, TypeError) as error:
        raise InputError(_wanted(given)) from error
    if shares.shape != (len(Expression),) or not (np.isfinite(shares) & (shares >= 0)).all() or not shares.sum() > 0:
        raise InputError(_wanted(given))
    return np.asarray(shares / shares.sum())


def named_prior(given: str | Sequence[float]) -> str:
    """A prior as metadata state it: its name in PRIORS, or eight shares with commas between."""
    shares = prior(given)
    names = (name for name in PRIORS if np.allclose(shares, prior(name), atol=1e-4))
    return next(names, ",".join(f"{share:.4g}" for share in shares))


def with_prior(
    probabilities: NDArray[np.floating], wanted: NDArray[np.floating], learned: Sequence[float] = FERPLUS
) -> NDArray[np.float32]:
    """Probabilities, (..., 8), for pictures in which the words have the wanted shares, (8,), and not the learned ones.

    An answer of which nothing is left, because only words with a wanted share of 0 were probable, becomes the wanted
    shares themselves.
    """
    weighed = probabilities.astype(np.float64) * (wanted / (np.array(learned) / np.sum(learned)))
    total = weighed.sum(axis=-1, keepdims=True)
    return np.where(total > 0, weighed / np.where(total > 0, total, 1), wanted).astype(np.float32)


def _wanted(given: object) -> str:
    return (
        f"a prior is {', '.join(PRIORS)} or {len(Expression)} shares, of {', '.join(e.label for e in Expression)}, "
        f"but got {given!r}"
    )
