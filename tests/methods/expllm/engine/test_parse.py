import re
import subprocess
import sys
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.facs.units import BANDS
from mien.facs.vocabulary import ActionUnit
from mien.methods.expllm.engine.parse import parse
from tests.methods.expllm.sentences import FIRST, SECOND, THIRD

WORDS = [
    "no",
    "not",
    "the",
    "left",
    "brows",
    "lips",
    "raised",
    "and",
    "smile",
    "slightly",
    "together",
    "if",
    ",",
    ".",
    "İ",
]
SIDES = {"": "both", "L": "left", "R": "right", "O": "one"}


def noted(text):
    """The mentions of a line in sentences.py: action unit, present or denied, side, degree."""
    for word in text.split():
        minus, side, unit, degree = re.fullmatch(r"(-?)([LRO]?)(\d+)(?::(\w+))?", word).groups()
        yield int(unit), not minus, SIDES[side], degree


def found(text):
    return [(int(m.unit), m.present, m.side, m.band.word if m.band else None) for m in parse(text)]


def brief(text):
    return [(unit if present else -unit) for unit, present, _, _ in found(text)]


@pytest.mark.parametrize(
    ("sentences", "precision", "recall"), [(FIRST, 0.97, 0.97), (SECOND, 0.9, 0.9), (THIRD, 0.9, 0.85)]
)
def test_most_that_people_write_of_a_face_is_found_and_little_else(sentences, precision, recall):
    right, named, said = 0, 0, 0
    for text, mentions in sentences:
        truth, answer = ({(unit, present) for unit, present, _, _ in m} for m in (noted(mentions), found(text)))
        right, named, said = right + len(truth & answer), named + len(answer), said + len(truth)
    assert right / named >= precision
    assert right / said >= recall


def test_of_what_is_found_side_and_degree_are_right_too():
    sides, degrees, total = 0, 0, 0
    for text, mentions in (*FIRST, *SECOND, *THIRD):
        answer = {(unit, present): rest for unit, present, *rest in found(text)}
        for unit, present, side, degree in noted(mentions):
            if (unit, present) in answer:
                sides += answer[unit, present][0] == side
                degrees += answer[unit, present][1] == degree
                total += 1
    assert sides / total >= 0.95
    assert degrees / total >= 0.93


@pytest.mark.parametrize("unit", ActionUnit)
def test_the_name_and_the_number_of_an_action_unit_name_it(unit):
    assert brief(f"There is AU{unit} here.") == [unit]
    assert int(unit) in [abs(u) for u in brief(f"The {unit.label} is active.")]


@pytest.mark.parametrize(
    ("text", "mentions"),
    [
        ("The brows and the upper lids are raised.", [1, 2, 5]),
        ("Raised brows and lips parted.", [1, 2, 25]),
        ("The brows are raised and drawn together.", [1, 2, 4]),
        ("A slight pucker and a strong funneling of the lips.", [18, 22]),
        ("Eyes and a wrinkled nose.", [9]),
        ("A hand raised beside the brows.", []),
    ],
)
def test_what_moves_is_told_from_what_stands_beside_it(text, mentions):
    assert brief(text) == mentions


@pytest.mark.parametrize(
    ("text", "mentions"),
    [
        ("No smile, and the brows are lowered.", [-12, 4]),
        ("No smile, frown or sneer.", [-12, -4, -10]),
        ("The lips are not pressed but parted.", [-24, 25]),
        ("Not only a smile but raised cheeks.", [12, 6]),
        ("The mouth is closed.", [-25, -26]),
        ("The mouth is never closed.", [25, 26]),
        ("Without widened eyes, fear is less likely.", [-5]),
        ("The smile has faded.", [-12]),
        ("Rather than a frown, there is a smile.", [-4, 12]),
        ("If he smiled, it would look kinder.", []),
        ("The lips move as if to smile.", []),
    ],
)
def test_a_denial_reaches_as_far_as_it_is_meant(text, mentions):
    assert brief(text) == mentions


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("The brows are barely raised.", "trace"),
        ("A very slight lift of the brows.", "trace"),
        ("The brows are raised a little.", "slight"),
        ("Moderately raised brows.", "moderate"),
        ("The brows are strongly raised.", "pronounced"),
        ("The brows are very strongly raised.", "extreme"),
        ("Raised brows.", None),
    ],
)
def test_a_degree_is_one_of_the_bands(text, word):
    assert {degree for _, _, _, degree in found(text)} == {word}


def test_a_degree_belongs_to_its_own_movement():
    text = "The brows are slightly raised, the lips parted and the chin strongly pushed up."
    assert {unit: degree for unit, _, _, degree in found(text)} == {
        1: "slight", 2: "slight", 25: None, 17: "pronounced",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "side"),
    [
        ("The left lip corner is lifted.", "left"),
        ("The upper lip is raised on the right.", "right"),
        ("One corner of the mouth is pulled up.", "one"),
        ("A smirk.", "one"),
        ("The lip corners are lifted.", "both"),
        ("Turned to the left, the brows are raised.", "both"),
    ],
)
def test_a_side_is_named_or_both(text, side):
    assert {where for _, _, where, _ in found(text)} == {side}


def test_a_mention_knows_its_place_in_the_text():
    text = "Nothing else.\n\nHere the İnner brows are drawn up; a smile."
    assert [text[m.start : m.end] for m in parse(text)] == ["brows are drawn up"] * 2 + ["smile"]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(WORDS)))
def test_no_order_of_words_breaks_the_parser_and_phrases_do_not_overlap(words):
    text = " ".join(words)
    spans = sorted({(m.start, m.end) for m in parse(text)})
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    assert {m.band for m in parse(text)} <= {None, *BANDS[1:]}


def test_a_long_text_takes_no_longer_for_its_length():
    assert len(parse("The brows are visibly, slowly, oddly and very " + "slightly " * 3000 + "raised.")) == 2
    # Words that fit two of the links: going back over them would double the time with each.
    assert parse("the brows " + "fly nearly " * 3000 + "qq raised") == ()


def test_texts_are_read_and_written_without_torch():
    code = (
        "import sys; sys.modules['torch'] = None; import mien.methods.expllm, mien.methods.expllm.engine.rules,"
        "mien.methods.expllm.engine.llm, mien.methods.expllm.engine.records, mien.cli.read.cot; print('fine')"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "fine"
