from importlib.resources import files

import cv2
import numpy as np
import pytest

from mien.core import zoo
from mien.core.detect import YuNet, any_size, in_reading_order, surest, whole_picture
from mien.core.images import read_image
from mien.core.session import open_session
from mien.errors import InputError, ModelError
from mien.results.face import Face
from tests.helpers import ASTRONAUT, noise

# How far, in pixels, the detector's points may move on the astronaut (47 pixels between the eyes) when the same face
# is shown in another size.
LEEWAY = 6


@pytest.fixture(scope="module")
def astronaut():
    return read_image(ASTRONAUT)


@pytest.fixture(scope="module")
def detect():
    return YuNet()


@pytest.fixture(scope="module")
def face(astronaut, detect):
    return detect(astronaut)[0]


def test_the_dynamic_file_answers_bit_for_bit_as_the_untouched_one_at_its_own_size(astronaut):
    untouched = zoo.load("yunet")
    photo = np.pad(astronaut, ((0, 128), (0, 128), (0, 0)))
    for picture in (photo, noise(640, 640, 3)):
        pixels = {"input": picture.transpose(2, 0, 1)[None].astype(np.float32)}
        wanted, given = (open_session(m).run(None, pixels) for m in (untouched, any_size(untouched)))
        assert len(wanted) == len(given) == 12
        for a, b in zip(wanted, given, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_file_of_another_kind_is_not_made_dynamic():
    with pytest.raises(ModelError, match="not the YuNet"):
        any_size(b"another detector")


def test_it_agrees_with_opencv_where_neither_resizes(astronaut, face):
    entry = zoo.MODELS["yunet"]
    height, width = astronaut.shape[:2]
    path = str(files(entry.package) / entry.file)
    _, (row,) = cv2.FaceDetectorYN.create(path, "", (width, height), 0.7, 0.3).detect(astronaut[:, :, ::-1])
    x, y, w, h = row[:4]
    np.testing.assert_allclose(face.box, [x, y, x + w, y + h], atol=0.01)
    np.testing.assert_allclose(face.points, row[4:14].reshape(5, 2), atol=0.01)
    assert face.score == pytest.approx(row[14], abs=1e-4)


def test_the_astronaut_has_one_face_with_the_eyes_image_left_first(astronaut, detect):
    (face,) = detect(astronaut)
    left_eye, right_eye, nose, left_mouth, right_mouth = face.points
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_mouth[0] < nose[0] < right_mouth[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])
    assert (face.points > face.box[:2]).all()
    assert (face.points < face.box[2:]).all()
    assert (face.box.dtype, face.points.dtype) == (np.float32, np.float32)


def test_a_picture_of_nothing_has_no_face(detect):
    assert detect(np.zeros((200, 300, 3), np.uint8)) == []


@pytest.mark.parametrize("rotations", ["auto", "always", "never"])
@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (33, 47), (3000, 20), (161, 159)])
def test_odd_sizes_are_looked_at_without_a_crash(size, rotations):
    assert isinstance(YuNet(rotations=rotations)(noise(*size, 3)), list)


