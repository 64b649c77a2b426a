import inspect
import io
import json
import subprocess
import sys
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
from PIL import Image

import mien
from mien.core import pipeline as module
from mien.core.align import LANDMARK_TEMPLATE, five_points, similarity
from mien.core.pipeline import Pipeline, PipelineOptions, analyze
from mien.core.turns import iou
from mien.core.zoo import MODELS
from mien.errors import InputError, ModelError
from mien.facs.landmarks import mean_face
from mien.facs.observation import Hidden, Pose
from mien.facs.prior import prior, with_prior
from mien.facs.units import ActionUnits
from mien.facs.vocabulary import ActionUnit, Expression
from mien.results.expression import ExpressionScores
from mien.results.face import Face, Reading
from tests.helpers import ASTRONAUT, drawn_face, noise

SURPRISED = Reading(ExpressionScores(np.eye(8, dtype=np.float32)[Expression.SURPRISE]))


def read(crops):
    return [SURPRISED] * len(crops)


def two_faces(image):
    return [Face(np.array([x, 0, x + 40, 40], np.float32), None, 0.9) for x in (0, 50)]


def test_an_image_without_faces_gives_a_report_without_faces():
    report = Pipeline(detect=lambda image: [], read=read)(np.zeros((70, 90, 3), np.uint8))
    assert report.faces == ()
    assert report.status == "no_face"
    assert report.size == (70, 90)


def test_the_default_pipeline_finds_no_face_in_a_blank_picture():
    assert analyze(np.full((64, 64, 3), 128, np.uint8)).to_dict()["faces"] == []


@pytest.mark.parametrize("name", [name for name, entry in MODELS.items() if entry.reads])
def test_every_shipped_classifier_reads_the_photograph_with_action_units_and_a_heat_map(name):
    report = Pipeline(model=name)(mien.read_image(ASTRONAUT))
    (face,) = report.faces
    assert (face.expression.top, report.model) == (Expression.HAPPINESS, name)
    assert face.action_units is not None
    assert face.action_units[ActionUnit(12)] > 0.5
    assert face.attention is not None


def test_detect_and_read_can_be_plain_functions():
    report = Pipeline(detect=two_faces, read=read)(noise(60, 100, 3))
    assert [face.box[0] for face in report.faces] == [0, 50]
    assert [face.expression.top for face in report.faces] == [Expression.SURPRISE] * 2
    assert report.model == ""


def test_the_reader_sees_upright_gray_crops_of_the_size_it_asks_for():
    seen = []

    def look(crops):
        seen.append(crops)
        return read(crops)

    look.size, look.name = 24, "looker"  # type: ignore[attr-defined]
    report = Pipeline(detect=two_faces, read=look)(noise(60, 100, 3))
    assert [(crops.shape, crops.dtype) for crops in seen] == [((2, 24, 24), np.uint8)]
    assert report.model == "looker"


def landmarks_at(scale: float = 1.0, degrees: float = 0.0, shift: float = 0.0) -> np.ndarray:
    """The mean face as the template has it, then resized, turned and moved in its crop."""
    onto = similarity(five_points(mean_face()), LANDMARK_TEMPLATE)
    upright = mean_face() @ onto[:, :2].T + onto[:, 2]
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return ((upright - 0.5) @ (scale * np.array([[c, s], [-s, c]])) + 0.5 + shift).astype(np.float32)


def full(landmarks: np.ndarray | None, pose: Pose = Pose(0, 0, 0)) -> Reading:  # noqa: B008
    units = ActionUnits(np.full(21, 0.5), np.zeros(3))
    return Reading(SURPRISED.expression, units, landmarks, pose, np.ones((12, 12), np.float32))


class Reads:
    """A reader that answers prepared readings, one list a call, and keeps the crops it was shown."""

    size = 48

    def __init__(self, *answers: list[Reading]) -> None:
        self.answers, self.seen = list(answers), []

    def __call__(self, crops):
        self.seen.append(crops)
        return self.answers.pop(0)


def one_face(image):
    return [Face(np.array([20, 10, 68, 58], np.float32), None, 0.9)]


# Faces wherever they are


