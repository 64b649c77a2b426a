"""How a network wants its faces cut: the side in pixels, gray or colour, and how much of the face there is around."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mien.core.align import Floats, align
from mien.core.borders import Area
from mien.core.images import to_gray

Resize = Literal["linear", "cubic"]
RESIZES: tuple[Resize, ...] = get_args(Resize)
# The most that may be added on each side of a face, or cut away, as a share of its crop.
LARGEST_MARGIN, SMALLEST_MARGIN = 1.0, -0.4


@dataclass(frozen=True)
class View:
    """How a network wants its faces cut.

    size: the side of its square input, in pixels.   channels: 1 for gray, 3 for RGB.
    margin: what it sees around mien's own crop of a face on each side, as a share of that crop's side; below 0 it sees
    less: -0.0625 is a face of 256 pixels of which the central 224 are taken.
    resize: how faces that are smaller than that are enlarged; larger ones are averaged.
    """

    size: int
    channels: int = 1
    margin: float = 0.0
    resize: Resize = "linear"

    @property
    def side(self) -> int:
        """Of a crop, in pixels; a margin below 0 is cut away from it afterwards."""
        return self.size if self.margin >= 0 else round(self.size / (1 + 2 * self.margin))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a crop: (side, side), or (side, side, 3) in colour."""
        return (self.side, self.side) if self.channels == 1 else (self.side, self.side, self.channels)

    def crops(self, image: NDArray[np.uint8], frames: Sequence[Floats], area: Area | None = None) -> NDArray[np.uint8]:
        """The faces that lie in these frames of an (H, W, 3) RGB image, (N, *shape) uint8; see mien.core.align."""
        reach = 1 + 2 * max(self.margin, 0.0)
        around = [np.column_stack([f[:, :2], f[:, 2] + max(self.margin, 0.0)]) / reach for f in frames]
        return align(image, around, self.side, area, color=self.channels == 3, cubic=self.resize == "cubic")

    def own(self, crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Cut crops to the network's input: (N, size, size) or (N, size, size, 3)."""
        return _middle(crops, self.size)

    def plain(self, crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The same faces as mien's own models see them, gray and without margin: (N, S, S) uint8."""
        inner = _middle(crops, round(self.side / (1 + 2 * max(self.margin, 0.0))))
        return inner if inner.ndim == 3 else np.stack([to_gray(np.ascontiguousarray(crop)) for crop in inner])


def _middle(crops: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    first = (crops.shape[1] - side) // 2
    return crops[:, first : first + side, first : first + side]
