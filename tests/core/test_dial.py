import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import mien
from mien.core.dial import camera_of, dial, refusal
from mien.errors import InputError
from mien.facs.head import REACH, load
from mien.facs.landmarks import mean_face
from mien.facs.observation import Hidden, Pose

EXAMPLE = "examples/astronaut.png"


@pytest.fixture(scope="module")
def picture():
    return mien.read_image(EXAMPLE)


@pytest.fixture(scope="module")
def face(picture):
    return mien.analyze(picture).faces[0]


def read_again(picture, face):
    return next(mien.Pipeline().read_faces(picture, [face.face], [face.crop]))


def test_a_smile_that_is_taken_away_is_read_as_weaker_the_more_the_more(picture, face):
    units = [read_again(mien.dial(picture, face, {12: dose}), face).action_units[12] for dose in (0.0, -0.7, -1.4)]
    assert units[0] == pytest.approx(face.action_units[12], abs=0.02)
    assert units[0] > units[1] > units[2]


def test_brows_that_are_raised_are_read_as_raised(picture, face):
    raised = read_again(mien.dial(picture, face, {1: 1, 2: 1}), face)
    assert raised.action_units[2] > face.action_units[2] + 0.1


def test_only_the_face_changes_and_nothing_at_a_dose_of_zero(picture, face):
    changed = (dial(picture, face, {12: -1}) != picture).any(axis=-1)
    x1, y1, x2, y2 = face.box.astype(int)
    assert changed[y1:y2, x1:x2].mean() > 0.2
    assert not changed[:20].any()
    assert not changed[:, -20:].any()
    assert (dial(picture, face, {12: 0}) == picture).all()


def test_the_picture_itself_stays_as_it_was(picture, face):
    before = picture.copy()
    dial(picture, face, {4: 1})
    assert (picture == before).all()


def test_the_camera_finds_again_how_the_head_was_turned_and_scaled():
    camera = np.array([[40, 2, 5, 50], [2, -40, 3, 45.0]])
    seen = load().rest[:68] @ camera[:, :3].T + camera[:, 3]
    assert np.allclose(camera_of(seen)[:, [0, 1, 3]], camera[:, [0, 1, 3]], atol=2)


def test_training_and_dialling_move_the_skin_alike(picture, face):
    torch = pytest.importorskip("torch")
    from mien.training.unit_pairs import cameras, warp

    x1, y1 = (face.box[:2] - 60).astype(int).clip(0)
    side = int((face.box[2:] - face.box[:2]).max()) + 120
    square = np.ascontiguousarray(picture[y1 : y1 + side, x1 : x1 + side])
    side = min(square.shape[:2])
    square = square[:side, :side]
    placed = torch.from_numpy((face.landmarks - (x1, y1)) / side).float()[None]
    shapes = load()
    rest, move = torch.from_numpy(shapes.rest), torch.from_numpy(shapes.moves[list(shapes.units).index(12)])
    camera = cameras(rest[:68], placed)
    points = rest @ camera[:, :, :3].mT + camera[:, None, :, 3]
    points[:, :68] = placed
    still, reach = torch.tensor([[[1.0, 0, 0], [0, 1.0, 0]]]), REACH * (placed[:, 36] - placed[:, 45]).norm(dim=1)
    image = torch.from_numpy(square).permute(2, 0, 1)[None].float() / 255
    taught = warp(image, still, points, -move[None] @ camera[:, :, :3].mT, reach)[0].permute(1, 2, 0).numpy() * 255
    here = replace(face, landmarks=(face.landmarks - (x1, y1)).astype(np.float32), crop=np.eye(2, 3) / side)
    dialled = dial(square, here, {12: -1}).astype(float)
    box = (slice(60, side - 60),) * 2
    moved = np.abs(taught - square)[box].mean()
    assert np.abs(taught - dialled)[box].mean() < 0.25 * moved


def test_what_a_warp_cannot_show_is_refused_in_words(picture, face):
    with pytest.raises(InputError, match=r"AU26 cannot be dialled, for what is behind the lips is not in the picture"):
        dial(picture, face, {26: -1})
    with pytest.raises(InputError, match=r"AU99 cannot be dialled; those that can: 1, 2, 4"):
        dial(picture, face, {99: -1})
    with pytest.raises(InputError, match=r"between -1.5 and 1.5, but that of AU12 is 9"):
        dial(picture, face, {12: 9})
    assert "no landmarks" in refusal(replace(face, landmarks=None), {12: -1})
    turned = replace(face, hidden=(Hidden("left", "turned away"),))
    assert refusal(turned, {12: -1}) == "the left half of the face is turned away"
    assert "turned by more than 30 degrees" in refusal(replace(face, pose=Pose(35, 0, 0)), {12: -1})
    assert not refusal(replace(face, pose=Pose(0, 0, 80)), {12: -1})


def test_closed_eyes_are_not_opened_and_an_open_mouth_is_not_pressed_shut(face):
    points = mean_face().astype(np.float32) * 100
    still = replace(face, landmarks=points, pose=None, hidden=())
    assert not refusal(still, {43: -1, 24: 1})
    closed, gaping = points.copy(), points.copy()
    for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46)):
        closed[upper] = closed[lower]
    gaping[[65, 66, 67], 1] += 10
    assert "eyes are closed" in refusal(replace(still, landmarks=closed), {43: -1})
    assert not refusal(replace(still, landmarks=closed), {43: 1})
    assert "mouth is open" in refusal(replace(still, landmarks=gaping), {24: 1})
    assert not refusal(replace(still, landmarks=gaping), {24: -1})


def test_a_face_at_the_edge_of_its_picture_is_dialled(picture, face):
    x1, y1, x2, y2 = face.box.astype(int)
    tight = np.ascontiguousarray(picture[y1:y2, x1:x2])
    read = mien.Pipeline(assume_crop=True)(tight).faces[0]
    assert dial(tight, read, {12: -1}).shape == tight.shape


def test_it_needs_no_torch():
    code = (
        "import sys; sys.modules['torch'] = None; import mien\n"
        f"face = mien.analyze({EXAMPLE!r}).faces[0]\n"
        f"print(mien.dial({EXAMPLE!r}, face, {{12: -0.5}}).shape)"
    )
    assert "(512, 512, 3)" in subprocess.check_output([sys.executable, "-c", code], text=True)
