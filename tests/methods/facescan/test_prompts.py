import json

import pytest

from mien.errors import InputError
from mien.facs.vocabulary import Attribute
from mien.methods.facescan.parse import parse
from mien.methods.facescan.prompts import PROMPTS, again_text, prompt, schema, shuffled, user_text
from mien.providers.words import CANNOT_TELL
from mien.results.scan import AnswerStatus

ALL = shuffled(list(Attribute), seed=0)
EXPRESSION = shuffled([Attribute.EXPRESSION], seed=0)


def labels_for(wording):
    return EXPRESSION if wording.about == "choice" else ALL


@pytest.mark.parametrize("wording", PROMPTS.values(), ids=list(PROMPTS))
def test_every_wording_is_filled_in_completely_and_lists_every_label_unless_it_is_for_a_tuned_model(wording):
    text = user_text(wording, labels_for(wording), target="the person in the red jacket")
    assert "{asked}" not in text
    assert "{form}" not in text
    assert ("red jacket" in text) == (wording.about == "target")
    if wording.id != "tuned-1":
        assert all(label in text for words in labels_for(wording).values() for label in words)


def test_three_wordings_ask_about_a_face_in_words_of_their_own():
    texts = {user_text(PROMPTS[f"face-{i}"], EXPRESSION) for i in (1, 2, 3)}
    assert len(texts) == 3
    assert all("facial expression" in text for text in texts)


def test_a_seed_fixes_the_order_of_labels_and_another_changes_it():
    asked = list(Attribute)
    assert shuffled(asked, 7) == shuffled(asked, 7)
    orders = {tuple(shuffled(asked, seed)[Attribute.EXPRESSION]) for seed in range(20)}
    assert len(orders) > 15
    assert all(sorted(order) == sorted(Attribute.EXPRESSION.labels) for order in orders)


def test_every_label_comes_first_about_equally_often():
    first = [shuffled([Attribute.EXPRESSION], seed)[Attribute.EXPRESSION][0] for seed in range(800)]
    assert all(60 < first.count(label) < 140 for label in Attribute.EXPRESSION.labels)


@pytest.mark.parametrize("name", ["face-1", "reasoned-1", "people-1", "target-1"])
def test_a_schema_is_strict_all_the_way_down(name):
    def check(node):
        if node.get("type") == "object":
            assert node["additionalProperties"] is False
            assert node["required"] == list(node["properties"])
            for inner in node["properties"].values():
                check(inner)
        if "items" in node:
            check(node["items"])

    made = schema(PROMPTS[name], ALL)
    check(made)
    assert json.loads(json.dumps(made)) == made


def test_a_schema_offers_the_labels_and_a_way_out_and_only_what_was_asked():
    properties = schema(PROMPTS["face-1"], EXPRESSION)["properties"]
    assert properties["expression"]["enum"] == [*EXPRESSION[Attribute.EXPRESSION], CANNOT_TELL]
    assert list(properties) == ["expression", "confidence", "observations"]
    person = schema(PROMPTS["people-1"], ALL)["properties"]["people"]["items"]["properties"]
    assert list(person) == ["index", "box", *Attribute, "confidence", "observations"]


def test_a_reasoned_answer_is_written_before_the_label():
    assert list(schema(PROMPTS["reasoned-1"], EXPRESSION)["properties"])[:3] == [
        "observations",
        "interpretation",
        "expression",
    ]
    text = '{"observations": "Brows drawn together.", "interpretation": "Tension.", "expression": "anger"}'
    (person,) = parse(text, [Attribute.EXPRESSION]).people
    assert person.rationale == "Brows drawn together. Tension."
    assert person.answers[Attribute.EXPRESSION].status is AnswerStatus.OK


def test_the_question_that_follows_shows_the_labels():
    assert all(label in again_text(EXPRESSION) for label in Attribute.EXPRESSION.labels)


def test_a_wording_that_does_not_suit_is_refused_with_those_that_do():
    with pytest.raises(InputError, match="face-1, face-2, face-3, reasoned-1"):
        prompt("people-1", ["face"])
