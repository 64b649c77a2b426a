"""A share of the training faces kept apart, on which runs are chosen and calibrated: the same for every method.

Which faces those are depends on the picture and the seed alone, so exact duplicates stay together, and two methods that
hold out the same share of the same data hold out the same faces.
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mien.datasets.base import Sample
from mien.errors import InputError
from mien.facs.vocabulary import Expression

_RANGE = 1 << 64


def is_held_out(image: NDArray[np.uint8], share: float, seed: int = 0) -> bool:
    """Whether this picture, uint8 of any shape, is among the share, 0 to 1, that the seed holds out."""
    digest = hashlib.sha256(seed.to_bytes(8, "little", signed=True) + image.tobytes()).digest()
    return int.from_bytes(digest[:8], "little") < share * _RANGE


class Portion(Sequence[Sample]):
    """Some samples of a data set, by their rows."""

    def __init__(self, dataset: Sequence[Sample], rows: Sequence[int]) -> None:
        self._dataset, self._rows = dataset, tuple(rows)
        self.expressions: tuple[Expression, ...] = getattr(dataset, "expressions", tuple(Expression))
        self.half: str = getattr(dataset, "half", "")

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        return self._dataset[self._rows[index]]


class Split(NamedTuple):
    """The faces to train on, and those to choose and calibrate on."""

    train: Portion
    held_out: Portion


def hold_out(dataset: Sequence[Sample], share: float, seed: int = 0) -> Split:
    """Cut a data set in two; `share` is that of the pictures held out, about.

    Reads the data set once, picture by picture. InputError when the share is not between 0 and 1, exclusive.
    """
    if not 0 < share < 1:
        raise InputError(f"the share to hold out must lie between 0 and 1, but is {share:g}")
    apart = [is_held_out(dataset[i].image, share, seed) for i in range(len(dataset))]
    rows = range(len(dataset))
    return Split(
        Portion(dataset, [i for i in rows if not apart[i]]),
        Portion(dataset, [i for i in rows if apart[i]]),
    )
