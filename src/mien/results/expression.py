"""The scores of one face: a probability for each of the eight expressions."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien.arrays import fixed
from mien.facs.vocabulary import Expression
from mien.text import did_you_mean

# The words of the eight expressions, as in table columns.
ExpressionLabel: TypeAlias = Literal[
    "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"
]
_BY_LABEL = {expression.label: expression for expression in Expression}


@dataclass(frozen=True, eq=False, init=False)
class ExpressionScores:
    """Probabilities of the eight expressions, calibrated on the data that the model's card names.

    probabilities: (8,) float32 in Expression order, sums to 1; 0 for a class that the model does not know.
    """

    probabilities: NDArray[np.float32]

    def __init__(self, probabilities: ArrayLike) -> None:
        object.__setattr__(self, "probabilities", fixed(probabilities, (len(Expression),), "probabilities"))

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

    def __getitem__(self, expression: Expression | ExpressionLabel) -> float:
        """The probability of an expression, by itself or by its label: scores["happiness"]."""
        try:
            number = _BY_LABEL[expression] if isinstance(expression, str) else Expression(expression)
        except (KeyError, ValueError):
            close = did_you_mean(str(expression), _BY_LABEL)
            raise KeyError(f"{expression!r} is no expression; there are {', '.join(_BY_LABEL)}{close}") from None
        return float(self.probabilities[number])
