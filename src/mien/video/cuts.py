"""Where a clip cuts from one scene to another: frames whose colours lie elsewhere than in the frame before."""

import numpy as np
from numpy.typing import NDArray

# Half the sum of absolute differences of two histograms, 0 (equal) to 1 (nothing in common), averaged over GRID x GRID
# parts of the picture. A cut moves nearly everything; a person who walks through does not.
CUT = 0.5
GRID, BINS = 3, 8
# Every part is looked at in about so many pixels a side: enough for colours.
_SIDE = 24


def colors(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(GRID * GRID * 3, BINS) shares of the pixels of an (H, W, 3) image with each level of red, green and blue."""
    step = [max(1, side // (GRID * _SIDE)) for side in image.shape[:2]]
    levels = image[:: step[0], :: step[1]] // (256 // BINS)  # (h, w, 3)
    rows, columns = (np.arange(side) * GRID // side for side in levels.shape[:2])
    part = (rows[:, None] * GRID + columns)[:, :, None] * 3 + np.arange(3)
    counts = np.bincount((part * BINS + levels).ravel(), minlength=GRID**2 * 3 * BINS).reshape(-1, BINS)
    return np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), np.float32)


def distance(before: NDArray[np.float32], after: NDArray[np.float32]) -> float:
    """Return the difference between the colours of two frames, 0 to 1."""
    return float(np.abs(before - after).sum(axis=1).mean() / 2)
