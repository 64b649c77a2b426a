import cv2
import numpy as np
import pytest

from mien.core.align import align
from mien.core.images import read_image
from mien.core.pipeline import Pipeline
from mien.core.visibility import detector, hidden
from mien.facs.observation import Hidden, Pose
from mien.results.face import Face
from tests.helpers import ASTRONAUT

FRONT = Pose(0, 0, 0)
SIZE = (48, 48)
SEEN = [Face(np.array([0, 0, 1, 1], np.float32), None, 1.0)]
INSIDE = np.full((68, 2), 24.0)


@pytest.fixture(scope="module")
def astronaut():
    """The crop of a face that looks into the camera."""
    image = read_image(ASTRONAUT)
    (face,) = Pipeline()(image).faces
    return align(image, [face.crop], 48)[0]


def test_a_face_that_looks_into_the_camera_shows_both_halves(astronaut):
    assert list(hidden(astronaut, INSIDE, FRONT, SIZE, detector())) == []


@pytest.mark.parametrize(("part", "side"), [(slice(0, 24), "right"), (slice(24, 48), "left")])
@pytest.mark.parametrize("cover", ["plain", "skin", "patches"])
def test_a_covered_half_is_found_on_the_subjects_own_side(astronaut, part, side, cover):
    rng = np.random.default_rng(0)
    covered = astronaut.copy()
    covers = {
        "plain": np.full((48, 24), 90),
        "skin": rng.normal(astronaut[28:34, 10:14].mean(), 5, (48, 24)),
        "patches": cv2.resize(rng.integers(0, 255, (6, 3)).astype(np.uint8), (24, 48)),
    }
    covered[:, part] = covers[cover].clip(0, 255)
    assert list(hidden(covered, INSIDE, FRONT, SIZE, detector())) == [Hidden(side, "covered or unclear")]


@pytest.mark.parametrize(("yaw", "side"), [(50, "left"), (-50, "right")])
def test_the_half_away_from_where_a_head_points_is_turned_away(yaw, side):
    # A head that points to the image's right hides what is on the image's right: the subject's left.
    crop = np.zeros((48, 48), np.uint8)
    assert list(hidden(crop, INSIDE, Pose(yaw, 0, 0), SIZE, lambda image: SEEN)) == [Hidden(side, "turned away")]


def test_a_half_whose_landmarks_lie_beyond_the_border_is_outside_the_picture():
    outside = INSIDE.copy()
    outside[[*range(22, 27), *range(42, 48), 34, 35, 52, 53, 54, 55, 56], 0] = 60
    found = list(hidden(np.zeros((48, 48), np.uint8), outside, FRONT, SIZE, lambda image: SEEN))
    assert found == [Hidden("left", "outside the picture")]


def test_a_crop_of_odd_width_is_halved_all_the_same():
    assert len(list(hidden(np.zeros((49, 49), np.uint8), INSIDE, FRONT, (49, 49), lambda image: []))) == 2


def test_a_far_half_that_is_no_face_is_put_down_to_the_turn():
    crop = np.zeros((48, 48), np.uint8)
    found = list(hidden(crop, INSIDE, Pose(30, 0, 0), SIZE, lambda image: []))
    assert found == [Hidden("right", "covered or unclear"), Hidden("left", "turned away")]


def test_halves_that_are_clearly_a_face_when_small_are_not_looked_at_again(astronaut):
    asked = []
    detect = detector()

    def counted(image):
        asked.append(image.shape[:2])
        return detect(image)

    assert list(hidden(astronaut, INSIDE, FRONT, SIZE, counted)) == []
    assert asked == [(96, 192)]  # both halves in one small picture
    covered = astronaut.copy()
    covered[:, 24:] = 90
    assert list(hidden(covered, INSIDE, FRONT, SIZE, counted)) == [Hidden("left", "covered or unclear")]
    assert asked[1:] == [(96, 192), (192, 192)]  # and the one that is in doubt once more