def group():
    """Three faces in a room, of which one is small, one tilted and one in the corner."""
    image = cv2.GaussianBlur(noise(520, 700, 3), (0, 0), 4)
    astronaut = mien.read_image(ASTRONAUT)[:300, 80:380]
    tilted = cv2.warpAffine(
        astronaut, cv2.getRotationMatrix2D((143, 120), 20, 1), (300, 300), borderMode=cv2.BORDER_REPLICATE
    )
    image[200:500, 20:320] = tilted
    image[90:390, 400:] = astronaut[:, ::-1]
    image[:120, 250:370] = cv2.resize(astronaut, (120, 120), interpolation=cv2.INTER_AREA)
    return image


def portrait():
    """A face that the edge of the picture cuts off."""
    return mien.read_image(ASTRONAUT)[70:400, :430]


def assert_same_faces(report, wanted, to_original):
    """As many faces, each in the place of one that was wanted and with its word."""
    assert len(report.faces) == len(wanted.faces)
    boxes = [to_original(face.box.astype(np.float64)) for face in report.faces]
    shares = iou(np.array(boxes), np.array([face.box for face in wanted.faces], np.float64))
    assert shares.max(axis=1).min() >= 0.7
    assert len(set(shares.argmax(axis=1))) == len(wanted.faces)
    for face, place in zip(report.faces, shares.argmax(axis=1), strict=True):
        assert face.expression.top is wanted.faces[place].expression.top


@pytest.fixture(scope="module")
def default():
    return Pipeline()


@pytest.mark.parametrize("picture", [group, portrait])
def test_a_picture_in_four_turns_has_the_same_faces(default, picture):
    image = picture()
    wanted = default(image)
    height, width = image.shape[:2]
    for turn in (1, 2, 3):

        def back(box, turn=turn):
            x, y = box.reshape(2, 2).T
            x, y = {1: (width - y, x), 2: (width - x, height - y), 3: (y, height - x)}[turn]
            return np.array([x.min(), y.min(), x.max(), y.max()])

        assert_same_faces(default(np.rot90(image, turn)), wanted, back)
    assert len(wanted.faces) == (3 if picture is group else 1)


@pytest.mark.parametrize("value", [0, 128, 255])
@pytest.mark.parametrize("share", [0.05, 0.25, 0.4])
@pytest.mark.parametrize("sides", [(1, 0, 0, 0), (0, 1, 0, 1), (1, 1, 1, 1)], ids=["left", "above and below", "around"])
def test_a_border_changes_neither_faces_nor_words(default, value, share, sides):
    for image in (group(), portrait()):
        height, width = image.shape[:2]
        left, top, right, bottom = (
            round(share * side * has) for side, has in zip((width, height) * 2, sides, strict=True)
        )
        framed = np.pad(image, ((top, bottom), (left, right), (0, 0)), constant_values=value)
        report = default(framed)
        assert report.size == framed.shape[:2]
        assert_same_faces(report, default(image), lambda box, by=(left, top) * 2: box - by)


def test_a_picture_that_is_one_face_keeps_its_border():
    face = np.pad(drawn_face(smiling=True), 300)
    seen = []
    Pipeline(read=lambda crops: seen.append(crops) or read(crops), assume_crop=True)(face)
    assert seen[0][0, :16].max() == 0


def test_faces_of_any_detector_are_reported_from_left_to_right():
    report = Pipeline(detect=lambda image: two_faces(image)[::-1], read=read)(noise(60, 100, 3))
    assert [face.box[0] for face in report.faces] == [0, 50]


def test_the_largest_face_is_at_hand(default):
    report = default(group())
    assert report.largest is max(report.faces, key=lambda face: np.prod(face.box[2:] - face.box[:2]))
    assert default(np.zeros((300, 300, 3), np.uint8)).largest is None


def test_landmarks_that_agree_with_the_crop_are_reported_in_the_image():
    reader = Reads([full(landmarks_at())])
    (face,) = Pipeline(detect=one_face, read=reader)(noise(80, 90, 3)).faces
    assert face.landmark_source == "reader"
    np.testing.assert_allclose(face.landmarks, landmarks_at() * 48 + [20, 10], atol=1e-3)
    assert face.action_units[12] == 0.5
    assert face.attention.shape == (12, 12)
    assert len(reader.seen) == 1


