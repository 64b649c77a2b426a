import numpy as np
import pytest

from mien.evaluation.vote_shares import cross_entropies, reliability, risk_coverage, shares


def votes(*rows: dict[int, int]) -> np.ndarray:
    found = np.zeros((len(rows), 10), int)
    for row, given in zip(found, rows, strict=True):
        for column, count in given.items():
            row[column] = count
    return found


def test_an_answer_that_gives_the_shares_costs_their_entropy():
    shared = np.array([[0.5, 0.5, 0, 0, 0, 0, 0, 0]])
    assert cross_entropies(shared, shared)[0] == pytest.approx(np.log(2))


def test_faces_without_a_majority_are_counted_beside_all_readable_ones():
    given = votes({0: 10}, {0: 5, 1: 5}, {8: 10})
    logits = np.full((3, 8), -50.0)
    logits[:, 0] = 0
    found = shares(logits, given, resamples=20)
    assert (found["readable"], found["divided"]) == (2, 1)
    assert found["sure_divided"]["value"] == 1.0
    assert found["cross_entropy"]["value"] == pytest.approx(found["cross_entropy_divided"]["value"] / 2, abs=1e-6)


def test_reliability_compares_probability_and_share_over_all_words():
    bins = reliability(np.eye(8)[:2], np.eye(8)[:2])
    assert [(b["probability"], b["share"]) for b in bins] == [(0.0, 0.0), (1.0, 1.0)]
    assert sum(b["n"] for b in bins) == 16


def test_leaving_the_least_readable_unanswered_leaves_the_accuracy_of_the_rest():
    right = np.array([True] * 9 + [False])
    found = risk_coverage(right, np.linspace(1, 0, 10))
    assert found["accuracy"]["0"] == pytest.approx(0.9)
    assert found["accuracy"]["0.1"] == 1.0
    assert found["risk_area"] == pytest.approx(0.01)
