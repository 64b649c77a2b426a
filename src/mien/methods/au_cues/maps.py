"""Landmarks and expression to an AU map: where on a face its action units show (Belharbi et al., 2024, section 3).

The paper's code gives every length in pixels of a 224x224 crop. Maps are drawn at that size, whatever the network's,
and reduced afterwards: ellipses with whole pixels would be distorted at 48.

Letters: (xi, yi) is landmark i of iBUG's 68, x right and y down.
"""

from collections.abc import Callable, Collection
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import InputError
from mien.facs.vocabulary import Expression

Floats = NDArray[np.floating]
SIDE = 224
# The soft edges come from a detour over this size with a 3x3 box blur.
_COARSE = 28

# AUs drawn for each expression; neutral and contempt have none, hence no map.
PAPER_CODE = {
    Expression.ANGER: (4, 5, 7, 10, 17, 23, 24, 25, 26),
    # AU5, the eyelids, where the paper's figure says AU10 "Upper Lid Raiser": the code follows the words.
    Expression.DISGUST: (9, 5, 16, 17, 25, 26),
    Expression.FEAR: (1, 2, 4, 5, 20, 25, 26, 27),
    Expression.HAPPINESS: (6, 12, 25),
    Expression.SADNESS: (1, 4, 6, 15, 17),
    Expression.SURPRISE: (1, 2, 5, 26, 27),
}
CODEBOOKS = {"paper_code": PAPER_CODE, "facs": PAPER_CODE | {Expression.DISGUST: (9, 10, 16, 17, 25, 26)}}
# All twenty AUs, for the map that knows nothing of the expression.
GENERIC = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 16, 17, 20, 23, 24, 25, 26, 27, 43)


class Ellipse(NamedTuple):
    """A filled ellipse along the axes, in pixels of a 224x224 face: centre and semi-axes."""

    x: float
    y: float
    rx: float
    ry: float


def class_map(
    landmarks: Floats, expression: Expression, codebook: str = "paper_code", *, symmetric: bool = False
) -> NDArray[np.float32] | None:
    """The AU map of one face, (224, 224) float32 from 0 to 1, or None where the expression has no action units.

    landmarks: (68, 2), as shares of the side of a square face picture.   codebook: a name in CODEBOOKS.
    symmetric: mend the regions that the published code draws differently on the two sides of a face (AU 4, 17, 20).
    """
    if codebook not in CODEBOOKS:
        raise InputError(f"there is no codebook {codebook!r}; there are {', '.join(CODEBOOKS)}")
    return union_map(landmarks, CODEBOOKS[codebook].get(expression, ()), symmetric=symmetric)


def union_map(landmarks: Floats, units: Collection[int], *, symmetric: bool = False) -> NDArray[np.float32] | None:
    """The map of these action units: the larger value where regions overlap, then stretched to 0..1.

    None when there is no unit, or no region of any lies inside the picture.
    """
    if landmarks.shape != (68, 2) or not np.isfinite(landmarks).all():
        raise InputError(f"expected 68 finite landmarks of shape (68, 2), but got shape {landmarks.shape}")
    points = (landmarks * SIDE).astype(int)
    drawn = [m for unit in units if (m := _drawn(regions(points, unit, symmetric=symmetric))) is not None]
    if not drawn:
        return None
    union = np.max(drawn, axis=0)
    return np.asarray((union - union.min()) / (union.max() - union.min()), np.float32)


def regions(points: NDArray[np.int_], unit: int, *, symmetric: bool = False) -> list[Ellipse]:
    """The ellipses of one action unit, from (68, 2) whole pixels of a 224x224 face."""
    x, y = points[:, 0].astype(float), points[:, 1].astype(float)
    if unit not in GENERIC:
        raise InputError(f"action unit {unit} has no region; these have: {', '.join(map(str, GENERIC))}")
    return _REGIONS[unit](x, y, symmetric)


def _drawn(ellipses: list[Ellipse]) -> Floats | None:
    canvas = np.full((SIDE, SIDE), 1e-4, np.float32)
    for e in ellipses:
        cv2.ellipse(canvas, (int(e.x), int(e.y)), (int(e.rx), int(e.ry)), 0, 0, 360, 255, thickness=-1)
    if canvas.max() < 1:
        return None
    coarse = cv2.blur(cv2.resize(canvas, (_COARSE, _COARSE)), (3, 3))
    return np.asarray(cv2.resize(coarse, (SIDE, SIDE)))


def _or(value: float, default: float) -> float:
    """A semi-axis in whole pixels; where it would be nothing, the default."""
    return max(int(value), 0) or default


