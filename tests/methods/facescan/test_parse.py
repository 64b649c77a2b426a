import json
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mien.facs.vocabulary import Attribute, Expression
from mien.methods.facescan.parse import ParsedPerson, one_person, parse, read_value
from mien.providers.keys import attribute_of, role_of
from mien.providers.words import is_refusal, label_of, only_label
from mien.results.scan import AnswerStatus

ASKED = [Attribute.EXPRESSION]
ALL = list(Attribute)
OK, REPAIRED, OUT = AnswerStatus.OK, AnswerStatus.REPAIRED, AnswerStatus.OUT_OF_VOCABULARY
# Words for an expression as models write them.
WORDS = {
    "neutral": "neutral calm expressionless emotionless",
    "happiness": "happy Happy happiness smiling joyful",
    "surprise": "surprised astonished shocked",
    "sadness": "sad SAD sorrowful unhappy",
    "anger": "angry anger furious",
    "disgust": "disgusted disgust",
    "fear": "afraid fearful scared",
    "contempt": "contemptuous disdain scornful",
}


def answer(text, attribute=Attribute.EXPRESSION):
    """Value and status of the one person in an answer."""
    given = one_person(parse(text, [attribute]), [attribute]).answers[attribute]
    return given.value, given.status


def test_json_as_asked_for_is_ok_and_keeps_confidence_box_and_what_was_seen():
    text = json.dumps(
        {
            "people": [
                {
                    "index": 0,
                    "box": [0.1, 0.2, 0.3, 0.4],
                    "expression": "fear",
                    "confidence": 0.7,
                    "observations": "eyes wide",
                }
            ]
        }
    )
    parsed = parse(text, ASKED)
    (person,) = parsed.people
    assert parsed.status is OK
    assert (person.answers[Attribute.EXPRESSION].value, person.answers[Attribute.EXPRESSION].status) == ("fear", OK)
    assert person.answers[Attribute.EXPRESSION].confidence == 0.7
    assert (person.box, person.rationale) == ((0.1, 0.2, 0.3, 0.4), "eyes wide")


def test_what_a_record_is_wrapped_in_does_not_matter():
    assert answer('{"result": {"person": {"expression": "fear"}}}') == ("fear", OK)


@pytest.mark.parametrize("e", Expression)
def test_a_bare_label_is_ok_and_any_other_form_of_it_is_repaired(e):
    assert answer(e.label) == (e.label, OK)
    for form in (e.label.upper(), f"{e.label.title()}.", f"**{e.label}**", f'"{e.label}"', f"The answer is {e.label}"):
        assert answer(form) == (e.label, REPAIRED)


@pytest.mark.parametrize(("label", "word"), [(label, word) for label, words in WORDS.items() for word in words.split()])
def test_synonyms_are_understood_alone_and_in_a_sentence(label, word):
    assert answer(word)[0] == label
    assert answer(f"The person in the picture looks {word}.") == (label, REPAIRED)
    assert answer(json.dumps({"expression": word}))[0] == label


@pytest.mark.parametrize(
    "text",
    [
        '```json\n{"expression": "happiness"}\n```',
        'Sure! Here it is: {"expression": "happiness"} Anything else?',
        '{"emotion": "happiness"}',
        '{"Facial Expression": "happiness"}',
        '{"label": "happiness"}',
        "{'expression': 'happiness', 'box': None,}",
        "{“expression”: “happiness”}",
        '{"expression": "happiness", "confidence": 0.9,',
        '{"expression": ["happiness"]}',
        '{"happiness": 0.8, "neutral": 0.2}',
        '["happy"]',
        "<think>sad? no, {angry}</think> happiness!",
        "Expression: happiness\nConfidence: high",
        "happy > neutral",
        "primarily happy, slightly surprised",
        "1. happy 2. neutral",
        "happy, followed by neutral",
        "happy with a hint of surprise",
        "happy rather than sad",
        "not sad but happy",
    ],
)
def test_what_leaves_no_doubt_is_repaired(text):
    assert answer(text) == ("happiness", REPAIRED)


@pytest.mark.parametrize(
    "text",
    [
        "happy and surprised",
        "happy or sad",
        '{"expression": "happy, sad"}',
        '{"expression": ["happiness", "fear"]}',
        '{"happiness": 0.5, "neutral": 0.5}',
        "not happy",
        "The face isn’t happy",
        "neither happy nor sad",
        "anything but happy",
        "without anger",
        "no sign of fear or disgust",
        "less sad",
        "hungry",
        '{"expression": 7}',
        '{"expression": true}',
        "{broken",
        "\ud800",
    ],
)
def test_what_names_no_label_or_two_or_denies_it_is_out_of_vocabulary(text):
    assert answer(text) == (None, OUT)


