import dataclasses
import json
from typing import get_args

import numpy as np
import pytest

from mien.errors import InputError
from mien.facs.observation import Hidden, Pose
from mien.facs.units import BANDS, ActionUnits
from mien.facs.vocabulary import ActionUnit, Attribute, Expression
from mien.results.explanation import Degree, Explanation, Part, Phrase
from mien.results.expression import ExpressionLabel, ExpressionScores
from mien.results.face import Face, FaceReport, ImageReport, Reading
from mien.results.scan import Answer, AnswerStatus, Attributes

SCORES = ExpressionScores(np.array([0.1, 0.5, 0.05, 0.1, 0.05, 0.1, 0.1, 0.0], np.float32))
POINTS = np.array([[1, 1], [3, 1], [2, 2], [1, 3], [3, 3]], np.float32)
CROP = np.array([[0.25, 0, 0], [0, 0.25, 0]])
UNITS = ActionUnits(np.linspace(0, 1, 21, dtype=np.float32), np.array([0.5, -0.25, 0], np.float32))
FACE = Face(np.array([0.123456, 0, 4, 4], np.float32), POINTS, 0.98765432)
REPORT = FaceReport(FACE, SCORES, CROP, "detector")


def test_the_top_expression_is_the_most_probable_one():
    assert SCORES.top is Expression.HAPPINESS
    assert SCORES.confidence == pytest.approx(0.5)


def test_ranked_lists_all_eight_and_keeps_equal_ones_in_expression_order():
    assert SCORES.ranked == (
        Expression.HAPPINESS, Expression.NEUTRAL, Expression.SADNESS, Expression.DISGUST, Expression.FEAR,
        Expression.SURPRISE, Expression.ANGER, Expression.CONTEMPT,
    )  # fmt: skip


def test_scores_are_indexed_by_expression():
    assert SCORES[Expression.FEAR] == pytest.approx(0.1)
    assert SCORES[Expression.CONTEMPT] == 0


def test_scores_are_indexed_by_label_and_a_wrong_one_is_answered_with_those_there_are():
    assert SCORES["fear"] == SCORES[Expression.FEAR]
    for wrong in ("hapiness", 9):
        with pytest.raises(KeyError, match="neutral, happiness, surprise"):
            SCORES[wrong]
    assert set(get_args(ExpressionLabel)) == {expression.label for expression in Expression}


def test_lists_are_as_good_as_arrays():
    face = Face(box=[0, 0, 4, 4], points=POINTS.tolist(), score=1)
    assert face.box.dtype == face.points.dtype == np.float32
    assert ExpressionScores([1, 0, 0, 0, 0, 0, 0, 0]).top is Expression.NEUTRAL
    assert Reading(SCORES, attention=[[0, 1]]).attention.shape == (1, 2)


def test_the_degrees_of_a_text_are_the_bands_of_intensity():
    assert get_args(Degree) == tuple(band.word for band in BANDS)


@pytest.mark.parametrize("record", [FACE, SCORES, REPORT, ImageReport((4, 4), ()), UNITS, Reading(SCORES)])
def test_results_cannot_be_written_to(record):
    field = dataclasses.fields(record)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(record, field, None)


def test_a_face_report_passes_on_where_the_face_is():
    assert REPORT.box is FACE.box
    assert REPORT.points is FACE.points


def test_a_report_without_faces_says_so():
    assert ImageReport((3, 4), ()).status == "no_face"
    assert ImageReport((3, 4), (REPORT,)).status == "ok"


def test_the_json_form_holds_rounded_plain_numbers():
    report = ImageReport((3, 4), (REPORT,), "reader").to_dict()
    assert json.loads(json.dumps(report)) == report
    assert (report["width"], report["height"], report["model"], report["status"]) == (4, 3, "reader", "ok")
    (face,) = report["faces"]
    assert face["box"] == [0.12, 0, 4, 4]
    assert face["score"] == 0.9877
    assert face["points"] == POINTS.tolist()
    assert face["expression"]["top"] == "happiness"
    assert face["expression"]["probabilities"]["neutral"] == 0.1
    assert list(face["expression"]["probabilities"]) == [e.label for e in Expression]


def test_missing_points_are_null_in_the_json_form_never_zero():
    face = FaceReport(Face(FACE.box, None, 1.0), SCORES, CROP, "box").to_dict()
    assert face["landmark_source"] == "box"
    missing = ("points", "action_units", "asymmetries", "landmarks", "pose", "attention", "explanation")
    assert [face[name] for name in missing] == [None] * len(missing)
    assert face["hidden"] == []


