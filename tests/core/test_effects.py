from dataclasses import replace

import numpy as np
import pytest

import mien
from mien.core import dial
from mien.core.effects import DOSES, SHOWN, effects
from mien.core.view import View
from mien.facs.observation import Pose
from mien.facs.rest import start
from mien.facs.vocabulary import ActionUnit, Expression

EXAMPLE = "examples/astronaut.png"
SMILE = ((ActionUnit.LIP_CORNER_PULLER,), "lifted lip corners")
BROWS = ((ActionUnit.INNER_BROW_RAISER, ActionUnit.OUTER_BROW_RAISER), "raised brows")
JAW = ((ActionUnit.JAW_DROP,), "a dropped jaw")
HAPPY = Expression.HAPPINESS


@pytest.fixture(scope="module")
def pipeline():
    return mien.Pipeline()


@pytest.fixture(scope="module")
def picture():
    return mien.read_image(EXAMPLE)


@pytest.fixture(scope="module")
def face(pipeline, picture):
    return pipeline(picture).faces[0]


def test_without_its_smile_a_face_is_read_as_less_happy_and_that_comes_first(pipeline, picture, face):
    first, second, last = effects(pipeline, picture, face, [JAW, BROWS, SMILE], HAPPY)
    assert first.units == SMILE[0]
    assert first.change < -0.05 < second.change + 0.03
    assert first.sure[0] == pytest.approx(face.expression[HAPPY], abs=0.03)
    assert first.measured[1] < first.measured[0]
    assert [picture.shape for picture in first.pictures] == [(SHOWN, SHOWN, 3)] * 2
    assert (last.units, last.pictures, last.change) == (JAW[0], (), 0)
    assert "behind the lips" in last.refused


def test_a_movement_is_taken_away_no_further_than_to_what_calm_faces_show(pipeline, picture, face):
    (brows,) = effects(pipeline, picture, face, [BROWS], HAPPY)
    assert max(face.action_units[1] - start(1), face.action_units[2] - start(2)) < 0, "they are calm already"
    assert brows.dose == DOSES[0]


def test_what_a_warp_cannot_show_is_not_tried(pipeline, picture, face):
    turned = replace(face, pose=Pose(50, 0, 0))
    (smile,) = effects(pipeline, picture, turned, [SMILE], HAPPY)
    assert smile.refused == f"the head is turned by more than {dial.STEEPEST:g} degrees"
    assert smile.sure == (face.expression[HAPPY],) * 2


def test_there_is_nothing_to_try_without_phrases_or_action_units(pipeline, picture, face):
    assert effects(pipeline, picture, face, [], HAPPY) == ()
    assert effects(pipeline, picture, replace(face, action_units=None), [SMILE], HAPPY) == ()


def test_a_picture_with_a_border_is_read_as_it_was(pipeline, picture, face):
    framed = np.zeros((712, 712, 3), np.uint8)
    framed[100:612, 100:612] = picture
    (there,) = pipeline(framed).faces
    (smile,) = effects(pipeline, framed, there, [SMILE], HAPPY)
    assert smile.sure[0] == pytest.approx(there.expression[HAPPY], abs=0.03)


def test_a_reader_of_colour_with_a_margin_is_shown_changed_faces_as_it_wants_them(pipeline, picture):
    class OfColor:
        view = View(60, channels=3, margin=0.125)

        def __call__(self, crops):
            assert crops.shape[1:] == self.view.shape
            return pipeline.read(self.view.plain(crops))

    others = mien.Pipeline(read=OfColor())
    (smile,) = effects(others, picture, others(picture).faces[0], [SMILE], HAPPY)
    assert smile.change < -0.05
