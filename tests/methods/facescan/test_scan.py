import json

import numpy as np
import pytest

from mien.errors import InputError
from mien.facs.vocabulary import Attribute
from mien.methods.facescan import FaceScanner
from mien.methods.facescan.scan import around
from mien.providers.base import Completion
from mien.results.face import Face
from mien.results.scan import AnswerStatus
from tests.helpers import noise
from tests.methods.facescan.stub import Scripted, found

IMAGE = noise(100, 200, 3)
FEAR = '{"expression": "fear", "confidence": 0.8, "observations": "eyes wide"}'
E = Attribute.EXPRESSION


def person(left=None, label="fear"):
    box = None if left is None else [left / 200, 0.3, (left + 40) / 200, 0.7]
    return {"index": 0, "box": box, "expression": label, "confidence": 0.5, "observations": None}


def people(*given):
    return json.dumps({"people": list(given)})


def values(report):
    return [face.attributes.answers[E].value for face in report.faces]


def statuses(report):
    return [face.attributes.answers[E].status.value for face in report.faces]


def test_each_face_is_asked_about_with_a_picture_of_its_own():
    provider = Scripted(FEAR)
    report = FaceScanner(provider, pipeline=found(20, 120))(IMAGE)
    assert values(report) == ["fear", "fear"]
    pictures = [images[0].pixels for _, images, _, _ in provider.asked]
    assert [picture.shape for picture in pictures] == [(72, 72, 3)] * 2
    assert np.array_equal(pictures[1], IMAGE[14:86, 104:176])


def test_the_answer_is_kept_with_its_conditions():
    attributes = FaceScanner(Scripted(FEAR), seed=5, pipeline=found(20, 120))(IMAGE).faces[1].attributes
    assert (attributes.model, attributes.prompt, attributes.seed) == ("scripted:m", "face-1", 6)
    assert (attributes.raw, attributes.rationale, attributes.problem) == ((FEAR,), "eyes wide", None)
    assert attributes.latency_ms >= 0
    assert attributes.answers[E].confidence == 0.8


def test_labels_are_offered_in_another_order_for_every_face_and_the_same_with_the_same_seed():
    def orders(seed):
        provider = Scripted(FEAR)
        FaceScanner(provider, seed=seed, pipeline=found(20, 80, 140))(IMAGE)
        return [tuple(schema["properties"]["expression"]["enum"]) for _, _, schema, _ in provider.asked]

    assert orders(0) == orders(0)
    assert len({*orders(0), *orders(10)}) == 6


def test_only_expression_is_asked_unless_more_is_named():
    provider = Scripted(FEAR)
    (face,) = FaceScanner(provider, pipeline=found(20))(IMAGE).faces
    messages, _, schema, _ = provider.asked[0]
    assert list(face.attributes.answers) == [E]
    assert not {"age", "gender", "race"} & set(schema["properties"])
    assert not any(word in messages[1].text for word in ("gender", "race", "age group"))


def test_an_unusable_answer_is_asked_for_once_more_with_the_labels_and_no_more_than_once():
    provider = Scripted("hungry", FEAR)
    (face,) = FaceScanner(provider, pipeline=found(20))(IMAGE).faces
    assert (face.attributes.answers[E].value, face.attributes.answers[E].status) == ("fear", "repaired")
    assert face.attributes.raw == ("hungry", FEAR)
    roles = [message.role for message in provider.asked[1][0]]
    assert roles == ["system", "user", "assistant", "user"]
    assert "contempt" in provider.asked[1][0][-1].text
    stubborn = Scripted("hungry")
    (face,) = FaceScanner(stubborn, pipeline=found(20))(IMAGE).faces
    assert face.attributes.answers[E].status is AnswerStatus.OUT_OF_VOCABULARY
    assert len(stubborn.asked) == 2


@pytest.mark.parametrize(
    ("completion", "status"),
    [
        (Completion("", refusal="no"), "refused"),
        (Completion("cannot_tell"), "cannot_tell"),
        (Completion(failure=AnswerStatus.TIMEOUT, problem="late"), "timeout"),
    ],
)
def test_a_refusal_a_hidden_face_and_a_failure_are_not_argued_with(completion, status):
    provider = Scripted(completion)
    assert statuses(FaceScanner(provider, pipeline=found(20))(IMAGE)) == [status]
    assert len(provider.asked) == 1


def test_when_asking_again_fails_what_was_answered_first_stays():
    half = '{"expression": "fear", "age": "old"}'
    provider = Scripted(half, Completion(failure=AnswerStatus.TIMEOUT))
    (face,) = FaceScanner(provider, [E, Attribute.AGE], pipeline=found(20))(IMAGE).faces
    assert [a.status.value for a in face.attributes.answers.values()] == ["ok", "out_of_vocabulary"]
    assert face.attributes.status is AnswerStatus.OUT_OF_VOCABULARY


def test_everybody_at_once_goes_to_the_faces_by_their_boxes():
    provider = Scripted(people(person(120, "anger"), person(20, "fear")))
    report = FaceScanner(provider, together=True, pipeline=found(20, 120))(IMAGE)
    assert values(report) == ["fear", "anger"]
    assert len(provider.asked) == 1
    assert provider.asked[0][1][0].pixels is not None
    assert report.unmatched == ()


