import dataclasses
import json

import numpy as np
import pytest

from mien.results import ExpressionScores, Face, FaceReport, ImageReport
from mien.vocabulary import Expression

SCORES = ExpressionScores(np.array([0.1, 0.5, 0.05, 0.1, 0.05, 0.1, 0.1, 0.0], np.float32))
POINTS = np.array([[1, 1], [3, 1], [2, 2], [1, 3], [3, 3]], np.float32)
FACE = Face(np.array([0.123456, 0, 4, 4], np.float32), POINTS, 0.98765432)


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


def test_a_face_says_what_its_crop_was_aligned_on():
    assert FACE.landmark_source == "detector"
    assert Face(FACE.box, None, 1.0).landmark_source == "box"


@pytest.mark.parametrize("record", [FACE, SCORES, FaceReport(FACE, SCORES), ImageReport((4, 4), ())])
def test_results_cannot_be_written_to(record):
    field = dataclasses.fields(record)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(record, field, None)


def test_a_face_report_passes_on_where_the_face_is():
    report = FaceReport(FACE, SCORES)
    assert report.box is FACE.box
    assert report.points is FACE.points


def test_a_report_without_faces_says_so():
    assert ImageReport((3, 4), ()).status == "no_face"
    assert ImageReport((3, 4), (FaceReport(FACE, SCORES),)).status == "ok"


def test_the_json_form_holds_rounded_plain_numbers():
    report = ImageReport((3, 4), (FaceReport(FACE, SCORES),), "reader").to_dict()
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
    face = FaceReport(Face(FACE.box, None, 1.0), SCORES).to_dict()
    assert face["points"] is None
    assert face["landmark_source"] == "box"
