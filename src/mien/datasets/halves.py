"""A data set cut in two by a hash, so that what guides and what judges never learn from the same face; and worn faces.

Which half a face belongs to depends on its picture alone: not on the order, the seed or what else is in the data. So a
face that the data have twice is in one half.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.datasets.base import Sample
from mien.errors import InputError
from mien.facs.vocabulary import Expression

# Of the blur in pixels of a 48-pixel face, and of the noise as a share of the gray levels.
BLUR, NOISE = 1.5, 0.15


def in_first_half(image: NDArray[np.uint8]) -> bool:
    """Whether this picture is in half a; the others are in half b."""
    return hashlib.sha256(image.tobytes()).digest()[0] < 128


class Half(Sequence[Sample]):
    """The samples of one half.

    first: half a, else half b.   Reads the data set once, picture by picture. InputError for worn faces, of which a
    face may be in one half and its copy in the other: wear the half instead.
    """

    def __init__(self, dataset: Sequence[Sample], first: bool) -> None:
        if isinstance(dataset, Worn):
            raise InputError(
                "a half of worn faces shares faces with the other half; wear a half: worn:half-a:KIND:PATH"
            )
        self._dataset = dataset
        self._rows = [i for i in range(len(dataset)) if in_first_half(dataset[i].image) == first]
        self.expressions: tuple[Expression, ...] = getattr(dataset, "expressions", tuple(Expression))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        return self._dataset[self._rows[index]]


class Worn(Sequence[Sample]):
    """Every sample twice: as it is, and blurred and noisy as the clean estimates of a flow are early on.

    A classifier that guides a flow is shown such estimates; one that has learned from clean faces alone is lost there.
    """

    def __init__(self, dataset: Sequence[Sample]) -> None:
        self._dataset = dataset
        self.expressions: tuple[Expression, ...] = getattr(dataset, "expressions", tuple(Expression))

    def __len__(self) -> int:
        return 2 * len(self._dataset)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        again, row = divmod(index % len(self), len(self._dataset))
        sample = self._dataset[row]
        return replace(sample, image=worn(sample.image, row)) if again else sample


def worn(image: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """An (H, W, 3) picture with a blur of 0 to BLUR and gray noise of 0 to NOISE."""
    rng = np.random.default_rng(seed)
    sigma = rng.uniform(0, BLUR) * image.shape[0] / 48
    soft = cv2.GaussianBlur(image, (0, 0), sigma) if sigma > 0 else image
    grain = rng.normal(0, 255 * rng.uniform(0, NOISE), image.shape[:2])
    return np.asarray((soft + grain[:, :, None]).round().clip(0, 255), np.uint8)
