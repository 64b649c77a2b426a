import numpy as np
import pytest

from mien.facs.evidence import evidence, side
from mien.facs.units import ActionUnits
from mien.facs.vocabulary import ActionUnit, Expression

UNITS = list(ActionUnit)


def units(differences: tuple[float, float, float] = (0, 0, 0), **values: float) -> ActionUnits:
    intensities = np.zeros(21)
    for name, value in values.items():
        intensities[UNITS.index(ActionUnit(int(name.removeprefix("AU"))))] = value
    return ActionUnits(intensities, np.array(differences))


def numbers(cues) -> list[int]:
    return [int(cue.unit) for cue in cues]


def test_a_smile_speaks_for_happiness_and_a_lowered_brow_against_it():
    found = evidence(units(AU12=0.8, AU6=0.6, AU4=0.3, AU1=0.9), Expression.HAPPINESS)
    assert numbers(found.supporting) == [12, 6]
    assert numbers(found.against) == [4]
    assert found.missing == ()
    smile = found.supporting[0]
    assert (smile.role, smile.band.word, smile.band.grade, smile.side) == ("core", "extreme", "E", "both")


def test_weights_are_those_of_the_prototypes_score():
    # Fear: three core marks, four supports, the strongest against counts half.
    found = evidence(units(AU5=0.6, AU25=0.8, AU12=0.4), Expression.FEAR)
    weights = {int(cue.unit): cue.weight for cue in (*found.supporting, *found.against)}
    assert weights == pytest.approx({5: 0.2, 25: 0.1, 12: -0.2})
    assert found.missing == (ActionUnit.INNER_BROW_RAISER, ActionUnit.LIP_STRETCHER)


def test_a_trace_speaks_for_nothing():
    found = evidence(units(AU12=0.09, AU4=0.09), Expression.HAPPINESS)
    assert (found.supporting, found.against) == ((), ())
    assert found.missing == (ActionUnit.LIP_CORNER_PULLER,)


def test_contempt_shows_on_one_side():
    one_sided = evidence(units((0.5, 0, 0), AU12=0.3), Expression.CONTEMPT)
    assert [(int(c.unit), c.role, c.side) for c in one_sided.supporting] == [(12, "core", "left")]
    assert one_sided.supporting[0].intensity == 0.5
    even = evidence(units(AU12=0.3), Expression.CONTEMPT)
    assert [(int(c.unit), c.role) for c in even.supporting] == [(12, "support")]


def test_every_action_unit_speaks_against_neutral():
    found = evidence(units(AU12=0.5, AU4=0.2), Expression.NEUTRAL)
    assert found.supporting == ()
    assert numbers(found.against) == [12, 4]


@pytest.mark.parametrize(("difference", "word"), [(0.5, "left"), (-0.5, "right"), (0.1, "both")])
def test_a_side_is_the_subjects_own(difference, word):
    assert side(units((difference, 0, 0)), 12) == word
    assert side(units((difference, 0, 0)), 4) == "both"
