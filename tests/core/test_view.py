import numpy as np
import pytest

from mien.core.align import align, to_crop_frame
from mien.core.images import to_gray
from mien.core.pipeline import Pipeline
from mien.core.view import View
from mien.results.face import Face
from tests.helpers import noise

FACE = Face(np.array([40, 30, 88, 78], np.float32), None, 1.0)


def test_a_margin_shows_what_lies_around_and_leaves_the_face_where_it_was():
    image = noise(120, 140, 3)
    view = View(96, channels=3, margin=0.5)
    (crop,) = crops = view.crops(image, [to_crop_frame(FACE)])
    np.testing.assert_array_equal(crop, image[6:102, 16:112])  # 24 pixels more on each side
    np.testing.assert_array_equal(view.own(crops), crops)
    np.testing.assert_array_equal(view.plain(crops)[0], to_gray(image[30:78, 40:88].copy()))


def test_below_zero_a_network_sees_the_middle_and_the_others_all_of_the_face():
    image = noise(120, 140, 3)
    view = View(42, channels=3, margin=-0.0625)
    crops = view.crops(image, [to_crop_frame(FACE)])
    assert crops.shape == (1, 48, 48, 3)
    np.testing.assert_array_equal(view.own(crops)[0], image[33:75, 43:85])
    np.testing.assert_array_equal(view.plain(crops)[0], to_gray(image[30:78, 40:88].copy()))


def test_a_reader_of_colour_gets_colour():
    seen = []

    class Read:
        view = View(32, channels=3)

        def __call__(self, crops):
            seen.append(crops.shape)
            return Pipeline().read(np.zeros((len(crops), 48, 48), np.uint8))

    Pipeline(detect=lambda image: [FACE], read=Read())(noise(120, 140, 3))
    assert seen[0] == (1, 32, 32, 3)


@pytest.mark.parametrize("box", [[300, 200, 420, 330], [-30, -20, 90, 80], [590, 400, 700, 520], [700, 10, 800, 100]])
def test_a_crop_of_a_part_of_the_picture_is_that_of_the_whole(box):
    # What lies far from a face is not looked at, and must not matter.
    image = noise(480, 640, 3)
    frame = to_crop_frame(Face(np.array(box, np.float32), None, 1.0))
    turned = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]]) @ frame
    for one in (frame, turned):
        (expected,) = align(np.repeat(to_gray(image)[..., None], 3, axis=2), [one], 48)
        (crop,) = align(image, [one], 48)
        assert np.abs(crop.astype(int) - expected).max() <= 1
