"""Observations of one face: head pose, hidden halves, action units and label."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mien.facs.units import ActionUnits
from mien.facs.vocabulary import Expression

# A half of a face, the subject's own.
Side: TypeAlias = Literal["left", "right"]
HiddenReason: TypeAlias = Literal["turned away", "outside the picture", "covered or unclear"]
# A face that a smaller share of people could read is called unclear.
_READABLE = 0.5


def is_unclear(readability: float | None) -> bool:
    """Return whether fewer than half of the people could read a face; False if that is not known."""
    return readability is not None and readability < _READABLE


@dataclass(frozen=True)
class Pose:
    """Head pose in the image, in degrees; 0 is upright and facing the camera.

    yaw: to the image's right.   pitch: up.   roll: clockwise in the image.
    """

    yaw: float
    pitch: float
    roll: float


@dataclass(frozen=True)
class Hidden:
    """A half of a face that cannot be seen.

    side: the subject's own.
    """

    side: Side
    reason: HiddenReason


@dataclass(frozen=True, eq=False)
class Observation:
    """Observations of one face, to write about.

    name: name of the face; with the seed it decides the wording.
    shares: (8,), sums to 1, in Expression order: shares of votes, or a reader's probabilities.
    rated: whether the shares are votes of people.   pose: head pose.   hidden: halves that cannot be seen.
    readability: estimated share of people who could read the face, 0 to 1; None if the reader does not estimate it.
    """

    name: str
    units: ActionUnits
    shares: NDArray[np.floating]
    rated: bool = True
    pose: Pose | None = None
    hidden: tuple[Hidden, ...] = ()
    readability: float | None = None

    @property
    def label(self) -> Expression:
        """The expression with the largest share."""
        return Expression(int(np.argmax(self.shares)))

    @property
    def unclear(self) -> bool:
        """Whether fewer than half of the people could read the face; False if that is not known."""
        return is_unclear(self.readability)
