import cv2
import numpy as np
import pytest

from mien.core.borders import Area, picture_area, whole
from mien.core.images import read_image
from tests.helpers import ASTRONAUT, encoded, noise

PHOTO = noise(260, 280, 3)


def framed(picture, left, top, right, bottom, value=0):
    return np.pad(picture, ((top, bottom), (left, right), (0, 0)), constant_values=value)


@pytest.mark.parametrize("value", [0, 128, 255])
@pytest.mark.parametrize("sides", [(30, 0, 0, 0), (0, 20, 0, 20), (30, 0, 30, 20), (60, 50, 40, 30)])
def test_a_border_of_one_colour_is_cut_off_on_any_side(value, sides):
    left, top, *_ = sides
    assert picture_area(framed(PHOTO, *sides, value)) == Area(left, top, left + 280, top + 260)  # type: ignore[call-arg]


def test_a_border_within_a_border_is_cut_off_too():
    twice = framed(framed(PHOTO, 10, 10, 10, 10, 255), 30, 0, 30, 0)
    assert picture_area(twice) == Area(40, 10, 320, 270)


def test_a_border_that_jpeg_has_smeared_is_cut_off():
    picture = read_image(encoded(framed(read_image(ASTRONAUT), 100, 60, 100, 0), "JPEG", quality=60))
    area = picture_area(picture)
    assert np.abs(np.array(area) - [100, 60, 612, 572]).max() <= 8


@pytest.mark.parametrize("picture", [PHOTO, np.zeros((300, 400, 3), np.uint8), noise(1, 9, 3), np.zeros((1, 900, 3))])
def test_a_picture_without_a_border_or_with_nothing_else_stays_whole(picture):
    assert picture_area(picture) == whole(picture)


def test_a_small_picture_keeps_its_border():
    picture = framed(noise(100, 100, 3), 70, 70, 70, 70)
    assert picture_area(picture) == whole(picture)


def test_a_narrow_border_stays():
    assert picture_area(framed(PHOTO, 4, 4, 0, 0)) == Area(0, 0, 284, 264)


def test_the_background_of_a_picture_is_not_cut_to_the_quick():
    # Nothing says whether a head before white paper has a border around it.
    head = np.full((400, 400, 3), 255, np.uint8)
    cv2.circle(head, (200, 200), 60, (90, 60, 40), -1)
    area = picture_area(head)
    assert area.left == area.top == pytest.approx(140 - 15, abs=3)
    assert area.right == area.bottom == pytest.approx(260 + 15, abs=3)


def test_the_area_turns_with_the_picture():
    picture = framed(PHOTO, 60, 50, 40, 30, 255)
    left, top, right, bottom = picture_area(picture)
    width = picture.shape[1]
    assert picture_area(np.rot90(picture)) == Area(top, width - right, bottom, width - left)


def test_an_area_is_a_view_of_its_pixels():
    area = Area(2, 3, 12, 9)
    assert area.of(PHOTO).base is not None
    np.testing.assert_array_equal(area.of(PHOTO), PHOTO[3:9, 2:12])
    assert (area.size, area.corner.tolist()) == ((6, 10), [2, 3])