def test_landmarks_that_disagree_are_read_again_in_the_crop_they_ask_for():
    reader = Reads([full(landmarks_at(degrees=15)), full(landmarks_at())], [full(landmarks_at(), Pose(5, 0, 2))])
    first, second = Pipeline(detect=two_faces, read=reader)(noise(80, 90, 3)).faces
    assert [len(crops) for crops in reader.seen] == [2, 1]  # only the one that disagreed
    wanted = landmarks_at(degrees=15) * 40
    np.testing.assert_allclose(five_points(first.landmarks), five_points(wanted), atol=1e-3)
    # Fifteen degrees clockwise in the image, and two more in the crop.
    assert first.pose.roll == pytest.approx(17, abs=1e-3)
    assert second.pose == Pose(0, 0, 0)


def test_landmarks_that_fail_leave_the_detectors_crop_and_are_not_reported():
    reader = Reads([full(np.zeros((68, 2), np.float32))])
    (face,) = Pipeline(detect=one_face, read=reader)(noise(80, 90, 3)).faces
    assert (face.landmark_source, face.landmarks, face.hidden) == ("box", None, ())
    assert face.action_units is not None


def test_the_far_half_of_a_head_that_is_turned_away_is_hidden():
    reader = Reads([full(landmarks_at(), Pose(50, 0, 0))])
    (face,) = Pipeline(detect=one_face, read=reader)(noise(80, 90, 3)).faces
    assert Hidden("left", "turned away") in face.hidden


def test_a_pose_in_a_crop_is_turned_back_with_it():
    # A crop that turned the picture 90 degrees counterclockwise; its face looks to the crop's right: down in the image.
    frame = np.array([[0, 1, 0], [-1, 0, 1]], float)
    pose = module.in_image(Pose(30, 0, 0), frame)
    assert (pose.yaw, pose.pitch, pose.roll) == pytest.approx((0, -30, 90), abs=1e-6)


def test_a_path_bytes_an_array_and_a_pillow_image_give_the_same_report():
    with Image.open(ASTRONAUT) as image:
        sources = [ASTRONAUT, str(ASTRONAUT), ASTRONAUT.read_bytes(), np.array(image.convert("RGB")), image]
        reports = [analyze(source).to_dict() for source in sources]
    assert len(reports[0]["faces"]) == 1
    assert all(report == reports[0] for report in reports)


def test_the_astronauts_report_is_complete():
    report = analyze(ASTRONAUT)
    (face,) = report.faces
    assert report.size == (512, 512)
    assert report.model == mien.core.zoo.DEFAULT
    assert face.points.shape == (5, 2)
    assert face.expression.probabilities.shape == (8,)
    assert face.expression.probabilities.sum() == pytest.approx(1, abs=1e-5)


def test_a_crop_is_read_as_it_is_without_detection():
    face = drawn_face(smiling=True)
    seen = []

    def look(crops):
        seen.extend(crops)
        return read(crops)

    report = Pipeline(read=look, assume_crop=True)(face)
    np.testing.assert_array_equal(seen, [face])
    assert report.faces[0].box.tolist() == [0, 0, 48, 48]
    assert report.faces[0].landmark_source == "box"


def test_the_default_reader_takes_more_faces_than_one_batch():
    def crowd(image):
        return [Face(np.array([x, 0, x + 48, 48], np.float32), None, 1.0) for x in range(20)]

    image = noise(48, 68, 3)
    together = Pipeline(detect=crowd)(image).faces
    alone = [Pipeline(detect=lambda image, x=x: [crowd(image)[x]])(image).faces[0] for x in (0, 7, 8, 19)]
    assert len(together) == 20
    for x, face in zip((0, 7, 8, 19), alone, strict=True):
        np.testing.assert_allclose(together[x].expression.probabilities, face.expression.probabilities, atol=1e-5)


def test_a_picture_that_cannot_be_used_is_an_input_error():
    with pytest.raises(InputError, match=r"nowhere\.jpg: there is no such file"):
        analyze("nowhere.jpg")


def test_a_model_that_does_not_exist_is_a_model_error():
    with pytest.raises(ModelError, match="there is no model 'raeder'"):
        analyze(ASTRONAUT, model="raeder")


