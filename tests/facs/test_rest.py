import pytest

from mien.facs.rest import CALM, above, start
from mien.facs.units import PRESENT, band
from mien.facs.vocabulary import ActionUnit
from tests.helpers import units


def test_every_unit_has_what_calm_faces_show():
    assert set(CALM) == set(map(int, ActionUnit))
    assert all(0 <= value < 0.5 for value in CALM.values())


def test_words_start_where_a_unit_leaves_what_calm_faces_show():
    assert start(12) == PRESENT
    assert above(units({43: start(43)}))[43] == pytest.approx(PRESENT)
    assert above(units({43: start(43) - 0.01}))[43] < PRESENT
    assert above(units({12: 0.3}))[12] == pytest.approx(0.3)


def test_degrees_count_from_there_and_the_strongest_stays_the_strongest():
    assert band(0.5).word == "pronounced"
    assert band(above(units({1: 0.5}))[1]).word == "slight"
    assert above(units({1: 1.0, 12: 1.0}))[1] == pytest.approx(1)
    assert above(units({1: 0.0}))[1] == 0


def test_a_one_sided_smile_stays_one_sided():
    assert above(units({12: 0.4}, {12: 0.2})).asymmetry(12) == pytest.approx(0.2)
