"""Action units to an expression by rule: how well they fit what FACS sources expect of each of the eight.

No classifier to report: many faces that people agree on show few of the marks. It is the judge of a chain of thought
that has not read the label.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mien.facs.units import PROTOTYPES, Prototype
from mien.facs.vocabulary import ActionUnit, Expression

# Of the softmax over the scores; fitted on FERPlus valid, as mien.methods.expllm README tells.
TEMPERATURE = 0.3


def probabilities(units: Mapping[int, float], asymmetries: Mapping[int, float]) -> NDArray[np.float64]:
    """(8,) in Expression order, sums to 1.

    units: intensities, 0 to 1, by FACS number.   asymmetries: differences between the sides. Either: 0 where left out.
    """
    scores = np.array([_score(units, asymmetries, expression) for expression in Expression]) / TEMPERATURE
    shares = np.exp(scores - scores.max())
    return np.asarray(shares / shares.sum())


def _score(units: Mapping[int, float], asymmetries: Mapping[int, float], expression: Expression) -> float:
    """1 for its marks at their strongest, up to 0.5 for what goes along, down by 0.5 for what speaks against."""
    if expression is Expression.NEUTRAL:
        ranked = sorted((units.get(unit, 0.0) for unit in ActionUnit), reverse=True)
        return 1 - ranked[0] + 0.5 * (1 - sum(ranked[:3]) / 3)
    prototype = PROTOTYPES[expression]
    marks = _marks(units, asymmetries, prototype)
    support = [units.get(unit, 0.0) for unit in prototype.support]
    against = max(units.get(unit, 0.0) for unit in prototype.against)
    return sum(marks) / len(marks) + 0.5 * sum(support) / len(support) - 0.5 * against


def _marks(units: Mapping[int, float], asymmetries: Mapping[int, float], prototype: Prototype) -> list[float]:
    one_sided = [abs(asymmetries.get(unit, 0.0)) for unit in prototype.one_sided]
    return [*(units.get(unit, 0.0) for unit in prototype.core), *one_sided]
