from dataclasses import replace

import pytest

from mien.facs.observation import Hidden, Pose
from mien.facs.vocabulary import Expression
from mien.methods.expllm.engine.check import wrong
from mien.methods.expllm.engine.parse import parse
from mien.methods.expllm.engine.sureness import RIGHT, step, sureness
from mien.methods.expllm.engine.witness import Witness
from mien.methods.expllm.engine.wording import SURE
from tests.methods.expllm.faces import face

SMILING = face({12: 0.6, 25: 0.3}, Expression.HAPPINESS, rated=False)


def kinds(text, observed=SMILING, since=0):
    return [each.kind for each in wrong(text, observed, since)]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("The brows are lowered.", ["absent"]),
        ("There is no smile.", ["present"]),
        ("The lip corners are very slightly pulled up.", ["degree"]),
        ("The left lip corner is markedly lifted.", ["side"]),
        ("Around the brows and the mouth, no clear movement is seen.", ["calm"]),
        ("No clear movement is seen around the mouth.", ["calm"]),
        ("A marked smile is all that moves.", ["calm"]),
        ("The face is still, with the forehead, the eyes and the mouth all at rest.", ["calm"]),
        ("With so little movement, no group of muscles forms a pattern of expression.", ["calm"]),
        ("The head is turned, so one half is seen less well.", ["hidden"]),
        ("The left half of the face is covered or unclear.", ["hidden"]),
        ("Viewers agreed almost without exception.", ["viewers"]),
        ("Only a minority of viewers saw it this way.", ["viewers"]),
        ("A marked smile and parted lips say little by themselves.", ["empty"]),
        ("A marked smile, usual parts of a look, usual parts of a look.", ["empty"]),
        ("A marked smile stands out. There is a strong smile.", ["empty"]),
        ("A marked smile and a moderate parting of the lips; the rest of the face is calm.", []),
        ("No clear movement is seen around the brows and the eyes.", []),
    ],
)
def test_what_is_not_true_of_a_face_is_found_with_its_kind(text, kind):
    assert kinds(text) == kind


def test_what_was_seen_and_voted_may_be_said():
    turned = replace(SMILING, pose=Pose(30, 0, 0), hidden=(Hidden("left", "covered or unclear"),), rated=True)
    text = "The head is turned. The left half of the face is covered or unclear. Most viewers saw it this way."
    assert kinds(text, turned) == []
    assert kinds("The right half of the face is turned away.", turned) == ["hidden"]


def test_only_what_comes_after_a_place_is_found_but_what_lies_before_is_read():
    text = "The brows are lowered. The eyes are widened."
    assert [each.unit for each in wrong(text, SMILING, 20)] == [5]


def test_what_is_wrong_is_named_with_its_place_and_why():
    (found,) = wrong("There is a marked furrow between the brows.", SMILING)
    assert (found.unit, found.why) == (4, "measured as absent")
    assert "There is a marked furrow between the brows."[found.start : found.end] == "furrow between the brows"


def test_the_engine_lends_a_sentence_about_what_was_not_named():
    witness = Witness(SMILING)
    first = witness.instead(0, "")
    assert first
    assert witness.wrong(first) == ()
    more = witness.instead(0, "A marked smile and parted lips stand out.")
    assert {12, 25}.isdisjoint(mention.unit for mention in parse(more))
    assert witness.instead(1, "")
    assert Witness(face({}, Expression.FEAR, rated=False)).instead(0, "")


def test_a_sentence_that_claims_the_same_again_is_forbidden_while_it_is_written():
    witness = Witness(SMILING)
    refused = witness.wrong("The brows are lowered.")
    assert witness.forbids("A smile and a furrow between the brows", refused)
    assert not witness.forbids("The eyes are widened", refused), "that is another unit"


def test_the_engine_ends_a_text_with_what_is_hidden_what_comes_next_and_how_sure_the_model_is():
    shares = {Expression.HAPPINESS: 0.7, Expression.SURPRISE: 0.3}
    hidden = face({12: 0.6, 26: 0.4, 25: 0.4}, Expression.HAPPINESS, shares=shares, rated=False,
                  hidden=(Hidden("left", "turned away"),))  # fmt: skip
    witness = Witness(hidden)
    assert witness.ending(0, "") == "The left half of the face is turned away, so what is said of it is a guess."
    assert witness.ending(0, "The left half of the face is turned away.") == ""
    assert "surprise" in witness.ending(1, "")
    assert witness.ending(1, "An open mouth also fits surprise.") == ""
    assert witness.ending(2, "") == sureness(0.7, "expllm")


def test_each_step_of_sureness_has_how_often_it_is_right_and_surer_is_righter():
    assert [step(p) for p in (0.95, 0.9, 0.8, 0.6, 0.3)] == [0, 0, 1, 2, 3]
    for rights in RIGHT.values():
        assert len(rights) == len(SURE)
        assert list(rights) == sorted(rights, reverse=True)
