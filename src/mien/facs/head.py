"""A morphable head reduced to what it takes to dial an action unit: where points of a face go when the unit moves.

The head is ICT-FaceKit (MIT licence, USC Institute for Creative Technologies; Li et al., CVPR 2020); `python -m
mien.training.unit_shapes` wrote the table that ships, unit_shapes.npz. Lengths are shares of the distance between the
outer corners of the head's eyes; x to the right, y up, z towards the camera.

Letters: U units, P points (the 68 landmarks, then others on cheeks, chin and forehead), I ways in which heads differ.
"""

from functools import cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
FILE = "unit_shapes.npz"
# How far a point's movement is felt by the skin, as a share of the distance between the outer corners of the eyes.
REACH = 0.35


class Shapes(NamedTuple):
    """Where the points are and go.

    units: (U,) FACS numbers.   rest: (P, 3).   moves: (U, P, 3) at dose 1, about the strongest a person makes.
    identities: (I, P, 3), each one standard deviation of a way in which heads differ.
    """

    units: NDArray[np.int64]
    rest: Floats
    moves: Floats
    identities: Floats


@cache
def load() -> Shapes:
    """The table that ships with mien."""
    with files("mien.facs").joinpath(FILE).open("rb") as file:
        table = np.load(file, allow_pickle=False)
        return Shapes(
            table["units"].astype(np.int64), *(table[k].astype(np.float32) for k in ("rest", "moves", "identities"))
        )
