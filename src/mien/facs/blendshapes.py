"""Blendshapes to FACS action units: the intensities that mien learns from a teacher and reports.

A blendshape is a muscle-like movement scored 0 to 1 by a face mesh model (MediaPipe's Face Landmarker, in its order).
The table from shapes to action units follows py-feat's, after M. Ozel's ARKit-to-FACS cheat sheet. Left and right are
the subject's own.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.facs.vocabulary import ActionUnit

Floats = NDArray[np.floating]

BLENDSHAPES = (
    "_neutral", "browDownLeft", "browDownRight", "browInnerUp",
    "browOuterUpLeft", "browOuterUpRight", "cheekPuff", "cheekSquintLeft",
    "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft",
    "eyeLookDownRight", "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft",
    "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight", "eyeSquintLeft",
    "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward",
    "jawLeft", "jawOpen", "jawRight", "mouthClose",
    "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight",
    "mouthFunnel", "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight",
    "mouthPressLeft", "mouthPressRight", "mouthPucker", "mouthRight",
    "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper",
    "mouthSmileLeft", "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight",
    "mouthUpperUpLeft", "mouthUpperUpRight", "noseSneerLeft", "noseSneerRight",
)  # fmt: skip
# A shape that moves less than this between rest and its strongest is dead: real faces hardly move it.
_DEAD = 0.02


def mirrored_shapes() -> NDArray[np.intp]:
    """(52,) for each blendshape the index of its mirror image; a picture flipped left to right swaps the two."""
    swap = {"Left": "Right", "Right": "Left"}
    names = []
    for name in BLENDSHAPES:
        side = next((s for s in swap if name.endswith(s)), None)
        names.append(name if side is None else name.removesuffix(side) + swap[side])
    return np.array([BLENDSHAPES.index(name) for name in names])


@dataclass(frozen=True, eq=False)
class ShapeCalibration:
    """What a shape scores on faces at rest, and at its strongest: a relaxed mouth may score half a smile.

    rest: (52,) median over neutral faces.   most: (52,) 99th percentile over all faces.
    """

    rest: NDArray[np.float64]
    most: NDArray[np.float64]

    @staticmethod
    def fit(shapes: Floats, neutral: NDArray[np.bool_]) -> "ShapeCalibration":
        """From (N, 52) blendshapes of the training faces and which of them are labelled neutral."""
        return ShapeCalibration(np.median(shapes[neutral], axis=0), np.percentile(shapes, 99, axis=0))

    @property
    def dead(self) -> tuple[str, ...]:
        """The shapes that hardly move on these faces; they are taken as 0."""
        return tuple(
            name for name, low, high in zip(BLENDSHAPES, self.rest, self.most, strict=True) if high - low < _DEAD
        )

    def __call__(self, shapes: Floats) -> NDArray[np.float64]:
        """(N, 52) blendshapes -> (N, 52), 0 at rest and 1 at the strongest."""
        reach = self.most - self.rest
        alive = reach >= _DEAD
        return np.where(alive, np.clip((shapes - self.rest) / np.where(alive, reach, 1), 0, 1), 0)


def action_units(shapes: Floats) -> NDArray[np.float32]:
    """(N, 52) calibrated blendshapes -> (N, 24) float32: intensities 0 to 1 in ActionUnit order, then ASYMMETRIES."""

    def shape(name: str) -> Floats:
        return np.asarray(shapes[:, BLENDSHAPES.index(name)])

    def both(name: str) -> Floats:
        return (shape(f"{name}Left") + shape(f"{name}Right")) / 2

    def difference(name: str) -> Floats:
        return np.asarray(shape(f"{name}Left") - shape(f"{name}Right"))

    au4, au10, au12, au16 = both("browDown"), both("mouthUpperUp"), both("mouthSmile"), both("mouthLowerDown")
    squint = both("eyeSquint")
    values = {
        ActionUnit.INNER_BROW_RAISER: shape("browInnerUp"),
        ActionUnit.OUTER_BROW_RAISER: both("browOuterUp"),
        ActionUnit.BROW_LOWERER: au4,
        ActionUnit.UPPER_LID_RAISER: both("eyeWide"),
        # cheekSquint is dead on real faces; a smile with narrowed eyes is what raised cheeks look like.
        ActionUnit.CHEEK_RAISER: np.where(au12 > 0.15, np.minimum(1, 0.6 * squint + 0.6 * au12), both("cheekSquint")),
        ActionUnit.LID_TIGHTENER: squint * (1 - au12),
        # noseSneer is dead too; raised upper lip and lowered brows together come close.
        ActionUnit.NOSE_WRINKLER: np.maximum(both("noseSneer"), np.sqrt(au10 * au4)),
        ActionUnit.UPPER_LIP_RAISER: au10,
        ActionUnit.LIP_CORNER_PULLER: au12,
        ActionUnit.DIMPLER: both("mouthDimple"),
        ActionUnit.LIP_CORNER_DEPRESSOR: both("mouthFrown"),
        ActionUnit.LOWER_LIP_DEPRESSOR: au16,
        ActionUnit.CHIN_RAISER: (shape("mouthShrugLower") + 0.5 * shape("mouthShrugUpper")) / 1.5,
        ActionUnit.LIP_PUCKER: shape("mouthPucker"),
        ActionUnit.LIP_STRETCHER: both("mouthStretch"),
        ActionUnit.LIP_FUNNELER: shape("mouthFunnel"),
        ActionUnit.LIP_PRESSOR: both("mouthPress"),
        ActionUnit.LIPS_PART: np.maximum(shape("jawOpen") - shape("mouthClose"), 0.7 * np.maximum(au10, au16)),
        ActionUnit.JAW_DROP: shape("jawOpen"),
        ActionUnit.LIP_SUCK: (shape("mouthRollLower") + shape("mouthRollUpper")) / 2,
        ActionUnit.EYES_CLOSED: both("eyeBlink"),
    }
    one_sided = [difference("mouthSmile"), difference("mouthDimple"), difference("mouthUpperUp")]
    intensities = [np.clip(values[unit], 0, 1) for unit in ActionUnit]
    return np.stack([*intensities, *one_sided], axis=1).astype(np.float32)
