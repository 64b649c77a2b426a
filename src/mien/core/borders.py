"""Detect uniform borders, as of scans, letterboxed films and screenshots."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

# Values of a border may differ by so much, and so small a share of its pixels by more: JPEG, noise and dust.
TOLERANCE, DUST = 8, 0.005
# Narrower borders, as a share of the side, are left alone, and so are those of pictures with a shorter side than this:
# small pictures are enlarged, and tight faces in them are detected better with a margin.
NARROWEST, SMALLEST = 0.02, 256
# A frame ends within so many rows (JPEG smears its edge) where at least this share of the pixels differs from it.
SMEARED, EDGE = 8, 0.25
# A border that ends in no such edge may be the picture's own background: this share of the longer side is left of it.
MARGIN = 0.125
# How many frames may lie within each other, how many rows are looked at together, and how many pixels of a side first.
_FRAMES, _ROWS, _FIRST = 4, 32, 48


class Area(NamedTuple):
    """A part of a picture in whole pixels, from left to right and top to bottom, the last ones not included."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def corner(self) -> NDArray[np.float64]:
        """(2,) x, y of the first pixel."""
        return np.array([self.left, self.top], np.float64)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.bottom - self.top, self.right - self.left

    def of(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return this part of an image, without a copy."""
        return image[self.top : self.bottom, self.left : self.right]


def whole(image: NDArray[np.uint8]) -> Area:
    """All of an image."""
    return Area(0, 0, image.shape[1], image.shape[0])


def picture_area(image: NDArray[np.uint8]) -> Area:
    """The part of an (H, W, 3) RGB image within its borders of one colour, on any side and one within another.

    All of it where there are none, or nothing else, and of a small picture.
    """
    height, width = image.shape[:2]
    if min(height, width) < SMALLEST:
        return whole(image)
    # How much is cut of the left, top, right and bottom: in all, and up to the last clear edge.
    cut, clear = [0] * 4, [0] * 4
    for _ in range(_FRAMES):
        part = image[cut[1] : height - cut[3], cut[0] : width - cut[2]]
        # Each side seen from outside: the first row is the outermost.
        sides = (part.transpose(1, 0, 2), part, part[:, ::-1].transpose(1, 0, 2), part[::-1])
        borders = [_border(rows) for rows in sides]
        if any(depth == len(rows) for (depth, _), rows in zip(borders, sides, strict=True)):
            return whole(image)  # of one colour, or a frame around nothing
        if not any(depth for depth, _ in borders):
            break
        for side, (depth, edge) in enumerate(borders):
            cut[side] += depth
            if edge:
                clear[side] = cut[side]
    kept = round(MARGIN * max(width - cut[0] - cut[2], height - cut[1] - cut[3]))
    for side, length in enumerate((width, height) * 2):
        enough = NARROWEST * length
        clear[side] = clear[side] if clear[side] >= enough else 0
        with_margin = cut[side] - kept
        cut[side] = with_margin if with_margin - clear[side] >= enough else clear[side]
    return Area(cut[0], cut[1], width - cut[2], height - cut[3])


def _border(rows: NDArray[np.uint8]) -> tuple[int, bool]:
    """How many of the first rows of (N, M, 3) have the colour of the very first, and whether they end in an edge."""
    first = rows[0, :: max(1, rows.shape[1] // _FIRST)].astype(np.int16)
    color = np.sort(first, axis=0)[len(first) // 2]
    if (abs(first - color).max(axis=1) > TOLERANCE).sum() > 1:
        return 0, False
    low, high = (np.clip(color + by, 0, 255).astype(np.float64) for by in (-TOLERANCE, TOLERANCE))
    for depth in range(0, len(rows), _ROWS):
        other = np.flatnonzero(_other(rows[depth : depth + _ROWS], low, high) > DUST)
        if len(other):
            depth += int(other[0])
            edges = np.flatnonzero(_other(rows[depth : depth + SMEARED], low, high) >= EDGE)
            return (depth + int(edges[0]), True) if depth and len(edges) else (depth, False)
    return len(rows), False


def _other(rows: NDArray[np.uint8], low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of the pixels of each row that have another colour."""
    inside = cv2.inRange(np.ascontiguousarray(rows), low, high)
    return 1 - np.asarray(cv2.reduce(inside, 1, cv2.REDUCE_AVG, dtype=cv2.CV_64F)[:, 0] / 255, np.float64)