@given(st.sampled_from([(label, word) for label, words in WORDS.items() for word in words.split()]), st.data())
def test_a_denied_word_never_counts(pair, data):
    label, word = pair
    denial = data.draw(
        st.sampled_from(["not {}", "isn't {}", "not at all {}", "never {}", "neither {} nor that", "hardly {}"])
    )
    around = data.draw(st.sampled_from(["{}", "the face is {}", "they look {}, I think", "{}!"]))
    assert answer(around.format(denial.format(word)))[0] != label


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I cannot assist with identifying people.",
        "As an AI, I do not judge faces.",
        "It is not appropriate to classify a person's race. {}",
        "I’m unable to provide that",
    ],
)
def test_a_refusal_is_a_result_of_its_own(text):
    assert is_refusal(text)
    assert answer(text, Attribute.RACE) == (None, AnswerStatus.REFUSED)
    assert answer(json.dumps({"race": text}), Attribute.RACE) == (None, AnswerStatus.REFUSED)


def test_a_refusal_marked_by_the_server_settles_it():
    assert parse('{"expression": "fear"}', ASKED, refusal="no").status is AnswerStatus.REFUSED


def test_words_inside_an_answer_in_form_do_not_make_it_a_refusal():
    text = json.dumps({"expression": "fear", "observations": "I can't identify the hands"})
    assert answer(text) == ("fear", OK)


@pytest.mark.parametrize(
    "text", ["", "  \n", '{"expression": null}', '{"expression": " "}', '{"people": []}', "<think>well"]
)
def test_nothing_said_is_empty(text):
    assert answer(text) == (None, AnswerStatus.EMPTY)


@pytest.mark.parametrize(
    "text", ["cannot_tell", '{"expression": "cannot_tell"}', "Cannot tell", "The face is not visible", "unclear"]
)
def test_what_cannot_be_seen_is_told_apart_from_a_wrong_answer(text):
    assert answer(text) == (None, AnswerStatus.CANNOT_TELL)


def test_a_list_of_nobody_is_an_answer():
    for text in ('{"people": []}', "[]", 'Nobody: {"faces": []}'):
        parsed = parse(text, ASKED)
        assert parsed.people == ()
        assert parsed.status in (OK, REPAIRED)


def test_of_a_list_that_was_cut_off_the_people_before_the_cut_are_kept():
    text = '{"people": [{"index": 0, "expression": "fear"}, {"index": 1, "expression": "anger"}, {"index": 2, "expr'
    parsed = parse(text, ASKED)
    assert [p.answers[Attribute.EXPRESSION].value for p in parsed.people] == ["fear", "anger"]
    assert parsed.status is REPAIRED


def test_several_records_about_one_person_count_when_they_agree():
    same = '{"people": [{"expression": "fear"}, {"expression": "fear"}]}'
    other = '{"people": [{"expression": "fear"}, {"expression": "anger"}]}'
    assert answer(same) == ("fear", REPAIRED)
    assert answer(other) == (None, OUT)


def test_several_attributes_come_from_json_or_from_lines():
    wanted = ["happiness", "20-39", "female", "latino or hispanic"]
    lines = "- **Expression**: Happy\n- Age group: 20–39 years\n- Sex: F\n- Ethnicity: Latina"
    record = '{"facial_expression": "joy", "age-group": 34, "gender": "Woman", "race": "Hispanic/Latino"}'
    for text in (lines, record):
        (person,) = parse(text, ALL).people
        assert [person.answers[a].value for a in ALL] == wanted
        assert {answer.status for answer in person.answers.values()} == {REPAIRED}
    assert parse("a happy woman", ALL).status is OUT


def test_one_attribute_may_fail_while_the_others_are_answered():
    text = '{"expression": "fear", "age": "old enough", "gender": null, "race": "I cannot infer race"}'
    (person,) = parse(text, ALL).people
    assert [a.status for a in person.answers.values()] == [OK, OUT, AnswerStatus.EMPTY, AnswerStatus.REFUSED]


@pytest.mark.parametrize(
    ("text", "group"),
    [
        ("7", "0-9"), ("about 34 years old", "20-39"), ("34.5", "20-39"), ("20–29", "20-39"), ("30s", "20-39"),
        ("between 40 and 50", "40-59"), ("over 60", "60+"), ("More than 60", "60+"), ("70+", "60+"),
        ("65 or older", "60+"), ("under 10", "0-9"), ("a teenager", "10-19"), ("middle-aged", "40-59"), ("119", "60+"),
    ],
)  # fmt: skip
def test_years_and_ranges_go_to_the_group_they_lie_in(text, group):
    assert answer(text, Attribute.AGE) == (group, REPAIRED)


@pytest.mark.parametrize("text", ["35-45", "over 40", "15 or 25", "not 30", "300", "-5", "97 %", "adult", "under 30"])
def test_ages_that_fit_no_group_or_two_are_out_of_vocabulary(text):
    assert answer(text, Attribute.AGE) == (None, OUT)


