import pytest

from mien.methods.expllm.engine.grounding import intensity, supported
from tests.helpers import units


def objections(text, given, asymmetries=None):
    return [claim.against for claim in supported(text, units(given, asymmetries))]


def test_a_movement_that_was_measured_is_supported_and_one_that_was_not_is_not():
    smile, frown = supported("A smile, but the brows are lowered.", units({12: 0.3, 4: 0.04}))
    assert (smile.supported, smile.mention.unit, smile.measured) == (True, 12, pytest.approx(0.3))
    assert (frown.supported, frown.against, frown.band.word) == (False, "measured as absent", "absent")


def test_a_phrase_for_two_action_units_is_two_claims():
    raised = supported("The brows are raised.", units({1: 0.5}))
    assert [(claim.mention.unit, claim.supported) for claim in raised] == [(1, True), (2, False)]
    assert len({(claim.mention.start, claim.mention.end) for claim in raised}) == 1


@pytest.mark.parametrize(
    ("measured", "against"),
    [(0.06, "measured as trace"), (0.15, ""), (0.3, ""), (0.5, ""), (0.8, "measured as extreme")],
)
def test_a_degree_may_be_off_by_one_band(measured, against):
    assert objections("A moderate smile.", {12: measured}) == [against]


@pytest.mark.parametrize("phrase", ["A lift of the upper lip.", "A raised upper lip.", "The upper lip is lifted."])
@pytest.mark.parametrize(
    ("measured", "against"), [(0.04, "measured as absent"), (0.07, "measured as trace"), (0.1, "")]
)
def test_a_movement_named_without_a_degree_is_there_from_slight_on_however_it_is_put(phrase, measured, against):
    assert objections(phrase, {10: measured}) == [against]


def test_a_trace_that_is_called_one_is_there():
    assert objections("A hint of a smile.", {12: 0.07}) == [""]


@pytest.mark.parametrize(("measured", "against"), [(0.0, ""), (0.09, ""), (0.15, "measured as slight")])
def test_what_is_denied_may_be_there_in_traces(measured, against):
    assert objections("No smile.", {12: measured}) == [against]


@pytest.mark.parametrize(
    ("difference", "against"),
    [(0.4, ""), (0.1, "measured alike on both sides"), (-0.4, "measured as stronger on the right")],
)
def test_a_side_must_be_the_stronger_one(difference, against):
    assert objections("The left lip corner is lifted.", {12: 0.4}, {12: difference}) == [against]


def test_one_side_is_either_and_its_denial_is_about_the_difference():
    assert objections("A smirk.", {12: 0.4}, {12: -0.4}) == [""]
    assert objections("There is no smirk.", {12: 0.4}, {12: -0.4}) == ["measured as pronounced"]
    assert objections("There is no smirk.", {12: 0.4}, {12: 0.0}) == [""]


def test_a_side_that_is_not_measured_is_not_objected_to():
    assert objections("The left eyebrow is raised.", {1: 0.3, 2: 0.3}) == ["", ""]


def test_an_intensity_on_one_side_is_that_of_both_and_half_the_difference():
    uneven = units({12: 0.4, 4: 0.3}, {12: 0.2})
    assert [intensity(uneven, 12, side) for side in ("both", "left", "right", "one")] == pytest.approx(
        [0.4, 0.5, 0.3, 0.5]
    )
    assert intensity(uneven, 4, "left") == pytest.approx(0.3)


def test_a_text_that_names_nothing_claims_nothing():
    assert supported("A face.", units({12: 1.0})) == ()