def test_the_same_face_is_found_at_half_the_size(astronaut, detect, face):
    (small,) = detect(cv2.resize(astronaut, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    np.testing.assert_allclose(small.points * 2, face.points, atol=LEEWAY)
    np.testing.assert_allclose(small.box * 2, face.box, atol=2 * LEEWAY)


def test_coordinates_are_those_of_the_picture_however_large_it_is(astronaut, detect, face):
    (large,) = detect(np.repeat(np.repeat(astronaut, 3, axis=0), 3, axis=1))
    np.testing.assert_allclose(large.points / 3, face.points, atol=LEEWAY)


def test_a_picture_too_small_for_the_network_is_enlarged_first(astronaut, detect, face):
    corner = np.array([160, 50])
    (near,) = detect(astronaut[50:200, 160:280])
    np.testing.assert_allclose(near.points + corner, face.points, atol=LEEWAY)


def test_even_a_face_of_24_pixels_is_found_when_it_fills_the_picture(astronaut, detect):
    tiny = cv2.resize(astronaut[60:180, 165:285], (24, 24), interpolation=cv2.INTER_AREA)
    assert len(detect(tiny)) == 1


def test_tight_faces_beside_each_other_are_found_though_the_picture_is_small(astronaut, detect):
    row = np.zeros((160, 512, 3), np.uint8)
    tight = cv2.resize(astronaut[90:148, 206:240], (48, 48), interpolation=cv2.INTER_AREA)
    for left in range(8, 512, 128):
        row[24:136, left : left + 112] = cv2.resize(tight, (112, 112), interpolation=cv2.INTER_CUBIC)
    assert sorted(face.box[::2].mean() // 128 for face in detect(row)) == [0, 1, 2, 3]


def wall(height, width):
    """A picture of nothing, but not of one colour."""
    return cv2.GaussianBlur(noise(height, width, 3), (0, 0), 3)


def test_a_longer_side_means_a_closer_look(astronaut):
    crowd = wall(3200, 3200)
    crowd[:64, :64] = cv2.resize(astronaut, (64, 64), interpolation=cv2.INTER_AREA)  # an 11 pixel face
    assert YuNet(max_side=640, rotations="never")(crowd) == []
    assert len(YuNet(max_side=1600, rotations="never")(crowd)) == 1


def test_where_a_reduced_picture_shows_no_face_it_is_looked_at_again_in_twice_the_size(astronaut):
    crowd = wall(1280, 1280)
    crowd[100:164, 100:164] = cv2.resize(astronaut, (64, 64), interpolation=cv2.INTER_AREA)
    (face,) = YuNet(rotations="never")(crowd)
    np.testing.assert_allclose(face.center, [100 + 223 / 8, 100 + 120 / 8], atol=2)


def test_small_faces_bring_smaller_ones_to_light_and_large_ones_do_not(astronaut):
    def with_one_of(side):
        picture = wall(1280, 1280)
        picture[100:164, 100:164] = cv2.resize(astronaut, (64, 64), interpolation=cv2.INTER_AREA)
        picture[600 : 600 + side, 600 : 600 + side] = cv2.resize(astronaut, (side, side), interpolation=cv2.INTER_AREA)
        return len(YuNet(rotations="never")(picture))

    assert (with_one_of(160), with_one_of(512)) == (2, 1)


def test_faces_come_from_left_to_right_and_those_above_each_other_from_the_top():
    def at(x, y, side=40):
        return Face(np.array([x, y, x + side, y + side]), None, 0.9)

    faces = [at(0, 300), at(4, 100), at(9, 200), at(60, 0), at(200, 50), at(203, 10)]
    for shuffled in (faces, faces[::-1], faces[3:] + faces[:3]):
        order = [faces.index(face) for face in in_reading_order(shuffled)]
        assert order == [1, 2, 0, 3, 5, 4]


def test_the_order_is_the_same_in_a_picture_a_little_brighter(astronaut, detect):
    # Copies of one face in rows, of which every score changes with the light.
    small = cv2.resize(astronaut[:256, 96:352], (160, 160), interpolation=cv2.INTER_AREA)
    rows = np.vstack([np.hstack([small, cv2.GaussianBlur(small, (0, 0), s), small[:, ::-1]]) for s in (0.8, 1.6)])
    faces = detect(rows)
    brighter = detect(np.clip(rows * 1.02, 0, 255).astype(np.uint8))
    assert len(faces) == len(brighter) == 6
    np.testing.assert_allclose([f.box for f in brighter], [f.box for f in faces], atol=3)
    assert [(int(f.center[0] // 160), int(f.center[1] // 160)) for f in faces] == [
        (x, y) for x in range(3) for y in range(2)
    ]


def test_the_surest_face_is_the_one_that_scores_highest(astronaut, detect):
    dull = cv2.GaussianBlur(astronaut, (0, 0), 4)
    assert surest(detect(np.hstack([dull, astronaut]))).box[0] > 512
    assert surest([]) is None


def test_no_face_scores_below_the_threshold(astronaut, face):
    assert len(YuNet(threshold=face.score - 0.01)(astronaut)) == 1
    assert YuNet(threshold=face.score + 0.01)(astronaut) == []


@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize("rotations", ["auto", "always"])
def test_a_turned_face_is_found_with_points_that_turn_back_onto_the_upright_ones(astronaut, face, turn, rotations):
    width, height = astronaut.shape[1::-1]
    (found,) = YuNet(rotations=rotations)(np.ascontiguousarray(np.rot90(astronaut, turn)))
    x, y = found.points.T
    back = {0: (x, y), 1: (width - y, x), 2: (width - x, height - y), 3: (y, height - x)}[turn]
    np.testing.assert_allclose(np.transpose(back), face.points, atol=2)
    assert found.box[0] < x.min() < x.max() < found.box[2]
    assert found.box[1] < y.min() < y.max() < found.box[3]


def test_without_rotations_the_points_of_a_face_upside_down_are_wrong(astronaut, face):
    (found,) = YuNet(rotations="never")(np.ascontiguousarray(astronaut[::-1, ::-1]))
    assert abs((512 - found.points) - face.points).max() > 4 * LEEWAY


def test_a_face_that_lies_beside_an_upright_one_is_found_when_asked_for(astronaut):
    beside = np.hstack([astronaut, np.rot90(astronaut)])
    (upright, lying) = YuNet(rotations="always")(beside)
    assert upright.center[0] < 512 < lying.center[0]
    assert abs(lying.points[0] - lying.points[1])[1] > abs(lying.points[0] - lying.points[1])[0]


def test_an_upright_face_costs_one_look(astronaut, monkeypatch):
    looks = []
    detect = YuNet()
    one = detect._detect
    monkeypatch.setattr(detect, "_detect", lambda *given: looks.append(given[0].shape) or one(*given))
    assert len(detect(astronaut)) == 1
    assert looks == [(512, 512, 3)]


@pytest.mark.parametrize("rotations", [True, "sometimes", None])
def test_rotations_that_do_not_exist_are_refused(rotations):
    with pytest.raises(InputError, match=f"one of auto, always, never, but got {rotations!r}"):
        YuNet(rotations=rotations)


@pytest.mark.parametrize("threshold", [0, 1, -0.1, 7, float("nan")])
def test_a_threshold_outside_0_to_1_is_refused(threshold):
    with pytest.raises(InputError, match=f"threshold must lie between 0 and 1, but got {threshold}"):
        YuNet(threshold=threshold)


def test_a_side_too_short_for_the_network_is_refused():
    with pytest.raises(InputError, match="max_side must lie between 32 and 8192 pixels, but got 31"):
        YuNet(max_side=31)


def test_a_session_without_threads_is_refused():
    with pytest.raises(InputError, match="threads must be 1 or more, and at most 256, but got 0"):
        YuNet(threads=0)


def test_the_whole_picture_is_one_face_without_points():
    (face,) = whole_picture(noise(30, 20, 3))
    assert face.box.tolist() == [0, 0, 20, 30]
    assert face.points is None
    assert face.score == 1
