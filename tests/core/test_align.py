import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.core.align import (
    LANDMARK_TEMPLATE,
    LONGEST_SIDE,
    MAX_MULTIPLE,
    TEMPLATE,
    align,
    compose,
    five_points,
    inverse,
    realigned,
    similarity,
    to_crop_frame,
)
from mien.core.detect import whole_picture
from mien.core.images import to_gray  # type: ignore[attr-defined]
from mien.facs.landmarks import mean_face
from mien.results.face import Face
from tests.helpers import noise

SIZE = 48
LOPSIDED = np.array([[0.0, 0.0], [4.0, 1.0], [2.0, 3.0], [1.0, 5.0], [3.0, 5.5]])  # not its own mirror image


def turn(degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s], [s, c]])


def face_at(points: np.ndarray) -> Face:
    return Face(np.zeros(4, np.float32), points.astype(np.float32), 1.0)


def boxed(*box: float) -> Face:
    return Face(np.array(box, np.float32), None, 1.0)


def crops_of(image: np.ndarray, faces: list[Face]) -> np.ndarray:
    return align(image, [to_crop_frame(face) for face in faces], SIZE)


def scene(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A smooth picture of crop coordinates, 0 to 1 across the face, that looks different everywhere."""
    return 127 + 60 * np.sin(9 * u + 4 * v) + 50 * np.cos(3 * u - 8 * v + 1)


def photograph(height: int, width: int, scale: float, degrees: float, shift: tuple[float, float]) -> np.ndarray:
    """The scene, taken with a face of this scale (pixels), roll and place (of the crop's corner)."""
    y, x = np.mgrid[:height, :width] + 0.5
    u, v = np.moveaxis((np.stack([x, y], axis=-1) - shift) @ turn(degrees) / scale, -1, 0)  # turned back
    gray = scene(u, v).round().astype(np.uint8)
    return np.stack([gray] * 3, axis=-1)


def checkerboard(side: int) -> np.ndarray:
    board = (np.indices((side, side)).sum(axis=0) % 2 * 255).astype(np.uint8)
    return np.stack([board] * 3, axis=-1)


@settings(deadline=None, max_examples=50)
@given(st.floats(0.1, 10), st.floats(-180, 180), st.floats(-100, 100), st.floats(-100, 100))
def test_similarity_recovers_a_known_turn_scale_and_shift(scale, degrees, x, y):
    matrix = scale * turn(degrees)
    found = similarity(LOPSIDED, LOPSIDED @ matrix.T + (x, y))
    np.testing.assert_allclose(found, np.column_stack([matrix, (x, y)]), atol=1e-6)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=5, max_size=5))
def test_similarity_never_mirrors_nor_stretches(points):
    (a, b), (c, d) = similarity(np.array(points), TEMPLATE)[:, :2]
    assert (a, b) == (d, -c)
    assert a * d - b * c >= 0


def test_similarity_to_a_mirror_image_is_the_best_turn_not_the_mirror():
    mirrored = LOPSIDED * [-1, 1]
    matrix = similarity(LOPSIDED, mirrored)
    assert np.linalg.det(matrix[:, :2]) > 0
    error = np.linalg.norm(LOPSIDED @ matrix[:, :2].T + matrix[:, 2] - mirrored)
    tries = [scale * turn(angle) for scale in np.linspace(0, 2, 21) for angle in range(0, 360, 5)]
    center = LOPSIDED.mean(axis=0)
    others = [np.linalg.norm((LOPSIDED - center) @ m.T - (mirrored - mirrored.mean(axis=0))) for m in tries]
    assert error <= min(others) + 1e-9


@pytest.mark.parametrize("template", [TEMPLATE, LANDMARK_TEMPLATE])
def test_a_template_is_its_own_mirror_image(template):
    np.testing.assert_allclose(template[[1, 0, 2, 4, 3]] * [-1, 1] + [1, 0], template, atol=1e-9)


def test_a_face_whose_points_lie_on_the_template_comes_out_unchanged():
    image = noise(SIZE, SIZE, 3)
    np.testing.assert_array_equal(crops_of(image, [face_at(TEMPLATE * SIZE)])[0], to_gray(image))


