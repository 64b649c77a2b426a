import numpy as np
import pytest

from mien.errors import InputError
from mien.facs.prior import FERPLUS, prior, with_prior
from mien.facs.vocabulary import Expression


def shares(**words: float) -> np.ndarray:
    found = np.zeros(8)
    for word, share in words.items():
        found[Expression[word.upper()]] = share
    return found


def test_the_learned_prior_changes_nothing():
    probabilities = np.array([0.4, 0.3, 0.1, 0.1, 0.05, 0.02, 0.02, 0.01])
    assert np.allclose(with_prior(probabilities, prior("ferplus")), probabilities, atol=1e-6)


def test_where_all_words_are_equally_likely_a_rare_word_gains_by_the_ratio_of_the_shares():
    changed = with_prior(shares(neutral=0.9, disgust=0.1), prior("uniform"))
    odds = changed[Expression.DISGUST] / changed[Expression.NEUTRAL]
    learned = FERPLUS[Expression.NEUTRAL] / FERPLUS[Expression.DISGUST]
    assert odds == pytest.approx(0.1 / 0.9 * learned, rel=1e-4)
    assert changed.sum() == pytest.approx(1)


def test_many_faces_are_changed_one_by_one():
    faces = np.random.default_rng(0).dirichlet(np.ones(8), 5)
    many = with_prior(faces, prior("uniform"))
    assert np.allclose(many, [with_prior(face, prior("uniform")) for face in faces])


def test_shares_may_be_given_as_numbers_or_text_and_need_not_sum_to_one():
    assert prior("2,2,0,0,0,0,0,0")[0] == 0.5
    assert np.array_equal(prior([1] * 8), prior("uniform"))


@pytest.mark.parametrize("given", ["flat", "1,2", [1] * 7, [-1] + [1] * 7, [0] * 8, [float("nan")] + [1] * 7])
def test_what_is_no_prior_is_refused_with_what_would_be_one(given):
    with pytest.raises(InputError, match="uniform"):
        prior(given)


def test_an_answer_that_the_prior_excludes_becomes_the_prior():
    wanted = prior([0, 1, 1, 0, 0, 0, 0, 0])
    assert np.allclose(with_prior(shares(neutral=1.0), wanted), wanted)