def _brows(points: tuple[int, int]) -> Callable[[Floats, Floats, bool], list[Ellipse]]:
    return lambda x, y, symmetric: [Ellipse(x[i], y[i], SIDE / 8, SIDE / 10) for i in points]


def _between_brows(x: Floats, y: Floats, symmetric: bool) -> list[Ellipse]:
    # Brows at one height have a height difference of 0, so the default holds for every level face.
    height = abs(y[24] - y[19]) if symmetric else y[24] - y[19]
    return [Ellipse((x[19] + x[24]) / 2, (y[19] + y[24]) / 2, _or((x[24] - x[19]) / 2, 10), _or(height / 2, 10))]


def _eyes(lift: float, default: float) -> Callable[[Floats, Floats, bool], list[Ellipse]]:
    """Both eyes, each `lift` pixels higher and lower than its opening."""

    def eyes(x: Floats, y: Floats, symmetric: bool) -> list[Ellipse]:
        return [
            Ellipse(
                (x[outer] + x[inner]) / 2,
                (y[top] + y[bottom]) / 2,
                _or((x[inner] - x[outer]) / 2, 5),
                _or((y[bottom] - y[top] + lift) / 2, default),
            )
            for outer, inner, top, bottom in ((36, 39, 38, 41), (42, 45, 44, 47))
        ]

    return eyes


def _cheeks(x: Floats, y: Floats, symmetric: bool) -> list[Ellipse]:
    return [Ellipse(x[i], y[i] + SIDE / 6, SIDE / 10, SIDE / 10) for i in (41, 46)]


def _spots(*centers: tuple[int, int]) -> Callable[[Floats, Floats, bool], list[Ellipse]]:
    """Circles of 20 px: each centre takes its x from one landmark and its y from another."""
    return lambda x, y, symmetric: [Ellipse(x[i], y[j], 20, 20) for i, j in centers]


def _beside_mouth(x: Floats, y: Floats, symmetric: bool) -> list[Ellipse]:
    left, right = max(x[48] - 20, 0), min(x[54] + 20, SIDE)
    return [Ellipse(left, y[48], 20, 20), Ellipse(right, y[54], 20, 20)]


def _chin(x: Floats, y: Floats, symmetric: bool) -> list[Ellipse]:
    if symmetric:
        lip_x, lip_y, half = (x[59] + x[55]) / 2, (y[59] + y[55]) / 2, (x[55] - x[59]) / 2
        return [Ellipse((lip_x + x[8]) / 2, (lip_y + y[8]) / 2, _or(half, 5), _or((y[8] - lip_y) / 2, 5))]
    center = ((x[59] + x[8]) / 2, (y[59] + y[8]) / 2)
    return [Ellipse(*center, _or((x[8] - x[59]) / 2, 5), _or((y[8] - y[59]) / 2, 5))]


def _below_mouth(x: Floats, y: Floats, symmetric: bool) -> list[Ellipse]:
    # The published code takes landmark 50, of the upper lip, for the right mouth corner 54.
    pairs = ((48, 6), (54 if symmetric else 50, 10))
    return [Ellipse((x[a] + x[b]) / 2, (y[a] + y[b]) / 2, 20, 20) for a, b in pairs]


def _mouth(x: Floats, y: Floats, symmetric: bool) -> list[Ellipse]:
    center = ((x[48] + x[54]) / 2, (y[51] + y[57]) / 2)
    return [Ellipse(*center, _or((x[54] - x[48]) / 2, 5), _or((y[57] - y[51]) / 2, 5))]


def _lips(x: Floats, y: Floats, symmetric: bool) -> list[Ellipse]:
    return [Ellipse(x[i], y[i], 25, 10) for i in (51, 57)]


_REGIONS: dict[int, Callable[[Floats, Floats, bool], list[Ellipse]]] = {
    1: _brows((20, 23)),
    2: _brows((18, 25)),
    4: _between_brows,
    5: _eyes(lift=0, default=5),
    6: _cheeks,
    7: _eyes(lift=20, default=5),
    9: _spots((31, 29), (35, 29)),
    10: _spots((48, 50), (54, 52)),
    12: _spots((48, 48), (54, 54)),
    14: _beside_mouth,
    15: _spots((48, 48), (54, 54)),
    16: _spots((59, 59), (55, 55)),
    17: _chin,
    20: _below_mouth,
    23: _mouth,
    24: _mouth,
    25: _lips,
    26: _mouth,
    27: _mouth,
    43: _eyes(lift=20, default=0),
}