def test_a_face_on_the_template_of_a_larger_picture_comes_out_as_its_plain_reduction():
    image = noise(4 * SIZE, 4 * SIZE, 3)
    reduced = to_gray(image).reshape(SIZE, 4, SIZE, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(crops_of(image, [face_at(TEMPLATE * 4 * SIZE)])[0], reduced, atol=1)


def test_a_whole_picture_of_the_crops_size_comes_back_bit_for_bit():
    image = noise(SIZE, SIZE, 3)
    crops = crops_of(image, whole_picture(image))
    assert crops.dtype == np.uint8
    np.testing.assert_array_equal(crops, to_gray(image)[None])


@pytest.mark.parametrize(
    ("scale", "degrees", "shift"),
    [(48, 0, (30, 40)), (100, 25, (90, 40)), (150, -40, (20, 130)), (77, 90, (150, 60)), (60, 180, (170, 150))],
)
def test_a_rolled_scaled_and_shifted_face_gives_the_same_crop(scale, degrees, shift):
    points = TEMPLATE * scale @ turn(degrees).T + shift
    (crop,) = crops_of(photograph(260, 280, scale, degrees, shift), [face_at(points)])
    v, u = (np.mgrid[:SIZE, :SIZE] + 0.5) / SIZE
    assert abs(crop - scene(u, v))[2:-2, 2:-2].mean() < 1.5


def test_the_crop_frame_takes_the_points_to_the_template():
    points = TEMPLATE * 31 @ turn(17).T + (5, 9)
    frame = to_crop_frame(face_at(points))
    np.testing.assert_allclose(points @ frame[:, :2].T + frame[:, 2], TEMPLATE, atol=1e-5)


def test_a_face_without_points_is_cut_out_by_its_box():
    image = noise(100, 120, 3)
    (crop,) = crops_of(image, [boxed(30, 20, 30 + SIZE, 20 + SIZE)])
    np.testing.assert_array_equal(crop, to_gray(image)[20 : 20 + SIZE, 30 : 30 + SIZE])


def test_of_a_box_that_is_not_square_the_square_around_it_is_taken_unstretched():
    frame = to_crop_frame(boxed(10, 20, 40, 80))  # 30 wide and 60 high, centred on (25, 50)
    np.testing.assert_allclose(frame @ [-5, 20, 1], [0, 0], atol=1e-9)
    np.testing.assert_allclose(frame @ [55, 80, 1], [1, 1], atol=1e-9)


def test_beyond_the_picture_its_border_goes_on():
    image = np.full((60, 60, 3), 90, np.uint8)
    image[:, 0] = 200
    outside, across = crops_of(image, [boxed(-300, 0, -250, 50), boxed(-24, 0, 24, 48)])
    assert (outside == 200).all()
    assert (across[:, :24] == 200).all()
    assert (across[:, 26:] == 90).all()


def test_several_faces_keep_their_order_and_no_face_makes_no_crop():
    image = noise(60, 60, 3)
    faces = [boxed(0, 0, 48, 48), boxed(12, 12, 60, 60)]
    crops = crops_of(image, faces)
    np.testing.assert_array_equal(crops, crops_of(image, faces[::-1])[::-1])
    assert crops_of(image, []).shape == (0, SIZE, SIZE)


@pytest.mark.parametrize(
    "face",
    [
        face_at(np.full((5, 2), 20.0)),
        face_at(np.full((5, 2), -1e6)),
        face_at(TEMPLATE * 1e-4),
        boxed(5, 5, 5, 5),
        boxed(9, 9, 1, 1),
    ],
    ids=["all equal", "far away", "tiny", "empty box", "box inside out"],
)
def test_a_degenerate_face_gives_some_crop_and_no_crash(face):
    assert crops_of(noise(50, 50, 3), [face]).shape == (1, SIZE, SIZE)


@pytest.mark.parametrize("side", [SIZE * 4, 500, SIZE * MAX_MULTIPLE, SIZE * MAX_MULTIPLE * 2])
def test_a_strong_reduction_does_not_alias(side):
    image = checkerboard(side)
    (crop,) = crops_of(image, whole_picture(image))
    np.testing.assert_allclose(crop[1:-1, 1:-1], 127.5, atol=16)


def test_plain_sampling_would_alias_there():
    board = cv2.resize(checkerboard(SIZE * 5), (SIZE, SIZE), interpolation=cv2.INTER_NEAREST)
    assert board.std() > 100


def test_no_more_of_a_picture_is_made_gray_than_a_crop_shows(monkeypatch):
    from mien.core import align as module

    made, plain = [], module.to_gray  # type: ignore[attr-defined]
    monkeypatch.setattr(module, "to_gray", lambda part: made.append(part.shape[:2]) or plain(part))
    image = noise(400, 500, 3)
    face = Face(np.array([100, 50, 160, 110], np.float32), None, 1.0)
    (crop,) = align(image, [to_crop_frame(face)], 48)
    assert made == [(64, 64)]
    whole = align(image[50:110, 100:160], [to_crop_frame(Face(np.array([0, 0, 60, 60], np.float32), None, 1.0))], 48)
    np.testing.assert_array_equal(crop[1:-1, 1:-1], whole[0][1:-1, 1:-1])


def test_a_picture_longer_than_opencv_can_warp_is_cut_all_the_same():
    image = np.zeros((40, LONGEST_SIDE + 10_000, 3), np.uint8)
    image[:, 40_000:] = 250
    dark, bright = crops_of(image, [boxed(39_900, 0, 39_940, 40), boxed(40_060, 0, 40_100, 40)])
    assert (dark == 0).all()
    assert (bright == 250).all()


UPRIGHT = mean_face() @ similarity(five_points(mean_face()), LANDMARK_TEMPLATE)[:, :2].T
UPRIGHT += similarity(five_points(mean_face()), LANDMARK_TEMPLATE)[:, 2]
FRAME = to_crop_frame(boxed(10, 20, 58, 68))


def test_five_points_are_eye_centres_nose_tip_and_mouth_corners():
    landmarks = np.arange(136.0).reshape(68, 2)
    eyes = [landmarks[36:42].mean(0), landmarks[42:48].mean(0)]
    np.testing.assert_array_equal(five_points(landmarks), [*eyes, landmarks[30], landmarks[48], landmarks[54]])


def test_landmarks_that_agree_with_their_crop_leave_it_alone():
    assert realigned(FRAME, UPRIGHT) is FRAME
    assert realigned(FRAME, UPRIGHT + 0.02) is FRAME


@pytest.mark.parametrize(("scale", "degrees", "shift"), [(1, 10, (0, 0)), (1.1, 0, (0, 0)), (1, 0, (0.08, -0.05))])
def test_landmarks_that_disagree_ask_for_the_crop_in_which_they_would_not(scale, degrees, shift):
    off = (UPRIGHT - 0.5) @ (scale * turn(degrees)).T + 0.5 + shift
    better = realigned(FRAME, off)
    in_image = off @ inverse(FRAME)[:, :2].T + inverse(FRAME)[:, 2]
    seen_again = in_image @ better[:, :2].T + better[:, 2]
    np.testing.assert_allclose(five_points(seen_again), five_points(UPRIGHT), atol=1e-9)


@pytest.mark.parametrize(
    "landmarks",
    [None, np.zeros((68, 2)), UPRIGHT[::-1], np.random.default_rng(0).random((68, 2)), (UPRIGHT - 0.5) * 4 + 0.5],
    ids=["none", "all in one place", "scrambled", "noise", "four times too large"],
)
def test_landmarks_that_do_not_lie_as_in_a_face_are_no_reason_to_crop_again(landmarks):
    assert realigned(FRAME, landmarks) is None


def test_a_degenerate_frame_is_not_mended():
    assert realigned(to_crop_frame(face_at(np.full((5, 2), 20.0))), UPRIGHT) is None


def test_frames_are_undone_and_done_one_after_the_other():
    first = np.column_stack([2 * turn(30), [3, 4]])
    np.testing.assert_allclose(compose(inverse(first), first), [[1, 0, 0], [0, 1, 0]], atol=1e-12)
    second = np.column_stack([turn(90), [1, 0]])
    point = np.array([5.0, 6.0])
    step = first[:, :2] @ point + first[:, 2]
    np.testing.assert_allclose(compose(second, first) @ [*point, 1], second[:, :2] @ step + second[:, 2])
