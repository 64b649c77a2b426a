import json
from contextlib import nullcontext

import numpy as np
import pytest
from click.testing import CliRunner

from mien.cli import commands
from mien.datasets import Sample, pseudo_labels
from mien.datasets.pseudo_labels import Mesh, MeshTeacher
from mien.errors import InputError, MissingExtra
from mien.facs.blendshapes import BLENDSHAPES, mirrored_shapes
from mien.facs.vocabulary import Expression
from mien.results.face import Face
from tests.helpers import encoded, noise

SMILE = BLENDSHAPES.index("mouthSmileLeft")


def nobody(image):
    return []


def turned(yaw=0.0, pitch=0.0, roll=0.0):
    """The rotation of a face turned to the image's right, up and clockwise, in degrees."""
    y, p, r = np.radians([yaw, pitch, roll])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), np.sin(p)], [0, -np.sin(p), np.cos(p)]])
    about_z = np.array([[np.cos(r), np.sin(r), 0], [-np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def bright_spot(image):
    """A mesh whose every point lies on the brightest pixel of the picture, scaled to its centre of mass."""
    weight = image[:, :, 0].astype(float) ** 4
    y, x = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    spot = np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()
    shapes = np.zeros(52)
    shapes[SMILE] = 0.5
    return Mesh(np.tile(spot, (478, 1)), shapes, turned(yaw=20))


def picture(x, y):
    image = np.zeros((48, 48, 3), np.uint8)
    image[y, x] = 255
    return image


@pytest.mark.parametrize(("x", "y"), [(24, 24), (10, 30), (40, 12)])
def test_landmarks_come_back_in_pixels_of_the_sample_whatever_was_shown(x, y):
    def found(image):
        return [Face([12, 8, 36, 40], None, 0.9)]

    for detect in (nobody, found):
        reading = MeshTeacher(bright_spot, detect)(picture(x, y))
        np.testing.assert_allclose(reading.landmarks, np.tile([x + 0.5, y + 0.5], (68, 1)), atol=0.1)
        assert reading.attempt == 0


def test_a_face_that_is_only_accepted_mirrored_comes_back_with_its_sides_swapped():
    shown = []

    def fourth_time(image):
        shown.append(image.shape[0])
        return bright_spot(image) if len(shown) == 3 else None

    reading = MeshTeacher(fourth_time, nobody)(picture(10, 30))
    assert shown == [360, 576, 360]
    assert reading.attempt == 2
    np.testing.assert_allclose(reading.landmarks, np.tile([10.5, 30.5], (68, 1)), atol=0.1)
    assert reading.shapes[SMILE] == 0
    assert reading.shapes[mirrored_shapes()[SMILE]] == 0.5
    assert reading.pose[0] == pytest.approx(-20)


def test_pose_is_in_degrees_to_the_right_up_and_clockwise():
    def pose(**angles):
        mesh = Mesh(np.zeros((478, 2)), np.zeros(52), turned(**angles))
        return MeshTeacher(lambda image: mesh, nobody)(picture(1, 1)).pose

    np.testing.assert_allclose(pose(yaw=30), [30, 0, 0], atol=1e-4)
    np.testing.assert_allclose(pose(pitch=15), [0, 15, 0], atol=1e-4)
    np.testing.assert_allclose(pose(roll=-25), [0, 0, -25], atol=1e-4)


def labelled(count=6):
    """Half of the samples neutral; the teacher misses the last one."""
    samples = [
        Sample(picture(5 + i, 20), Expression.NEUTRAL if i % 2 else Expression.HAPPINESS, source=f"faces:{i}")
        for i in range(count)
    ]

    def teach(image):
        i = int(image[20, :, 0].argmax()) - 5
        if i == count - 1:
            return None
        shapes = np.zeros(52, np.float32)
        shapes[[SMILE, SMILE + 1]] = 0.3 if i % 2 else 0.8
        return pseudo_labels.MeshReading(
            np.full((68, 2), i, np.float32), shapes, np.array([i, 0, 0], np.float32), i % 3
        )

    return samples, teach


def test_a_face_that_the_teacher_misses_is_missing_not_zero():
    labels = pseudo_labels.label(*labelled())
    assert labels.found.tolist() == [True] * 5 + [False]
    assert np.isnan(labels.landmarks[5]).all()
    assert np.isnan(labels.action_units[5]).all()
    assert not np.isnan(labels.action_units[:5]).any()
    assert labels.about["attempts"] == {"0": 2, "1": 2, "2": 1}


def test_action_units_are_calibrated_on_the_neutral_faces():
    labels = pseudo_labels.label(*labelled())
    au12 = labels.action_units[:, 8]
    np.testing.assert_allclose(au12[:5], [1, 0, 1, 0, 1], atol=1e-6)


def test_another_split_takes_the_calibration_of_the_training_faces():
    train = pseudo_labels.label(*labelled())
    samples, teach = labelled()
    happy = [sample for sample in samples if sample.expression is Expression.HAPPINESS]
    with pytest.raises(InputError, match="calibration of the training faces"):
        pseudo_labels.label(happy, teach)
    np.testing.assert_allclose(pseudo_labels.label(happy, teach, train.calibration).action_units[:, 8], 1, atol=1e-6)


def test_what_is_written_reads_back_with_nulls_where_the_teacher_failed(tmp_path):
    labels = pseudo_labels.label(*labelled())
    model = tmp_path / "teacher.task"
    model.write_bytes(b"weights")
    pseudo_labels.write(labels, tmp_path / "labels.parquet", model)
    back = pseudo_labels.read(tmp_path / "labels.parquet")
    for name in ("found", "landmarks", "shapes", "pose", "action_units"):
        np.testing.assert_array_equal(getattr(back, name), getattr(labels, name))
    assert back.source == labels.source
    np.testing.assert_array_equal(back.calibration.rest, labels.calibration.rest)
    assert back.about["teacher"] == "teacher.task"
    assert len(back.about["sha256"]) == 64


def test_a_file_that_holds_no_pseudo_labels_is_refused(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"nothing")
    for name in ("x.parquet", "gone.parquet"):
        with pytest.raises(InputError):
            pseudo_labels.read(tmp_path / name)


def test_the_largest_vote_says_which_expression_a_sample_shows():
    votes = np.zeros(10, np.uint8)
    assert pseudo_labels.shown_expression(Sample(picture(1, 1), votes=votes)) is None
    votes[Expression.FEAR] = 6
    assert pseudo_labels.shown_expression(Sample(picture(1, 1), votes=votes)) is Expression.FEAR
    votes[9] = 7  # not a face
    assert pseudo_labels.shown_expression(Sample(picture(1, 1), votes=votes)) is None


def test_the_command_labels_a_folder_and_counts_by_expression(tmp_path, monkeypatch):
    for i, kind in enumerate(("happy", "neutral", "neutral")):
        (tmp_path / "faces" / kind).mkdir(parents=True, exist_ok=True)
        (tmp_path / "faces" / kind / f"{i}.png").write_bytes(encoded(noise(48, 48, 3, seed=i)))
    model, output = tmp_path / "face.task", tmp_path / "labels.parquet"
    model.write_bytes(b"weights")
    monkeypatch.setattr("mien.datasets.pseudo_labels.mediapipe_mesh", lambda model: nullcontext(bright_spot))
    arguments = ["pseudo-label", "--data", f"folder:{tmp_path / 'faces'}", "--model", str(model), "-o", str(output)]
    result = CliRunner().invoke(commands, arguments)
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert summary["by_expression"]["neutral"] == {"found": 2, "faces": 2, "rate": 1.0}
    again = CliRunner().invoke(commands, [*arguments, "--calibration", str(output)])
    assert again.exit_code == 0, again.output


def test_without_mediapipe_the_extra_is_named(tmp_path):
    (tmp_path / "face.task").write_bytes(b"weights")
    with pytest.raises(MissingExtra, match=r"mien\[mediapipe\]"), pseudo_labels.mediapipe_mesh(tmp_path / "face.task"):
        pass
    with pytest.raises(InputError, match="no such file"), pseudo_labels.mediapipe_mesh(tmp_path / "gone.task"):
        pass
