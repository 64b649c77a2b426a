"""How a face differs from itself at rest: everybody's face lies a little differently when it does nothing.

A change is a value less the median over the frames, or photographs, in which the same person is at rest.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.errors import InputError
from mien.facs.vocabulary import Expression
from mien.video.series import MEASURES, Floats

# The columns of the changes, beside those of the values.
CHANGES = tuple(f"{name}_change" for name in MEASURES)
# The share of a person's frames, those of the most probable neutral, that are taken for rest.
CALMEST = 0.25


@dataclass(frozen=True)
class Rest:
    """When a face is at rest: from start to end, in seconds; without them, in the calmest quarter."""

    start: float | None = None
    end: float | None = None

    @staticmethod
    def parse(text: str) -> "Rest":
        """ "auto", or seconds as in "0-5". InputError for anything else."""
        if text == "auto":
            return Rest()
        start, dash, end = text.partition("-")
        try:
            rest = Rest(float(start), float(end))
        except ValueError:
            rest = Rest(1, 0)
        if not dash or not 0 <= (rest.start or 0) < (rest.end or 0):
            raise InputError(f"expected auto, neutral or seconds such as 0-5, but got {text!r}")
        return rest

    def mask(self, values: Floats, times: Floats) -> NDArray[np.bool_]:
        """(N,) which of the (N, 29) values, at these (N,) times, are of a face at rest."""
        if self.start is None or self.end is None:
            return calmest(values)
        return np.asarray((times >= self.start) & (times < self.end))


def calmest(values: Floats) -> NDArray[np.bool_]:
    """(N,) which of the (N, 29) values of a person are in the quarter with the highest probability of neutral."""
    neutral = np.nan_to_num(values[:, Expression.NEUTRAL], nan=-1)
    if not len(neutral):
        return np.zeros(0, np.bool_)
    return np.asarray((neutral >= np.quantile(neutral, 1 - CALMEST)) & (neutral >= 0))


def level(values: Floats, at_rest: NDArray[np.bool_]) -> Floats:
    """(29,) the median of the (N, 29) values at rest; NaN where there is none."""
    resting = values[at_rest]
    columns = [column[np.isfinite(column)] for column in resting.T]
    return np.array([np.median(column) if len(column) else np.nan for column in columns])
