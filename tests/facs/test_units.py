import pytest

from mien.facs.units import PROTOTYPES, band
from mien.facs.vocabulary import ActionUnit, Expression


def test_action_units_carry_their_facs_numbers_names_and_columns():
    assert ActionUnit(12).label == "lip corner puller"
    assert (ActionUnit(4).column, ActionUnit(43).column) == ("AU04", "AU43")
    assert [int(u) for u in ActionUnit][:5] == [1, 2, 4, 5, 6]


@pytest.mark.parametrize(
    ("intensity", "word", "grade"),
    [(0, "absent", ""), (0.049, "absent", ""), (0.05, "trace", "A"), (0.1, "slight", "B"), (0.3, "moderate", "C"),
     (0.4, "pronounced", "D"), (0.7, "extreme", "E"), (1, "extreme", "E")],
)  # fmt: skip
def test_an_intensity_has_a_word_and_a_facs_grade(intensity, word, grade):
    assert (band(intensity).word, band(intensity).grade) == (word, grade)


def test_every_expression_has_a_prototype_of_units_that_mien_measures():
    assert list(PROTOTYPES) == list(Expression)
    for prototype in PROTOTYPES.values():
        assert set().union(*prototype) <= {int(unit) for unit in ActionUnit}
        assert not {*prototype.core, *prototype.support} & {*prototype.against}


def test_prototypes_tell_expressions_apart_that_share_units():
    assert PROTOTYPES[Expression.HAPPINESS].core == (12,)
    assert PROTOTYPES[Expression.DISGUST].core == (9, 10)  # AU10, not the AU5 of the published code
    assert PROTOTYPES[Expression.CONTEMPT].one_sided == (14, 12)
