import dataclasses
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from mien.core.align import align, to_crop_frame
from mien.core.contract import Classifier, Contract
from mien.core.detect import YuNet
from mien.core.images import read_image
from mien.core.pipeline import Pipeline
from mien.core.zoo import load
from mien.datasets import Folder, Sample
from mien.errors import InputError
from mien.evaluation.intervals import wilson_interval
from mien.evaluation.scoring import evaluate, scores
from mien.facs.vocabulary import Expression
from tests.helpers import ASTRONAUT, encoded, noise

META = {"shift": ",".join(["0.1"] * 8), "strength": "0.5", "temperature": "2.0", "accuracy_cost": "0.0"}


class Brightness:
    """A classifier that reads the class from the brightness of the crop: gray 10 is class 1, gray 20 class 2."""

    heads = frozenset()

    def __init__(self, confidence=6.0, meta=META, labels=tuple(Expression)):
        self.confidence = confidence
        self.contract = Contract(labels, 48, 0.5, 0.25, "brightness", meta)

    def logits(self, crops):
        seen = (crops[:, 24, 24] // 10).astype(int)
        return (self.confidence * np.eye(8)[seen]).astype(np.float32)


def sample(shade, votes=None, expression=None, duplicate=False):
    counts = None if votes is None else np.array(votes, np.uint8)
    return Sample(np.full((48, 48, 3), 10 * shade, np.uint8), expression, counts, duplicate=duplicate)


def clear(label):
    return (np.eye(10)[label] * 10).tolist()


def test_accuracy_recall_and_counts_are_those_counted_by_hand():
    data = [sample(1, clear(1)), sample(1, clear(1)), sample(2, clear(1)), sample(2, clear(2))]
    result = evaluate(Brightness(), data, resamples=200)
    assert result["n"] == 4
    assert result["accuracy"]["value"] == pytest.approx(0.75)
    low, high = wilson_interval(2, 3)
    assert result["per_class"]["happiness"] == {"recall": pytest.approx(2 / 3), "low": low, "high": high, "n": 3}
    assert result["per_class"]["anger"]["recall"] is None
    assert result["confusion"][1][2] == 1
    assert result["accuracy"]["low"] <= 0.75 <= result["accuracy"]["high"]


def test_the_answer_to_each_face_is_kept_without_duplicates():
    data = [sample(1, clear(1)), sample(2, clear(1)), sample(3, clear(3), duplicate=True), sample(2, clear(2))]
    kept = evaluate(Brightness(), data, resamples=50)["answers"]
    assert (kept["labels"], kept["answers"]) == ("112", "122")


def test_each_group_has_a_score_of_its_own_and_faces_without_one_count_in_none():
    groups = ("a", "a", "b", None)
    shades = (1, 2, 2, 2)
    data = [
        dataclasses.replace(sample(shade, clear(1)), group=group) for shade, group in zip(shades, groups, strict=True)
    ]
    result = evaluate(Brightness(), data, resamples=50)
    found = {group: (scores["n"], scores["accuracy"]["value"]) for group, scores in result["groups"].items()}
    assert found == {"a": (2, 0.5), "b": (1, 0.0)}
    assert "groups" not in evaluate(Brightness(), [sample(1, clear(1))], resamples=50)


def test_rows_are_dropped_for_a_reason_that_is_counted():
    data = [sample(1, clear(1)), sample(1, [5, 5, 0, 0, 0, 0, 0, 0, 0, 0]), sample(1, clear(9))]
    result = evaluate(Brightness(), data, resamples=50)
    assert result["n"] == 1
    assert result["dropped"] == {"no majority": 1, "not a face": 1, "duplicate of another split": 0}


def test_duplicates_of_another_split_count_only_in_the_second_score():
    data = [sample(1, clear(1))] * 3 + [sample(2, clear(1), duplicate=True)]
    result = evaluate(Brightness(), data, resamples=50, cross_fit=2)
    assert (result["n"], result["accuracy"]["value"]) == (3, 1.0)
    assert (result["with_duplicates"]["n"], result["with_duplicates"]["accuracy"]["value"]) == (4, 0.75)
    assert result["dropped"]["duplicate of another split"] == 1


def test_refitting_leaves_the_score_with_duplicates_alone():
    data = [sample(i % 3, clear(i % 3)) for i in range(12)] + [sample(1, clear(2))] * 3
    plain = evaluate(Brightness(), data, resamples=50)
    refitted = evaluate(Brightness(), data, resamples=50, cross_fit=4)
    assert refitted["with_duplicates"] == plain["with_duplicates"]
    assert refitted["cross_fit"]["splits"] == 4
    assert refitted["cross_fit"]["n"] == 15


def test_a_refit_needs_a_model_that_states_its_calibration():
    with pytest.raises(InputError, match="shift"):
        evaluate(Brightness(meta={}), [sample(1, clear(1))] * 4, cross_fit=1)


def test_classes_that_the_data_lack_are_masked_and_the_result_says_so():
    # Shade 7 makes the classifier say contempt, which this data set cannot hold.
    class WithoutContempt(list):
        expressions = tuple(e for e in Expression if e != Expression.CONTEMPT)

    data = WithoutContempt([sample(7, expression=Expression.NEUTRAL), sample(1, expression=Expression.HAPPINESS)])
    result = evaluate(Brightness(), data, resamples=50)
    assert result["masked"] == ["contempt"]
    assert result["accuracy"]["value"] == 1.0
    assert result["protocol"] == "single label"


def test_a_class_that_the_model_lacks_is_named_and_its_samples_count_as_missed():
    class Seven(Brightness):
        def logits(self, crops):
            logits = super().logits(crops)
            logits[:, Expression.CONTEMPT] = -np.inf
            return logits

    labels = tuple(e for e in Expression if e != Expression.CONTEMPT)
    result = evaluate(Seven(labels=labels), [sample(7, clear(7)), sample(1, clear(1))], resamples=50)
    assert result["unknown_to_model"] == ["contempt"]
    assert result["per_class"]["contempt"]["recall"] == 0


def test_an_empty_selection_is_refused_with_the_reasons():
    with pytest.raises(InputError, match="not a face"):
        evaluate(Brightness(), [sample(1, clear(9))])


def test_under_multi_target_any_right_class_is_credited():
    # Happiness 4 and surprise 6 votes: both are right, and shade 2 answers surprise, shade 1 happiness, shade 4 anger.
    votes = [0, 4, 6, 0, 0, 0, 0, 0, 0, 0]
    data = [sample(1, votes), sample(2, votes), sample(4, votes)]
    result = evaluate(Brightness(), data, protocol="multi-target", resamples=50)
    assert result["accuracy"]["value"] == pytest.approx(2 / 3)
    assert result["confusion"][Expression.HAPPINESS][Expression.ANGER] == 1  # the first of the right ones
    with pytest.raises(InputError, match="multi-target"):
        evaluate(Brightness(), data, protocol="multi-target", cross_fit=2)


def test_a_picture_that_cannot_be_read_is_dropped_and_counted(tmp_path):
    for name, content in (
        ("happy/good.png", encoded(noise(48, 48))),
        ("happy/bad.png", b"no picture"),
        ("sad/.x.png", b""),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    result = evaluate(Brightness(), Folder(tmp_path), resamples=50)
    assert (result["n"], result["dropped"]["unreadable"]) == (1, 1)


def test_the_error_of_calibration_is_the_mean_over_answers_not_that_of_their_mixture():
    # Half of the answers are too sure, half too unsure; mixed they would seem calibrated.
    labels = np.repeat([0, 1], 500)
    sure, unsure = np.zeros((1000, 8)), np.zeros((1000, 8))
    sure[:, 0], sure[:, 1] = 0.52, 0.48
    unsure[:, 0], unsure[:, 1] = 0.48, 0.47
    apart = [scores(labels, p[None], resamples=50)["ece"] for p in (sure, unsure)]
    assert scores(labels, np.stack([sure, unsure]), resamples=50)["ece"] == pytest.approx(np.mean(apart))


def test_the_interval_of_the_calibration_error_holds_its_value_for_a_calibrated_model():
    rng = np.random.default_rng(0)
    answers = rng.dirichlet(np.full(8, 0.3), 1500)
    labels = (answers.cumsum(axis=1) > rng.random((1500, 1))).argmax(axis=1)
    result = scores(labels, answers[None], resamples=400)
    assert result["ece_interval"]["low"] < result["ece"] < result["ece_interval"]["high"]


def test_a_rare_class_widens_the_interval_of_the_mean_recall():
    labels = np.array([0] * 500 + [1] * 10)
    answers = np.eye(8)[np.zeros(510, int)]
    interval = scores(labels, answers[None], resamples=400)["mean_recall"]
    # Nought of ten may well be a recall of 0.2, which the plain bootstrap would never draw.
    assert interval["high"] > 0.55
    assert interval["low"] == pytest.approx(0.5, abs=0.01)


def test_a_recall_of_nought_has_an_interval_of_some_width():
    labels = np.array([0] * 10 + [1] * 10)
    answers = np.eye(8)[np.zeros(20, int)]
    per_class = scores(labels, answers[None], resamples=100)["per_class"]
    assert per_class["happiness"]["low"] == 0
    assert per_class["happiness"]["high"] == pytest.approx(0.2775, abs=1e-3)


def test_shares_have_wilson_s_interval_at_every_n():
    labels = np.repeat([0, 1], 299)
    result = scores(labels, np.eye(8)[np.zeros(598, int)][None], resamples=50)
    assert result["per_class"]["happiness"] == {"recall": 0, "low": 0, "high": wilson_interval(0, 299)[1], "n": 299}
    assert result["per_class"]["happiness"]["high"] > 0.01
    low, high = wilson_interval(299, 598)
    assert result["accuracy"] == {"value": 0.5, "low": low, "high": high}


def test_several_answers_for_an_image_count_as_their_average():
    labels = np.zeros(4, int)
    right, wrong = np.eye(8)[np.zeros(4, int)], np.eye(8)[np.ones(4, int)]
    result = scores(labels, np.stack([right, right, wrong, wrong]), resamples=50)
    assert result["accuracy"]["value"] == pytest.approx(0.5)
    assert result["n"] == 4
    assert result["per_class"]["neutral"]["n"] == 4


def test_faces_are_found_first_when_asked_and_misses_are_counted():
    looked_at = []

    def nobody(image):
        looked_at.append(SimpleNamespace(shape=image.shape))
        return []

    data = [*[sample(1, clear(1))] * 2, sample(1, clear(1), duplicate=True)]
    result = evaluate(Brightness(), data, detect=nobody, resamples=50)
    assert len(looked_at) == 3
    assert result["no_face_found"] == result["n"] == 2


def test_a_class_of_just_enough_samples_counts_however_many_answers_are_averaged():
    # Averages of three are no exact binary fractions: fifty of them may add up to a little less than fifty.
    labels = np.array([0] * 50 + [1] * 60)
    rng = np.random.default_rng(0)
    for answers in (3, 7, 20):
        result = scores(labels, rng.dirichlet(np.ones(8), (answers, 110)), resamples=50)
        recalls = [result["per_class"][name]["recall"] for name in ("neutral", "happiness")]
        assert result["per_class"]["neutral"]["n"] == 50
        assert result["mean_recall_n50"]["value"] == pytest.approx(np.mean(recalls), abs=1e-6)


class Keeps(Classifier):
    """A classifier that remembers the crops it was asked about."""

    def logits(self, crops):
        self.seen = crops
        return super().logits(crops)


@pytest.mark.parametrize("model", ["reader", "vtff"])
def test_a_detected_face_is_aligned_as_the_pipeline_aligns_it(model):
    image = read_image(ASTRONAUT)
    turn = cv2.getRotationMatrix2D((220, 120), 15, 1)
    image = cv2.warpAffine(image, turn, (512, 512), borderMode=cv2.BORDER_REPLICATE)
    (face,) = Pipeline(model=model)(image).faces
    classify = Keeps(load(model))
    evaluate(classify, [Sample(image, Expression.HAPPINESS)], detect=YuNet(), resamples=10)
    np.testing.assert_array_equal(classify.seen, align(image, [face.crop], 48))
    assert (classify.seen != align(image, [to_crop_frame(face.face)], 48)).mean() > 0.5