def test_the_json_form_of_a_face_that_was_read_in_full():
    full = dataclasses.replace(
        REPORT, landmark_source="reader", action_units=UNITS, landmarks=np.full((68, 2), 1.234, np.float32),
        pose=Pose(1.26, -2, 170.04), attention=np.eye(3, dtype=np.float32),
        hidden=(Hidden("left", "covered or unclear"),),
    ).to_dict()  # fmt: skip
    assert json.loads(json.dumps(full)) == full
    assert list(full["action_units"]) == [unit.column for unit in ActionUnit]
    assert (full["action_units"]["AU01"], full["action_units"]["AU43"]) == (0, 1)
    assert full["asymmetries"] == {"AU12": 0.5, "AU14": -0.25, "AU10": 0}
    assert full["landmarks"] == [[1.23, 1.23]] * 68
    assert full["pose"] == {"yaw": 1.3, "pitch": -2, "roll": 170}
    assert full["attention"] == np.eye(3).tolist()
    assert full["hidden"] == [{"side": "left", "reason": "covered or unclear"}]
    assert full["landmark_source"] == "reader"


def test_action_units_are_looked_up_by_facs_number():
    assert UNITS[1] == 0
    assert UNITS[ActionUnit.EYES_CLOSED] == UNITS[43] == 1
    assert list(UNITS) == [int(unit) for unit in ActionUnit]
    assert len(UNITS) == 21
    assert UNITS.get(3) is None
    with pytest.raises(KeyError, match="AU3 is not among those measured: 1, 2, 4"):
        UNITS[3]


def test_only_three_action_units_have_a_measured_asymmetry():
    assert [n for n in UNITS if UNITS.asymmetry(n) is not None] == [10, 12, 14]
    assert (UNITS.asymmetry(12), UNITS.asymmetry(14)) == (0.5, -0.25)


def test_a_reading_of_another_shape_is_refused():
    with pytest.raises(InputError, match="intensities of shape"):
        ActionUnits(np.zeros(20), np.zeros(3))
    with pytest.raises(InputError, match="landmarks of shape"):
        Reading(SCORES, landmarks=np.full((68, 2), np.nan))


AGE = Answer("20-39", AnswerStatus.OK, 1 / 3)
ASKED = Attributes({Attribute.AGE: AGE, Attribute.RACE: Answer(None, AnswerStatus.REFUSED)}, "openai:m", "face-1", 3)


def test_the_status_of_several_answers_is_the_worst_of_them():
    assert AGE.status == "ok"
    assert ASKED.status is AnswerStatus.REFUSED
    assert Attributes({}, "m", "face-1", 0).status is AnswerStatus.EMPTY


def test_the_json_form_of_what_was_asked_names_each_attribute():
    asked = dataclasses.replace(REPORT, attributes=ASKED).to_dict()["attributes"]
    assert json.loads(json.dumps(asked)) == asked
    assert asked["answers"]["age"] == {"value": "20-39", "status": "ok", "confidence": 0.3333, "scores": None}
    assert asked["answers"]["race"]["value"] is None
    assert REPORT.to_dict()["attributes"] is None


def test_a_picture_whose_scan_found_nobody_says_which_way():
    repaired = Attributes({Attribute.AGE: Answer("20-39", AnswerStatus.REPAIRED)}, "m", "target-1", 0)
    late = Attributes({Attribute.AGE: Answer(None, AnswerStatus.TIMEOUT)}, "m", "target-1", 0)
    assert ImageReport((3, 4), (), target="x").status == "no_match"
    assert ImageReport((3, 4), (), target="x", unmatched=(repaired,)).status == "ok"
    assert ImageReport((3, 4), (), unmatched=(late,)).status == "timeout"
    assert ImageReport((3, 4), (), unmatched=(late,)).to_dict()["unmatched"][0]["status"] == "timeout"
    assert "unmatched" not in ImageReport((3, 4), ()).to_dict()


def test_the_json_form_of_an_explanation_has_its_parts_with_every_claim_and_what_was_measured():
    smile = Phrase(2, 7, ActionUnit.LIP_CORNER_PULLER, "left", "slight", True, 0.12345, "")
    nose = Phrase(10, 14, ActionUnit.NOSE_WRINKLER, "both", None, False, 0.5, "measured as pronounced")
    said = Explanation(
        (Part("Key observations", "A smile, no nose.", (smile, nose)), Part("Conclusion", "It is happiness.")),
        SCORES, Expression.SURPRISE, "label-first", "expllm",
    )  # fmt: skip
    face = dataclasses.replace(REPORT, explanation=said).to_dict()["explanation"]
    assert json.loads(json.dumps(face)) == face
    assert (face["expression"], face["concluded"], face["consistent"]) == ("happiness", "surprise", False)
    assert face["parts"][0]["phrases"] == [
        {"start": 2, "end": 7, "unit": "AU12", "side": "left", "band": "slight", "present": True, "measured": 0.123,
         "against": "", "supported": True},
        {"start": 10, "end": 14, "unit": "AU09", "side": "both", "band": None, "present": False, "measured": 0.5,
         "against": "measured as pronounced", "supported": False},
    ]  # fmt: skip
    assert said.text == "Key observations: A smile, no nose.\n\nConclusion: It is happiness."
