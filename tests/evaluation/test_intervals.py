import numpy as np
import pytest

from mien.evaluation.intervals import bootstrap, percentile_interval, wilson_interval


def test_a_resample_has_as_many_samples_as_the_data():
    drawn = bootstrap(np.ones((37, 1)), resamples=250)
    assert drawn.shape == (250, 1)
    assert (drawn == 37).all()


def test_the_bootstrap_interval_of_a_mean_is_the_one_that_theory_gives():
    values = np.random.default_rng(1).normal(size=1000)
    low, high = percentile_interval(bootstrap(values[:, None], resamples=4000)[:, 0] / 1000)
    half = 1.96 * values.std() / np.sqrt(1000)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)


def test_the_same_seed_draws_the_same_samples_for_another_tally():
    one = bootstrap(np.arange(50.0)[:, None], resamples=120, seed=3)
    two = bootstrap(np.arange(50.0)[:, None] * 2, resamples=120, seed=3)
    assert np.allclose(two, 2 * one)
    assert not np.allclose(one, bootstrap(np.arange(50.0)[:, None], resamples=120, seed=4))


def test_values_that_do_not_exist_in_a_resample_do_not_count():
    assert percentile_interval(np.array([np.nan, 1.0, 1.0])) == (1.0, 1.0)


def test_wilsons_interval_is_that_of_the_textbook():
    # Newcombe (1998), table I: 81 of 263 and 0 of 20.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson_interval(20, 20)[1] == pytest.approx(1.0)