def test_a_face_that_is_left_out_is_missed_and_a_person_too_many_is_kept_apart():
    answer = people(person(20, "fear"), person(150, "anger"))
    report = FaceScanner(Scripted(answer), together=True, pipeline=found(20, 75))(IMAGE)
    assert values(report) == ["fear", None]
    assert statuses(report) == ["ok", "missed"]
    assert [a.answers[E].value for a in report.unmatched] == ["anger"]


def test_a_wrong_count_without_boxes_leaves_everybody_unmatched():
    report = FaceScanner(Scripted(people(person(), person())), together=True, pipeline=found(20))(IMAGE)
    assert statuses(report) == ["missed"]
    assert len(report.unmatched) == 2


def test_when_the_one_question_fails_every_face_says_how():
    report = FaceScanner(Scripted(Completion("", refusal="no")), together=True, pipeline=found(20, 120))(IMAGE)
    assert statuses(report) == ["refused", "refused"]
    assert report.unmatched == ()


def test_a_target_leaves_only_the_face_that_fits():
    provider = Scripted(people(person(120)))
    report = FaceScanner(provider, pipeline=found(20, 120))(IMAGE, target="the person in the red jacket")
    assert [face.box[0] for face in report.faces] == [120]
    assert "red jacket" in provider.asked[0][0][1].text
    assert (report.target, report.status) == ("the person in the red jacket", "ok")


def test_a_target_that_nobody_fits_is_a_result():
    report = FaceScanner(Scripted(people()), pipeline=found(20))(IMAGE, target="a clown")
    assert (report.faces, report.unmatched, report.status) == ((), (), "no_match")
    assert report.to_dict()["target"] == "a clown"


def test_a_target_whose_face_was_not_found_is_unmatched_and_a_failure_too():
    report = FaceScanner(Scripted(people(person(120))), pipeline=found(20))(IMAGE, target="x")
    assert (report.faces, report.status) == ((), "ok")
    assert report.unmatched[0].answers[E].value == "fear"
    failed = FaceScanner(Scripted(Completion(failure=AnswerStatus.TIMEOUT, problem="late")), pipeline=found(20))
    report = failed(IMAGE, target="x")
    assert (report.status, report.unmatched[0].problem) == ("timeout", "late")


def test_two_people_for_one_target_must_agree():
    same = FaceScanner(Scripted(people(person(20), person(20))), pipeline=found(20))(IMAGE, target="x")
    assert [a.answers[E].value for a in same.unmatched] == []
    assert values(same) == ["fear"]
    other = FaceScanner(Scripted(people(person(20), person(120, "anger"))), pipeline=found(20, 120))(IMAGE, target="x")
    assert other.faces == ()
    assert other.unmatched[0].answers[E].status is AnswerStatus.OUT_OF_VOCABULARY


def test_a_picture_without_faces_is_not_shown_to_anybody():
    provider = Scripted(FEAR)
    assert FaceScanner(provider, pipeline=found())(IMAGE).status == "no_face"
    assert provider.asked == []


def test_a_model_that_ranks_is_asked_one_thing_at_a_time_and_its_scores_add_up():
    class Ranking(Scripted):
        ranks = True

    logs = dict.fromkeys(E.labels, -3.0) | {"fear": 0.0}
    provider = Ranking(Completion("fear", choice_logprobs=logs), Completion("female"))
    (face,) = FaceScanner(provider, [E, Attribute.GENDER], pipeline=found(20))(IMAGE).faces
    first, second = face.attributes.answers.values()
    assert (first.value, first.status, second.value) == ("fear", "ok", "female")
    assert first.scores["fear"] == pytest.approx(1 / (1 + 7 * np.exp(-3)))
    assert sum(first.scores.values()) == pytest.approx(1)
    assert [sorted(choices) for _, _, _, choices in provider.asked] == [sorted(E.labels), ["female", "male"]]
    assert face.attributes.prompt == "choice-1"


@pytest.mark.parametrize(
    "options",
    [{"ask": []}, {"ask": [E, E]}, {"wording": "people-1"}, {"wording": "face-1", "together": True}, {"wording": "x"}],
)
def test_a_question_that_cannot_be_asked_is_refused_at_once(options):
    with pytest.raises(InputError):
        FaceScanner(Scripted(FEAR), pipeline=found(20), **options)


def test_a_face_is_shown_with_margin_as_far_as_the_picture_goes():
    picture = around(IMAGE, Face(np.array([-5, 70, 35, 110], np.float32), None, 1.0))
    assert picture.pixels.shape == (46, 51, 3)
    assert picture.face.box.tolist() == [-5, 16, 35, 56]
    outside = around(IMAGE, Face(np.array([300, 300, 310, 310], np.float32), None, 1.0))
    assert min(outside.pixels.shape) > 0


def test_the_json_form_holds_every_answer_and_how_it_came():
    report = FaceScanner(Scripted(FEAR), pipeline=found(20))(IMAGE).to_dict()
    assert json.loads(json.dumps(report)) == report
    given = report["faces"][0]["attributes"]
    assert given["answers"]["expression"] == {"value": "fear", "status": "ok", "confidence": 0.8, "scores": None}
    assert (given["prompt"], given["raw"], given["status"]) == ("face-1", [FEAR], "ok")
    assert "target" not in report
