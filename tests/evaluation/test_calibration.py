import numpy as np
import pytest

from mien.core.contract import softmax
from mien.evaluation.calibration import Calibration, fit, fit_shares, fit_temperature, halves

RNG = np.random.default_rng(0)


def drawn_by(probabilities):
    """A label for each row, drawn from it."""
    return (probabilities.cumsum(axis=1) > RNG.random((len(probabilities), 1))).argmax(axis=1)


def test_a_model_that_is_twice_too_sure_gets_temperature_two():
    logits = RNG.normal(size=(20_000, 8)) * 2
    assert fit_temperature(2 * logits, drawn_by(softmax(logits))) == pytest.approx(2, rel=0.05)


def test_a_prior_that_was_distorted_in_training_is_restored_when_accuracy_is_all_that_counts():
    natural = np.array([0.4, 0.3, 0.1, 0.1, 0.05, 0.02, 0.02, 0.01])
    drawn = np.full(8, 1 / 8)
    labels = RNG.choice(8, 20_000, p=natural)
    # Weak evidence, so that the prior matters; as a model trained on balanced classes would answer.
    logits = RNG.normal(size=(20_000, 8)) + 1.5 * np.eye(8)[labels] * 1.0
    found = fit(logits, labels, np.log(natural / drawn), accuracy_cost=0.0)
    assert 0.4 < found.strength <= 1.2
    plain = logits.argmax(axis=1) == labels
    better = found(logits).argmax(axis=1) == labels
    assert better.mean() > plain.mean() + 0.02


def test_a_budget_of_accuracy_buys_recall_of_rare_classes():
    natural = np.array([0.6, 0.3, 0.02, 0.02, 0.02, 0.02, 0.01, 0.01])
    labels = RNG.choice(8, 20_000, p=natural)
    logits = RNG.normal(size=(20_000, 8)) + 1.5 * np.eye(8)[labels]
    shift = np.log(natural * 8)
    strict, generous = fit(logits, labels, shift, 0.0), fit(logits, labels, shift, 0.2)
    assert generous.strength < strict.strength


def test_calibration_shifts_first_and_then_divides():
    calibrate = Calibration((1.0,) + (0.0,) * 7, strength=0.5, temperature=2.0)
    assert calibrate(np.zeros((1, 8)))[0].tolist() == [0.25] + [0.0] * 7


def test_halves_do_not_overlap_and_each_is_scored_once():
    pairs = list(halves(11, splits=3))
    assert len(pairs) == 6
    for (fit_on, score_on), (fit_back, score_back) in zip(pairs[::2], pairs[1::2], strict=True):
        assert sorted([*fit_on, *score_on]) == list(range(11))
        assert fit_on.tolist() == score_back.tolist()
        assert score_on.tolist() == fit_back.tolist()


def test_vote_shares_give_back_the_temperature_that_spoiled_them():
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(8) / 2, 400)
    found = fit_shares(3 * np.log(shares + 1e-9), shares, np.zeros(8))
    assert found.temperature == pytest.approx(3, rel=0.05)


def test_the_prior_is_moved_only_where_that_wins_on_faces_not_fitted_on():
    rng = np.random.default_rng(0)
    shares, shift = rng.dirichlet(np.ones(8), 400), np.linspace(-1, 1, 8)
    assert fit_shares(np.log(shares), shares, shift).strength == 0
    assert fit_shares(np.log(shares) - shift, shares, shift).strength == 1
