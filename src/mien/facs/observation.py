"""What is observed of one face: how the head is turned, what cannot be seen, its action units and its label."""

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
    """How a head is turned in the image, in degrees; 0 is straight into the camera, upright.

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
    """What is known of one face.

    name: of the face; with the seed it decides the wording.   shares: (8,), sums to 1, in Expression order: of the
    votes, or a reader's probabilities; the largest is the label.   rated: whether people gave them, and not a reader.
    pose: how the head is turned.   hidden: halves that cannot be seen.   readability: the share of people who could
    read the face, 0 to 1; None where the reader does not say.
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
