"""Action units of a face, the words for their intensities, and what FACS sources expect of each expression."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien.arrays import fixed
from mien.facs.vocabulary import ASYMMETRIES, ActionUnit, Expression

# The length of the vector of action units: intensities in ActionUnit order, then differences in that of ASYMMETRIES.
VECTOR = len(ActionUnit) + len(ASYMMETRIES)
# Composed of other blendshapes, for they have none that works: never to be read as an observation of their own.
PROXIES = (ActionUnit.CHEEK_RAISER, ActionUnit.NOSE_WRINKLER)


@dataclass(frozen=True, eq=False, init=False)
class ActionUnits(Mapping[int, float]):
    """Intensities of the 21 action units by FACS number: action_units[12] is the intensity of AU12.

    intensities: (21,) float32, 0 to 1, in ActionUnit order, both sides together.
    differences: (3,) float32, -1 to 1, the subject's left minus right side, of ASYMMETRIES.
    """

    intensities: NDArray[np.float32]
    differences: NDArray[np.float32]

    @staticmethod
    def of(vector: NDArray[np.float32]) -> "ActionUnits":
        """Return the action units of a (24,) vector: intensities, then differences."""
        return ActionUnits(vector[: len(ActionUnit)], vector[len(ActionUnit) :])

    @property
    def vector(self) -> NDArray[np.float32]:
        """(24,): intensities, then differences."""
        return np.concatenate([self.intensities, self.differences])

    def __init__(self, intensities: ArrayLike, differences: ArrayLike) -> None:
        object.__setattr__(self, "intensities", fixed(intensities, (len(ActionUnit),), "intensities"))
        object.__setattr__(self, "differences", fixed(differences, (len(ASYMMETRIES),), "differences"))

    def __getitem__(self, number: int) -> float:
        try:
            return float(self.intensities[_UNITS.index(ActionUnit(number))])
        except ValueError:
            raise KeyError(f"AU{number} is not among those measured: {', '.join(map(str, self))}") from None

    def __iter__(self) -> Iterator[int]:
        return iter([int(unit) for unit in ActionUnit])

    def __len__(self) -> int:
        return len(ActionUnit)

    def asymmetry(self, number: int) -> float | None:
        """The subject's left minus right side of an action unit, -1 to 1; None where it is not measured."""
        return float(self.differences[ASYMMETRIES.index(ActionUnit(number))]) if number in ASYMMETRIES else None


_UNITS = list(ActionUnit)


class Band(NamedTuple):
    """A range of intensities, from `least` up to the next band: its word and its FACS grade, which "absent" lacks."""

    least: float
    word: str
    grade: str


# Where the words lie was measured on published descriptions of rated faces; tying FACS's five grades to these cuts is
# a choice of this project.
BANDS = (
    Band(0.0, "absent", ""),
    Band(0.05, "trace", "A"),
    Band(0.10, "slight", "B"),
    Band(0.22, "moderate", "C"),
    Band(0.40, "pronounced", "D"),
    Band(0.70, "extreme", "E"),
)
# From this intensity on ("slight") an action unit counts as present; a weaker one speaks for or against nothing.
PRESENT = BANDS[2].least


def band(intensity: float) -> Band:
    """The band of an intensity, 0 to 1."""
    return next(band for band in reversed(BANDS) if intensity >= band.least)


class Prototype(NamedTuple):
    """What FACS sources expect of an expression, by FACS number: its marks, what often goes along, what speaks against.

    one_sided: action units of which not the strength but the difference between the sides is a mark.
    """

    core: tuple[int, ...]
    support: tuple[int, ...] = ()
    against: tuple[int, ...] = ()
    one_sided: tuple[int, ...] = ()


# Merged from EMFACS, the FACS manual, Du, Tao and Martinez (2014) and Martinez et al. (2017). Neutral has no marks:
# every action unit speaks against it.
PROTOTYPES = {
    Expression.NEUTRAL: Prototype((), (), tuple(int(unit) for unit in ActionUnit)),
    Expression.HAPPINESS: Prototype((12,), (6, 25, 10), (4, 15, 24)),
    Expression.SURPRISE: Prototype((5, 2, 26), (1, 25), (4, 12, 24)),
    Expression.SADNESS: Prototype((15, 4), (1, 17, 43), (12, 5, 26)),
    Expression.ANGER: Prototype((4, 24), (7, 10, 16, 17, 25), (12, 1, 2)),
    Expression.DISGUST: Prototype((9, 10), (17, 4, 43), (12, 5)),
    Expression.FEAR: Prototype((5, 1, 20), (2, 4, 25, 26), (12,)),
    Expression.CONTEMPT: Prototype((), (14, 12), (25, 26, 5, 4), one_sided=(14, 12)),
}
