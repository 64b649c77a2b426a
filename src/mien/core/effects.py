"""What a reader says of a face once a movement is taken away in the picture: evidence by intervention.

It tests the model, not the person: a dialled face is a picture that nobody took.
"""

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.core.align import compose, onto_pixels
from mien.core.borders import picture_area
from mien.core.dial import Patch, refusal
from mien.core.pipeline import Pipeline
from mien.facs.rest import start
from mien.facs.units import ActionUnits
from mien.facs.vocabulary import ActionUnit, Expression
from mien.results.explanation import Effect
from mien.results.face import FaceReport, Reading

# By how much a movement is taken away, until the reader finds no more of it than calm faces show.
DOSES = (-0.4, -0.8, -1.2, -1.5)
# Of the part of the picture that is warped, the longest side in pixels; of the pictures kept, the side.
_LONGEST, SHOWN = 256, 64

Image = NDArray[np.uint8]


def effects(
    pipeline: Pipeline,
    image: Image,
    face: FaceReport,
    phrases: Sequence[tuple[tuple[ActionUnit, ...], str]],
    word: Expression,
) -> tuple[Effect, ...]:
    """What is read once each movement is taken away, the one that lowers the word's probability most first.

    image: the (H, W, 3) RGB picture in which the face was detected.   phrases: units that are taken away together,
    and what they are called.   word: the expression that is explained.
    A movement is taken away in steps (DOSES), no further than until the reader measures what calm faces show of it.
    A movement that a warp cannot show is refused with a reason; see mien.core.dial.refusal.
    """
    if face.action_units is None or not phrases:
        return ()
    trial = _Trial(pipeline, image, face, word)
    measured = [trial.without(units, phrase) for units, phrase in phrases]
    return tuple(sorted(measured, key=lambda effect: (bool(effect.refused), effect.change)))


class _Trial:
    """One face in its picture, warped and read again in the same crop."""

    def __init__(self, pipeline: Pipeline, image: Image, face: FaceReport, word: Expression) -> None:
        self._read, self._view, self._face, self._word = pipeline.read, pipeline.view, face, word
        self._image = image
        self._part: Patch | None = None
        self._frame = face.crop

    def without(self, units: tuple[ActionUnit, ...], phrase: str) -> Effect:
        assert self._face.action_units is not None
        before, sure = strongest(self._face.action_units, units), self._face.expression[self._word]
        top = self._face.expression.top
        same = ((before, before), (sure, sure), top, self._face.expression[top])
        why = next((why for dose in DOSES if (why := refusal(self._face, dict.fromkeys(units, dose)))), "")
        if why:
            return Effect(units, phrase, self._word, 0.0, *same, why)
        part = self._warpable()
        views = [part.warped(dict.fromkeys(units, dose)) for dose in (0.0, *DOSES)]
        untouched, *readings = self._readings(views)
        at = _gone(readings, units)
        after = readings[at]
        assert untouched.action_units is not None
        assert after.action_units is not None
        return Effect(
            units,
            phrase,
            self._word,
            DOSES[at],
            (strongest(untouched.action_units, units), strongest(after.action_units, units)),
            (untouched.expression[self._word], after.expression[self._word]),
            after.expression.top,
            after.expression[after.expression.top],
            pictures=(self._shown(views[0]), self._shown(views[1 + at])),
        )

    def _warpable(self) -> Patch:
        if self._part is None:
            # Beyond the picture's own borders the crop repeats its outermost pixels, as when it was read.
            area = picture_area(self._image)
            inside = area.of(self._image)
            moved = self._face_in(area.corner)
            original = Patch.of(inside, moved)
            self._part = original.reduced(_LONGEST)
            self._frame = self._part.frame(moved.crop, original)
        return self._part

    def _face_in(self, corner: NDArray[np.float64]) -> FaceReport:
        assert self._face.landmarks is not None
        shifted = compose(self._face.crop, np.column_stack([np.eye(2), corner]))
        return replace(self._face, landmarks=(self._face.landmarks - corner).astype(np.float32), crop=shifted)

    def _readings(self, views: Sequence[Image]) -> list[Reading]:
        crops = np.concatenate([self._view.crops(view, [self._frame]) for view in views])
        return list(self._read(crops))

    def _shown(self, view: Image) -> Image:
        matrix = onto_pixels(self._frame, SHOWN)
        shown = cv2.warpAffine(view, matrix, (SHOWN, SHOWN), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(shown, np.uint8)


def strongest(units: ActionUnits, which: Sequence[int]) -> float:
    """The largest intensity of some units."""
    return max(units[unit] for unit in which)


def _gone(readings: Sequence[Reading], units: tuple[ActionUnit, ...]) -> int:
    """Which reading is the first to find the units no stronger than calm faces show them; else where they are least."""

    def over(reading: Reading) -> float:
        assert reading.action_units is not None
        return max(reading.action_units[unit] - start(unit) for unit in units)

    left = [over(reading) for reading in readings]
    return next((i for i, value in enumerate(left) if value < 0), int(np.argmin(left)))