def test_wrong_options_reach_the_door_that_refuses_them():
    with pytest.raises(InputError, match="threshold"):
        Pipeline(threshold=2)
    with pytest.raises(TypeError, match="treshold"):
        analyze(ASTRONAUT, treshold=0.5)  # type: ignore[call-arg]


def test_analyze_makes_one_pipeline_for_equal_options_in_any_order(monkeypatch):
    made = []

    def make(**options):
        made.append(options)
        return lambda source: source

    monkeypatch.setattr(module, "Pipeline", make)
    module._pipeline.cache_clear()
    try:
        for options in ({"rotations": "never", "threads": 2}, {"threads": 2, "rotations": "never"}, {}, {}):
            analyze(b"", **options)
    finally:
        module._pipeline.cache_clear()  # or later tests would get the fakes
    assert made == [{"rotations": "never", "threads": 2}, {}]


def test_a_detector_of_one_s_own_need_not_be_hashable():
    @dataclass
    class Middle:
        share: float

        def __call__(self, image):
            side = np.array([image.shape[1], image.shape[0]] * 2)
            half = self.share / 2
            return [
                Face((side * [0.5 - half, 0.5 - half, 0.5 + half, 0.5 + half]).astype(np.float32), None, np.float32(1))
            ]

    report = analyze(ASTRONAUT, detect=Middle(0.5))
    assert len(report.faces) == 1
    assert json.loads(json.dumps(report.to_dict()))["faces"][0]["score"] == 1


@pytest.mark.parametrize("model", ["yunet", "synfer", "expllm-words"])
def test_a_model_for_something_else_says_what_it_is_for(model):
    with pytest.raises(ModelError, match=f"'{model}' .*; those that read expressions are reader, vtff, se-swin"):
        analyze(ASTRONAUT, model=model)


def test_a_photo_is_read_without_torch():
    code = "import sys; sys.modules['torch'] = None; import mien; print(len(mien.analyze(sys.argv[1]).faces))"
    assert subprocess.check_output([sys.executable, "-c", code, ASTRONAUT], text=True).strip() == "1"


def test_importing_mien_loads_no_large_library():
    code = "import sys, mien; print(*sorted({'torch', 'cv2', 'onnxruntime', 'numpy', 'PIL'} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == ""


@pytest.mark.parametrize("name", mien.__all__)
def test_every_public_name_is_there(name):
    assert getattr(mien, name) is not None
    assert name in dir(mien)


def test_a_name_that_mien_does_not_have_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'analyse'"):
        mien.analyse  # type: ignore[attr-defined]  # noqa: B018


def test_a_picture_in_memory_need_not_touch_the_disk():
    buffer = io.BytesIO()
    Image.fromarray(drawn_face(smiling=False)).save(buffer, "PNG")
    assert len(analyze(buffer.getvalue(), assume_crop=True).faces) == 1


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"read": lambda crops: [], "model": "vtff"}, "model='vtff'"),
        ({"detect": lambda image: [], "threshold": 0.5, "max_side": 320}, "threshold and max_side"),
        ({"detect": lambda image: [], "assume_crop": True}, "assume_crop"),
        ({"assume_crop": True, "threshold": 0.5}, "assume_crop detects nothing"),
    ],
)
def test_options_that_another_makes_meaningless_are_refused(options, problem):
    with pytest.raises(InputError, match=problem):
        Pipeline(**options)


def test_the_typed_options_are_those_of_a_pipeline():
    parameters = inspect.signature(Pipeline.__init__).parameters
    assert set(PipelineOptions.__annotations__) == set(parameters) - {"self"}


def test_a_prior_changes_probabilities_by_bayes_and_is_told_in_the_report():
    learned = mien.analyze(ASTRONAUT)
    even = mien.analyze(ASTRONAUT, prior="uniform")
    assert (learned.prior, even.prior) == ("", "uniform")
    assert "prior" not in learned.to_dict()
    for before, after in zip(learned.faces, even.faces, strict=True):
        assert np.allclose(
            after.expression.probabilities, with_prior(before.expression.probabilities, prior("uniform")), atol=1e-5
        )
    assert mien.analyze(ASTRONAUT, prior=[1] * 8).to_dict() == even.to_dict()
