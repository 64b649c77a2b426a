"""A data set with a blurred and noisy copy of each face, for classifiers that guide a flow."""

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.datasets.base import Sample
from mien.facs.vocabulary import Expression

# The largest blur, in pixels of a 48-pixel face, and the largest noise, as a share of the gray levels.
BLUR, NOISE = 1.5, 0.15


class Worn(Sequence[Sample]):
    """Every sample twice: as it is, and blurred and noisy as the clean estimates of a flow are early on.

    A classifier that guides a flow is shown such estimates; one that has learned from clean faces alone is lost there.
    """

    def __init__(self, dataset: Sequence[Sample]) -> None:
        self._dataset = dataset
        self.half: str = getattr(dataset, "half", "")
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
