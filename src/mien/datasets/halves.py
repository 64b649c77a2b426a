"""A data set cut in two by a hash, so that what guides and what judges never learn from the same face.

Which half a face belongs to depends on its picture alone: not on the order, the seed or what else is in the data. So a
face that the data have twice is in one half.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mien.datasets.base import Sample
from mien.datasets.worn import Worn
from mien.errors import InputError
from mien.facs.vocabulary import Expression


def in_first_half(image: NDArray[np.uint8]) -> bool:
    """Whether this picture is in half a; the others are in half b."""
    return hashlib.sha256(image.tobytes()).digest()[0] < 128


class Half(Sequence[Sample]):
    """The samples of one half.

    first: half a, else half b.   half: its name, "half-a" or "half-b".
    Reads the data set once, picture by picture. InputError for worn faces, of which a face may be in one half and its
    copy in the other: wear the half instead.
    """

    def __init__(self, dataset: Sequence[Sample], first: bool) -> None:
        if isinstance(dataset, Worn):
            raise InputError(
                "a half of worn faces shares faces with the other half; wear a half: worn:half-a:KIND:PATH"
            )
        self._dataset = dataset
        self._rows = [i for i in range(len(dataset)) if in_first_half(dataset[i].image) == first]
        self.half = "half-a" if first else "half-b"
        self.expressions: tuple[Expression, ...] = getattr(dataset, "expressions", tuple(Expression))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        return self._dataset[self._rows[index]]