@pytest.mark.parametrize(
    ("word", "label"),
    [
        ("Caucasian", "white"), ("African American", "black"), ("Latinx", "latino or hispanic"),
        ("Hispanic or Latino", "latino or hispanic"), ("M. Eastern", "middle eastern"), ("East Asian", "east asian"),
        ("Southeast Asian", "southeast asian"), ("South-East Asian", "southeast asian"), ("South Asian", "indian"),
        ("Asian", None), ("American Indian", None),
    ],
)  # fmt: skip
def test_names_of_races_are_told_apart(word, label):
    assert label_of(word, Attribute.RACE) == label
    if "." not in word:  # which ends a sentence
        assert only_label(f"The person appears to be {word}", Attribute.RACE) == label


def test_female_is_not_read_as_male():
    assert label_of("Female", Attribute.GENDER) == "female"
    assert only_label("the woman seems to be about 30", Attribute.GENDER) == "female"
    assert label_of("M", Attribute.GENDER) == "male"


@pytest.mark.parametrize(
    "box", [None, [1, 2, 3], [0.5, 0, 0.1, 1], [10, 20, 30, 40], ["a"] * 4, [0, 0, float("nan"), 1], {"x": 1}]
)
def test_a_box_that_is_no_box_in_shares_is_none(box):
    (person,) = parse(json.dumps({"expression": "fear", "box": box}), ASKED).people
    assert person.box is None
    assert person.answers[Attribute.EXPRESSION].value == "fear"


@pytest.mark.parametrize(
    ("given", "wanted"), [(0.5, 0.5), ("85%", 0.85), ("0.3", 0.3), (85, None), ("high", None), (True, None), (-1, None)]
)
def test_confidence_is_a_share_or_unknown(given, wanted):
    (person,) = parse(json.dumps({"expression": "fear", "confidence": given}), ASKED).people
    assert person.answers[Attribute.EXPRESSION].confidence == wanted


def test_scores_by_label_are_shares_of_their_sum():
    read = read_value({"happy": 3, "sad": 1}, Attribute.EXPRESSION)
    assert (read.value, read.confidence) == ("happiness", 0.75)
    assert sum(read.scores.values()) == pytest.approx(1)
    assert read_value({"happy": 3, "hungry": 1}, Attribute.EXPRESSION).status is OUT


def test_keys_of_all_shapes_name_the_same_attribute():
    assert {attribute_of(key) for key in ("age-group", "Age Group", "ageGroup".lower(), " AGE ")} == {Attribute.AGE}
    assert attribute_of("hat") is None
    assert (role_of("Faces"), role_of("bounding-box"), role_of("hat")) == ("people", "box", None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
    | st.sampled_from(["happy", "not sad", "20-39", "F", "cannot_tell", "white", "I can't help"]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.text(max_size=6) | st.sampled_from(["people", "expression", "age-group", "box", "sex", "answer", "score"]),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip
SPOILED = st.builds(
    lambda value, cut, fence: fence.format(json.dumps(value)[: cut or None]),
    JSON,
    st.integers(0, 60),
    st.sampled_from(["{}", "```json\n{}\n```", "Here: {} ok", "{},"]),
)


@settings(max_examples=300, deadline=None)
@given(
    text=st.none() | st.text() | SPOILED | st.sampled_from(list(Expression.__members__)),
    asked=st.lists(st.sampled_from(ALL), min_size=1, max_size=4, unique=True),
    refusal=st.none() | st.text(max_size=5),
)
@example(text="[" * 30_000, asked=ASKED, refusal=None)
@example(text='{"a":' * 5_000, asked=ASKED, refusal=None)
@example(text='{"expression": ' + "9" * 5_000 + "}", asked=ASKED, refusal=None)
@example(text='{"age": 1e999, "gender": -0.0}', asked=ALL, refusal=None)
@example(text="\ud800\x00\u202e", asked=ALL, refusal=None)
def test_the_parser_never_raises_and_never_leaves_the_labels(text, asked, refusal):
    parsed = parse(text, asked, refusal)
    for person in (*parsed.people, one_person(parsed, asked)):
        assert isinstance(person, ParsedPerson)
        assert list(person.answers) == asked
        for attribute, read in person.answers.items():
            assert read.value is None or read.value in attribute.labels
            assert (read.value is None) == (read.status not in (OK, REPAIRED))
            assert read.confidence is None or 0 <= read.confidence <= 1
            assert read.scores is None or set(read.scores) == set(attribute.labels)
        assert person.box is None or all(0 <= v <= 1 for v in person.box)


@pytest.mark.parametrize(
    "text", ["happy " * 10_000, "can't " * 10_000, "no " * 10_000, "[{" * 10_000, "<think>" * 5_000, '{"a":1}' * 4_000]
)
def test_a_long_answer_is_read_in_no_time(text):
    start = time.perf_counter()
    parse(text, ALL)
    parse(text, ASKED)
    assert time.perf_counter() - start < 2
