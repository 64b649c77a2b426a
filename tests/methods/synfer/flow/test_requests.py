import numpy as np
import pytest

from mien.errors import InputError
from mien.facs.units import VECTOR
from mien.facs.vocabulary import ActionUnit, Expression
from mien.methods.synfer.flow.requests import (
    NAMES,
    UNITS,
    Wish,
    conditions,
    of_class,
    prototype,
    requests,
    sweep,
    unit,
    units,
)
from tests.methods.synfer import toy

FREE = np.full(VECTOR, np.nan, np.float32)
SURPRISE = (Expression.SURPRISE,)


def given(values: np.ndarray) -> dict[str, float]:
    """What is told, by name."""
    return {name: round(float(v), 3) for name, v in zip(NAMES, values, strict=True) if not np.isnan(v)}


def test_action_units_are_given_by_number_and_all_others_are_left_free():
    assert given(units(["26=0.8", "AU02=0.6", "au4=1"])) == {"AU26": 0.8, "AU02": 0.6, "AU04": 1.0}


def test_one_side_alone_is_half_of_both_and_a_difference():
    assert given(units(["14L=0.6"])) == {"AU14": 0.3, "AU14 left-right": 0.6}
    assert given(units(["12r=0.4", "12L=0.2"])) == {"AU12": 0.3, "AU12 left-right": -0.2}


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("12=1.2", "intensity from 0 to 1"),
        ("smile=1", "such as 12=0.8"),
        ("3=0.5", "no action unit of the model"),
        ("26L=0.5", "the sides of AU26 cannot be set apart; those of AU12, AU14, AU10 are"),
    ],
)
def test_what_is_no_action_unit_is_named(text, wrong):
    with pytest.raises(InputError, match=wrong):
        units([text])


def test_an_action_unit_is_named_with_or_without_its_letters():
    assert unit("AU12") is unit("12") is ActionUnit.LIP_CORNER_PULLER


def test_units_of_a_class_are_those_of_its_faces_jittered_or_its_prototype():
    rng, about = np.random.default_rng(0), toy.about()
    drawn = np.stack([of_class(about, Expression.SURPRISE, rng) for _ in range(400)])
    rest = drawn[:, UNITS.index(ActionUnit.LIP_CORNER_PULLER)]
    near = {value: np.abs(rest - value) < 0.15 for value in (0.2, 0.8)}
    prototypes = rest == 0
    assert prototypes.mean() == pytest.approx(0.2, abs=0.06)
    assert (near[0.2] | near[0.8] | prototypes).all()
    assert np.std(rest[near[0.2]]) == pytest.approx(0.03, abs=0.01)
    assert drawn.min() >= -1
    assert drawn[:, : len(UNITS)].min() >= 0


def test_a_prototype_has_its_marks_in_full_and_what_goes_along_at_half():
    values = given(prototype(Expression.SURPRISE, np.random.default_rng(0)))
    strength = values["AU26"]
    assert 0.5 <= strength <= 1
    assert {name: v for name, v in values.items() if v} == pytest.approx(
        {"AU05": strength, "AU02": strength, "AU26": strength, "AU01": strength / 2, "AU25": strength / 2}, abs=2e-3
    )


def test_the_prototype_of_contempt_is_on_one_side_and_on_either():
    rng = np.random.default_rng(0)
    sides = {np.sign(prototype(Expression.CONTEMPT, rng)[NAMES.index("AU14 left-right")]) for _ in range(20)}
    assert sides == {-1, 1}
    assert not prototype(Expression.NEUTRAL, rng).any()


@pytest.mark.parametrize(("others", "told"), [("free", 1), ("rest", VECTOR), ("class", VECTOR)])
def test_units_that_are_not_given_are_free_at_rest_or_of_the_class(others, told):
    (one,) = requests(Wish(SURPRISE, units(["12=0.5"]), others=others), toy.about(), 1, seed=0)
    assert len(given(one.units)) == told
    assert given(one.units)["AU12"] == 0.5
    if others == "rest":
        assert sum(given(one.units).values()) == 0.5


def test_a_face_is_the_same_however_many_are_asked_for():
    wish = Wish(tuple(Expression), FREE, others="class", written="short")
    few, many = (requests(wish, toy.about(), count, seed=3) for count in (4, 20))
    for one, other in zip(few, many, strict=False):
        assert (one.expression, one.caption, one.identity) == (other.expression, other.caption, other.identity)
        assert np.array_equal(one.units, other.units)
    assert [r.expression for r in many[:9]] == [*Expression, Expression.NEUTRAL]


def test_natural_shares_are_those_of_the_training_faces():
    shown = [r.expression for r in requests(Wish(tuple(Expression), FREE, natural=True), toy.about(), 300, seed=0)]
    assert set(shown) == {Expression.NEUTRAL, Expression.HAPPINESS}
    assert shown.count(Expression.NEUTRAL) / 300 == pytest.approx(0.5, abs=0.1)


def test_a_sweep_has_a_row_for_each_person_and_unit_in_which_that_unit_alone_rises():
    values, swept = (0.0, 0.5, 1.0), (ActionUnit.LIP_CORNER_PULLER, ActionUnit.JAW_DROP)
    rows = sweep(Wish((None,), units(["4=0.3"])), toy.about(), swept, values, count=2, seed=0)
    assert [r.identity for r in rows] == [0] * 6 + [1] * 6
    assert [given(r.units) for r in rows[:3]] == [{"AU04": 0.3, "AU12": value} for value in values]
    assert [given(r.units) for r in rows[9:]] == [{"AU04": 0.3, "AU26": value} for value in values]


def test_requests_become_what_the_generator_is_given():
    free, surprised = (
        requests(Wish(shown, units(["12=0.5"]), caption=text), toy.about(), 1, seed=0)[0]
        for shown, text in (((None,), ""), (SURPRISE, "jaw dropped"))
    )
    told = conditions([free, surprised], toy.WORDS)
    assert told.label.tolist() == [[0] * 8, np.eye(8)[Expression.SURPRISE].tolist()]
    assert told.words[0].sum() == 0
    assert told.words[1, :2].tolist() == [6, 3]
    assert told.known.sum(axis=1).tolist() == [1, 1]
    assert told.units[0, UNITS.index(ActionUnit.LIP_CORNER_PULLER)] == 0.5
    assert not np.isnan(told.units).any()


def test_a_written_caption_has_known_words_only():
    wish = Wish(SURPRISE, FREE, others="class", written="short")
    texts = [r.caption for r in requests(wish, toy.about(), 20, seed=0)]
    assert all(set(text.split()) <= set(toy.WORDS) for text in texts)
    assert any(texts)


def test_what_needs_an_expression_says_so():
    with pytest.raises(InputError, match="need an expression"):
        Wish((None,), FREE, others="class")


def test_an_unknown_word_is_found_before_anything_is_drawn():
    with pytest.raises(InputError, match="'browz'"):
        requests(Wish(SURPRISE, FREE, caption="browz lifted"), toy.about(), 1, seed=0)
