import numpy as np
import pytest

from mien.errors import InputError
from mien.facs.units import VECTOR
from mien.facs.vocabulary import Expression
from mien.methods.synfer.flow.requests import NAMES
from mien.methods.synfer.judge.measure import (
    agreement,
    control,
    correlations,
    drawn,
    frechet,
    memorised,
    nearest,
    ranks,
    shared,
)


def sample(mean: float, spread: float, count: int = 400, width: int = 3) -> np.ndarray:
    """Of exactly this mean and standard deviation in every column, uncorrelated."""
    x = np.random.default_rng(0).standard_normal((count, width))
    x -= x.mean(axis=0)
    x = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False, bias=True))).T
    return mean + spread * x


def test_the_distance_of_a_set_to_itself_is_nothing():
    assert frechet(sample(1, 2), sample(1, 2)) == pytest.approx(0, abs=1e-9)


def test_the_distance_of_two_gaussians_is_that_of_their_means_and_spreads():
    assert frechet(sample(0, 1), sample(2, 1)) == pytest.approx(3 * 4)
    assert frechet(sample(0, 1), sample(0, 3)) == pytest.approx(3 * 4)
    with pytest.raises(InputError, match="two or more"):
        frechet(sample(0, 1)[:1], sample(0, 1))


def test_weights_count_as_so_many_faces_would():
    x = sample(0, 1, count=30)
    twice = np.concatenate([x[:10], x])
    weights = np.where(np.arange(30) < 10, 2.0, 1.0)
    assert frechet(sample(1, 2), x, weights) == pytest.approx(frechet(sample(1, 2), twice))


def test_each_class_has_the_share_that_is_wanted():
    labels, wanted = np.array([0, 0, 0, 1, 2]), np.array([1, 1, 0, 0])
    weights = shared(labels, wanted)
    assert [weights[labels == c].sum() for c in range(3)] == pytest.approx([0.5, 0.5, 0])
    rows = drawn(labels, wanted)
    assert sorted(labels[rows]) == [0, 0, 1, 1]
    assert len({int(row) for row in rows if labels[row] == 0}) == 2


def test_equal_values_share_the_mean_of_their_ranks():
    assert ranks(np.array([5.0, 1.0, 5.0, 9.0])).tolist() == [1.5, 0, 1.5, 3]


def test_units_are_correlated_over_the_faces_that_were_told_them():
    wanted = np.full((6, VECTOR), np.nan)
    wanted[:, 0], wanted[:4, 1], wanted[:, 2] = [0, 1, 2, 3, 4, 5], [0, 1, 0, 1], 0.5
    measured = np.zeros((6, VECTOR))
    measured[:, 0], measured[:, 1] = [0, -2, -4, -6, -8, -10], [0, 1, 0, 1, 9, 9]
    r = correlations(wanted, measured)
    assert r[:2].tolist() == pytest.approx([-1, 1])
    assert np.isnan(r[2:]).all()


def test_control_is_the_rank_correlation_of_asked_for_and_judged():
    wanted = np.full((40, VECTOR), np.nan)
    wanted[:, NAMES.index("AU12")] = np.linspace(0, 1, 40)
    measured = np.zeros((40, VECTOR))
    measured[:, NAMES.index("AU12")] = np.linspace(0, 1, 40) ** 5
    found = control(wanted, measured)
    assert found["AU12"] == {"value": pytest.approx(1), "low": pytest.approx(1), "high": pytest.approx(1), "n": 40}
    assert found["AU26"]["value"] is None
    assert list(found) == ["AU12", "AU26", "AU04", "AU43", "AU02"]


def test_agreement_is_the_share_of_faces_that_show_what_was_asked_for():
    requested = [Expression.FEAR, Expression.FEAR, Expression.ANGER, None]
    probabilities = np.eye(8)[[Expression.FEAR, Expression.ANGER, Expression.ANGER, 0]]
    found = agreement(requested, probabilities)
    assert (found["value"], found["n"]) == (pytest.approx(2 / 3), 3)
    assert found["per_class"]["fear"]["value"] == 0.5
    assert list(found["per_class"]) == ["anger", "fear"]
    assert agreement([None], probabilities[:1])["value"] is None


def test_the_nearest_of_a_set_is_found_by_euclid():
    assert nearest(np.array([[0.0, 0.0], [3.0, 3.0]]), np.array([[3.0, 4.0], [10.0, 0.0]])).tolist() == [5, 1]


def test_copies_of_training_faces_are_told_from_new_ones():
    rng = np.random.default_rng(1)
    training, photographs = rng.standard_normal((200, 8)), rng.standard_normal((200, 8))
    copies = training[:50] + 1e-3
    assert memorised(copies, training, photographs)["value"] == 1
    found = memorised(rng.standard_normal((300, 8)), training, photographs)
    assert found["value"] < 0.05
    assert found["limit"] > 0
