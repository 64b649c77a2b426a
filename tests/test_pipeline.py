import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import mien
from mien import pipeline as module
from mien.errors import InputError, ModelError
from mien.pipeline import Pipeline, analyze
from mien.results import ExpressionScores, Face
from mien.vocabulary import Expression
from tests.helpers import ASTRONAUT, drawn_face, noise

SURPRISED = ExpressionScores(np.eye(8, dtype=np.float32)[Expression.SURPRISE])


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

    look.size, look.name = 24, "looker"
    report = Pipeline(detect=two_faces, read=look)(noise(60, 100, 3))
    assert [(crops.shape, crops.dtype) for crops in seen] == [((2, 24, 24), np.uint8)]
    assert report.model == "looker"


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
    assert report.model == mien.zoo.DEFAULT
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
    assert report.faces[0].face.landmark_source == "box"


def test_the_default_reader_takes_more_faces_than_one_batch():
    def crowd(image):
        return [Face(np.array([x, 0, x + 48, 48], np.float32), None, 1.0) for x in range(20)]

    pipeline = Pipeline(detect=crowd)
    image = noise(48, 68, 3)
    together = pipeline(image).faces
    alone = [Pipeline(assume_crop=True)(image[:, x : x + 48]).faces[0] for x in (0, 7, 8, 19)]
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
        analyze(ASTRONAUT, treshold=0.5)


def test_analyze_makes_one_pipeline_for_equal_options_in_any_order(monkeypatch):
    made = []

    def make(**options):
        made.append(options)
        return lambda source: source

    monkeypatch.setattr(module, "Pipeline", make)
    module._pipeline.cache_clear()
    try:
        for options in ({"rotations": True, "threads": 2}, {"threads": 2, "rotations": True}, {}, {}):
            analyze(b"", **options)
    finally:
        module._pipeline.cache_clear()  # or later tests would get the fakes
    assert made == [{"rotations": True, "threads": 2}, {}]


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
        mien.analyse  # noqa: B018


def test_a_picture_in_memory_need_not_touch_the_disk():
    buffer = io.BytesIO()
    Image.fromarray(drawn_face(smiling=False)).save(buffer, "PNG")
    assert len(analyze(buffer.getvalue(), assume_crop=True).faces) == 1
