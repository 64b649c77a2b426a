import numpy as np
import pytest

from mien.core.align import to_crop_frame
from mien.facs.evidence import evidence, heat_map, side
from mien.facs.vocabulary import ActionUnit, Expression
from mien.results.expression import ExpressionScores
from mien.results.face import ActionUnits, Face, FaceReport

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


def report(attention: np.ndarray | None, box: tuple[int, int, int, int] = (40, 20, 88, 68)) -> FaceReport:
    face = Face(np.array(box, np.float32), None, 1.0)
    return FaceReport(face, ExpressionScores(np.eye(8)[0]), to_crop_frame(face), "box", attention=attention)


def test_the_heat_map_lies_over_the_crop_and_nowhere_else():
    attention = np.zeros((12, 12), np.float32)
    attention[2, 9] = 7
    heat = heat_map(report(attention), (100, 120))
    assert (heat.shape, heat.dtype) == ((100, 120), np.float32)
    y, x = np.unravel_index(heat.argmax(), heat.shape)
    # The middle of that cell of a 48 pixel crop: four pixels a cell.
    assert (x, y) == pytest.approx((40 + 9.5 * 4, 20 + 2.5 * 4), abs=1)
    assert 0.7 < heat.max() <= 1  # no pixel lies on the cell's very middle
    outside = np.ones_like(heat, bool)
    outside[20:68, 40:88] = False
    assert not heat[outside].any()


def test_an_even_attention_has_no_heat_and_no_attention_no_map():
    assert not heat_map(report(np.full((12, 12), 0.3, np.float32)), (100, 120)).any()
    assert heat_map(report(None), (100, 120)) is None


def test_a_face_at_the_border_keeps_what_lies_in_the_picture():
    heat = heat_map(report(np.eye(12, dtype=np.float32), (-20, -20, 28, 28)), (50, 50))
    assert heat.shape == (50, 50)
    assert 0.7 < heat[:28, :28].max() <= 1
