import json

import numpy as np
import pytest

from mien.errors import InputError
from mien.evaluation import compare
from mien.evaluation.compare import METRICS, Predictions, answers_of, contrast, kept, read, verdict
from mien.evaluation.intervals import bootstrap


def said(labels, answers, faces="f") -> Predictions:
    return Predictions(faces, np.array(labels), np.array(answers))


def model(right: int, count: int = 400, shift: int = 0) -> Predictions:
    """Right on so many faces of two classes, the first ones after `shift`."""
    labels = np.arange(count) % 2
    hit = np.roll(np.arange(count) < right, shift)
    return said(labels, np.where(hit, labels, 1 - labels))


def test_answers_are_kept_a_digit_a_face_and_read_back():
    labels, answers = np.array([0, 7, 3]), np.array([0, 6, 3])
    back = answers_of({"answers": kept(["a", "b", "c"], labels, answers)})
    assert back.labels.tolist() == [0, 7, 3]
    assert back.answers.tolist() == [0, 6, 3]
    assert back.faces != kept(["a", "b", "d"], labels, answers)["faces"]


def test_a_difference_is_between_the_means_of_the_seeds():
    arms = {"a": [model(300), model(340)], "b": [model(240)]}
    found = contrast(arms, {"a": 1, "b": -1}, resamples=200)
    assert found["value"] == pytest.approx((0.75 + 0.85) / 2 - 0.6)
    assert found["low"] < found["value"] < found["high"]
    assert found["answer"] == "higher"


def test_the_same_answers_differ_by_nothing_whatever_the_faces_drawn():
    arms = {"a": [model(300)], "b": [model(300)]}
    for metric in METRICS:
        found = contrast(arms, {"a": 1, "b": -1}, metric, resamples=100)
        assert found == {"value": 0.0, "low": 0.0, "high": 0.0, "answer": "not separable"}


def test_rare_classes_move_the_mean_over_all_classes_and_not_that_over_the_frequent():
    labels = np.repeat([0, 1, 5], [60, 60, 10])
    arms = {"a": [said(labels, labels)], "b": [said(labels, np.where(labels == 5, 7, labels))]}
    assert contrast(arms, {"a": 1, "b": -1}, "macro_f1", resamples=50)["value"] == pytest.approx(1 / 3)
    assert contrast(arms, {"a": 1, "b": -1}, "macro_f1_n50", resamples=50)["value"] == 0


def test_a_metric_of_no_class_is_null():
    few = {"a": [model(3, 8)], "b": [model(5, 8)]}
    nothing = {"value": None, "low": None, "high": None, "answer": "undecided"}
    assert contrast(few, {"a": 1, "b": -1}, "macro_f1_n50", resamples=50) == nothing


def test_models_that_are_wrong_on_the_same_faces_are_told_apart_by_fewer_faces():
    # Both pairs differ by 20 faces of 400; of the second, each model is right where the other is wrong.
    nested = contrast({"a": [model(320)], "b": [model(300)]}, {"a": 1, "b": -1}, resamples=1000)
    apart = contrast({"a": [model(320)], "b": [model(300, shift=100)]}, {"a": 1, "b": -1}, resamples=1000)
    assert nested["value"] == pytest.approx(apart["value"]) == pytest.approx(0.05)
    assert (nested["answer"], apart["answer"]) == ("higher", "undecided")


def test_weights_of_four_arms_make_an_interaction():
    arms = {name: [model(right)] for name, right in zip("wxyz", (200, 240, 280, 340), strict=True)}
    found = contrast(arms, {"z": 1, "y": -1, "x": -1, "w": 1}, resamples=100)
    assert found["value"] == pytest.approx((340 - 280 - 240 + 200) / 400)


def test_models_on_other_faces_cannot_be_compared():
    arms = {"a": [model(10, 20)], "b": [said(model(10, 20).labels, model(10, 20).answers, faces="others")]}
    with pytest.raises(InputError, match="b are of other faces"):
        contrast(arms, {"a": 1, "b": -1})


@pytest.mark.parametrize(
    ("low", "high", "answer"),
    [(0.001, 0.02, "higher"), (-0.02, -0.001, "lower"), (-0.006, 0.007, "not separable"), (-0.01, 0.02, "undecided")],
)
def test_what_an_interval_says_of_a_difference(low, high, answer):
    assert verdict({"low": low, "high": high}) == answer


def test_a_bootstrap_within_classes_leaves_their_counts():
    labels = np.array([0] * 5 + [1] * 2 + [2])
    drawn = bootstrap(np.eye(3)[labels], 50, 0, strata=labels)
    assert (drawn == [5, 2, 1]).all()
    values = bootstrap(np.arange(8.0)[:, None], 200, 0, strata=labels)
    assert len(np.unique(values)) > 10


def result(answers: Predictions) -> dict:
    sources = [str(i) for i in range(len(answers.labels))]
    return {"data": "d", "protocol": "majority", "n": len(sources)} | {
        "answers": kept(sources, answers.labels, answers.answers)
    }


def test_a_table_has_every_model_and_its_difference_from_the_first():
    models = {"a": [result(model(300))], "b": [result(model(340)), result(model(344))], "c": [result(model(301))]}
    found = compare.compare(models, resamples=200)
    first, second, third = found["models"]
    assert (found["reference"], found["n"], second["runs"]) == ("a", 400, 2)
    assert first["accuracy"]["value"] == pytest.approx(0.75)
    assert "accuracy_difference" not in first
    assert second["accuracy_difference"]["value"] == pytest.approx(0.105)
    assert (second["accuracy_difference"]["answer"], third["accuracy_difference"]["answer"]) == (
        "higher", "not separable",
    )  # fmt: skip


def test_a_file_that_is_no_result_or_keeps_no_answers_is_refused(tmp_path):
    path = tmp_path / "r.json"
    with pytest.raises(InputError, match="no result can be read"):
        read(path)
    path.write_text(json.dumps({"accuracy": 1}))
    with pytest.raises(InputError, match="write it anew"):
        read(path)
