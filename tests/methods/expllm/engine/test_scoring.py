import numpy as np
import pytest

from mien.facs.units import PROTOTYPES
from mien.facs.vocabulary import Expression
from mien.methods.expllm.engine.scoring import TEMPERATURE, probabilities


def test_a_face_at_rest_is_neutral_by_a_score_of_one_and_a_half():
    shares = probabilities({}, {})
    assert shares.sum() == pytest.approx(1)
    assert shares[0] == pytest.approx(np.exp(1.5 / TEMPERATURE) / (np.exp(1.5 / TEMPERATURE) + 7))


def test_the_score_is_marks_plus_half_the_support_minus_half_the_worst_against():
    # By hand: happiness 0.6 + 0.5 * (0.3 + 0 + 0) / 3 - 0.5 * 0.2; neutral 1 - 0.6 + 0.5 * (1 - (0.6 + 0.3 + 0.2) / 3).
    shares = probabilities({12: 0.6, 6: 0.3, 4: 0.2}, {})
    happiness, neutral = 0.6 + 0.05 - 0.1, 0.4 + 0.5 * (1 - 1.1 / 3)
    assert np.log(shares[1] / shares[0]) * TEMPERATURE == pytest.approx(happiness - neutral)


@pytest.mark.parametrize("expression", list(Expression)[1:])
def test_all_marks_of_an_expression_at_once_are_that_expression(expression):
    prototype = PROTOTYPES[expression]
    units = dict.fromkeys((*prototype.core, *prototype.support), 1.0)
    sides = dict.fromkeys(prototype.one_sided, 1.0)
    assert Expression(int(probabilities(units, sides).argmax())) is expression


def test_contempt_does_not_depend_on_which_side():
    left, right = (probabilities({14: 0.4}, {14: difference}) for difference in (0.5, -0.5))
    np.testing.assert_array_equal(left, right)
