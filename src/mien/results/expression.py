"""The scores of one face: a probability for each of the eight expressions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.arrays import fixed
from mien.facs.vocabulary import Expression


@dataclass(frozen=True, eq=False)
class ExpressionScores:
    """probabilities: (8,) float32 in Expression order, sums to 1; calibrated on the data that the model's card names.

    A class that the model does not know has probability 0.
    """

    probabilities: NDArray[np.float32]

    def __post_init__(self) -> None:
        object.__setattr__(self, "probabilities", fixed(self.probabilities, (len(Expression),), "probabilities"))

    @property
    def top(self) -> Expression:
        """The most probable expression."""
        return self.ranked[0]

    @property
    def confidence(self) -> float:
        """The probability of `top`, 0 to 1."""
        return float(self.probabilities[self.top])

    @property
    def ranked(self) -> tuple[Expression, ...]:
        """All eight expressions, most probable first; equal ones in Expression order."""
        return tuple(Expression(int(i)) for i in np.argsort(-self.probabilities, kind="stable"))

    def __getitem__(self, expression: Expression) -> float:
        return float(self.probabilities[expression])
