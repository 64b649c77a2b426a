import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mien.datasets import Sample
from mien.datasets.ferplus import VOTE_COLUMNS
from mien.errors import InputError
from mien.evaluation.protocols import (
    CLASSES,
    RULES,
    cross_entropy,
    folds,
    majority,
    multi_target,
    probability,
    select,
    soft_votes,
    without_single_votes,
)
from mien.facs.vocabulary import Expression

PICTURE = np.zeros((2, 2, 3), np.uint8)
ANY_VOTES = arrays.arrays(np.uint8, st.tuples(st.integers(1, 8), st.just(CLASSES + 2)), elements=st.integers(0, 10))


def votes(**counts: int) -> np.ndarray:
    """One row of votes by name."""
    return np.array([[counts.get(name, 0) for name in VOTE_COLUMNS]], np.uint8)


def target(**shares: float) -> np.ndarray:
    return np.array([shares.get(e.label, 0) for e in Expression])


def keeps(rule, row: np.ndarray, wanted: np.ndarray) -> None:
    targets = rule(row)
    assert targets.reason == [""]
    assert targets.kept.tolist() == [True]
    np.testing.assert_allclose(targets.values[0], wanted, atol=1e-6)


def drops(rule, row: np.ndarray, why: str) -> None:
    targets = rule(row)
    assert targets.reason == [why]
    assert targets.kept.tolist() == [False]
    assert not targets.values.any()


def test_single_votes_are_removed_and_the_votes_themselves_stay_as_they_are():
    row = votes(happiness=6, sadness=1, fear=2, unknown=1)
    before = row.copy()
    np.testing.assert_array_equal(without_single_votes(row), votes(happiness=6, fear=2))
    np.testing.assert_array_equal(row, before)


# majority


def test_majority_is_the_expression_that_more_than_half_chose():
    keeps(majority, votes(happiness=6, sadness=4), target(happiness=1))


def test_exactly_half_is_no_majority():
    drops(majority, votes(happiness=5, sadness=3, fear=2), "no majority")
    drops(majority, votes(happiness=5, sadness=5), "no majority")


def test_single_votes_do_not_count_towards_the_sum():
    # 5 of 10 is half, but 5 of the 8 that are left is more.
    keeps(majority, votes(happiness=5, sadness=3, fear=1, anger=1), target(happiness=1))


def test_a_row_of_single_votes_has_no_majority():
    drops(majority, np.ones((1, 10), np.uint8), "no majority")


def test_a_majority_for_unknown_or_not_a_face_drops_the_row():
    drops(majority, votes(unknown=6, happiness=4), "unknown")
    drops(majority, votes(NF=10), "not a face")


# cross-entropy


def test_cross_entropy_takes_the_largest_columns_down_to_three_quarters():
    # 6 is less than 7.5; of two columns with 2 none is preferred, so both come.
    keeps(cross_entropy, votes(happiness=6, surprise=2, fear=2), target(happiness=0.6, surprise=0.2, fear=0.2))
    keeps(cross_entropy, votes(happiness=8, surprise=2), target(happiness=1))
    keeps(cross_entropy, votes(happiness=5, sadness=3, fear=2), target(happiness=5 / 8, sadness=3 / 8))


def test_cross_entropy_stops_at_unknown():
    keeps(cross_entropy, votes(sadness=11, unknown=6, fear=3), target(sadness=1))
    keeps(cross_entropy, votes(sadness=6, unknown=2, fear=2), target(sadness=6 / 8, fear=2 / 8))  # tied: fear comes too


def test_cross_entropy_needs_more_than_half_before_unknown():
    drops(cross_entropy, votes(sadness=5, unknown=3, fear=2), "no majority")
    drops(cross_entropy, votes(sadness=5, unknown=5), "no majority")


def test_cross_entropy_takes_three_columns_at_the_most():
    # They hold 18 of 25, less than three quarters but more than half. Ten annotators cannot vote like this.
    row = votes(happiness=7, sadness=6, fear=5, anger=4, disgust=3)
    keeps(cross_entropy, row, target(happiness=7 / 18, sadness=6 / 18, fear=5 / 18))


def test_more_than_three_tied_columns_are_too_many():
    drops(cross_entropy, votes(happiness=2, sadness=2, fear=2, anger=2, disgust=2), "too many labels")
    drops(cross_entropy, votes(happiness=4, sadness=2, fear=2, anger=2), "too many labels")
    row = votes(happiness=3, sadness=3, fear=3)
    keeps(cross_entropy, row, target(happiness=1 / 3, sadness=1 / 3, fear=1 / 3))


# multi-target


def test_multi_target_takes_every_column_with_three_tenths():
    keeps(multi_target, votes(happiness=4, surprise=3, fear=3), target(happiness=1, surprise=1, fear=1))
    keeps(multi_target, votes(happiness=6, surprise=2, fear=2), target(happiness=1))


def test_multi_target_needs_more_than_half():
    drops(multi_target, votes(happiness=4, surprise=2, fear=2, anger=2), "too many labels")
    drops(multi_target, votes(happiness=5, surprise=2, fear=2, NF=1, unknown=1, anger=2), "too many labels")


# soft votes


def test_soft_votes_keep_every_vote_for_an_expression_but_single_ones():
    row = votes(happiness=4, sadness=2, unknown=3, fear=1)
    keeps(soft_votes, row, target(happiness=4 / 6, sadness=2 / 6))


def test_soft_votes_need_no_majority():
    keeps(soft_votes, votes(happiness=5, sadness=5), target(happiness=0.5, sadness=0.5))


# all rules


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize(("leader", "why"), [("unknown", "unknown"), ("NF", "not a face")])
def test_a_row_that_unknown_or_not_a_face_leads_is_dropped_with_that_reason(rule, leader, why):
    drops(rule, votes(**{leader: 10}), why)
    drops(rule, votes(**{leader: 7, "happiness": 3}), why)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_row_without_votes_is_dropped(rule):
    targets = rule(np.zeros((1, 10), np.uint8))
    assert not targets.kept.any()
    assert targets.reason[0]


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_unanimous_votes_give_that_expression_under_every_rule(rule):
    for e in Expression:
        keeps(rule, votes(**{e.label: 10}), target(**{e.label: 1}))


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@settings(deadline=None, max_examples=50)
@given(given_votes=ANY_VOTES)
def test_kept_rows_are_distributions_and_dropped_rows_are_zero_with_a_reason(rule, given_votes):
    targets = rule(given_votes)
    assert targets.values.shape == (len(given_votes), CLASSES)
    assert [bool(reason) for reason in targets.reason] == (~targets.kept).tolist()
    assert not targets.values[~targets.kept].any()
    assert (targets.values >= 0).all()
    if rule is multi_target:
        assert set(np.unique(targets.values)) <= {0, 1}
        assert targets.values[targets.kept].any(axis=1).all()
    else:
        np.testing.assert_allclose(targets.values[targets.kept].sum(axis=1), 1, atol=1e-6)


@settings(deadline=None, max_examples=50)
@given(ANY_VOTES)
def test_what_the_majority_chose_is_the_largest_target_of_every_other_rule_that_keeps_the_row(given_votes):
    clear = majority(given_votes)
    for rule in (cross_entropy, soft_votes, multi_target):
        targets = rule(given_votes)
        both = clear.kept & targets.kept
        largest = targets.values[both].max(axis=1)
        np.testing.assert_array_equal(targets.values[both, clear.values[both].argmax(axis=1)], largest)


@settings(deadline=None, max_examples=50)
@given(ANY_VOTES)
def test_rows_do_not_influence_each_other(given_votes):
    for rule in RULES.values():
        alone = np.concatenate([rule(row[None]).values for row in given_votes])
        np.testing.assert_array_equal(rule(given_votes).values, alone)


# probability


@settings(deadline=None, max_examples=50)
@given(ANY_VOTES, st.integers(0, 1000))
def test_probability_draws_one_class_that_has_votes(given_votes, seed):
    drawn = probability(given_votes, np.random.default_rng(seed))
    expected = cross_entropy(given_votes)
    np.testing.assert_array_equal(drawn.kept, expected.kept)
    np.testing.assert_array_equal(drawn.values.sum(axis=1), drawn.kept)
    assert (expected.values[drawn.values > 0] > 0).all()


def test_probability_draws_a_class_with_votes_even_at_the_very_end_of_the_scale():
    class Last:
        def random(self, shape):
            return np.full(shape, np.nextafter(1, 0))

    rows = votes(happiness=6, surprise=10, sadness=7)  # whose shares add up to 0.99999994
    drawn, expected = probability(rows, Last()).values, cross_entropy(rows).values
    assert drawn.any()
    assert (expected[drawn > 0] > 0).all()


def test_probability_draws_as_often_as_the_votes_say_and_repeats_with_the_seed():
    rows = votes(happiness=5, sadness=3, fear=2).repeat(1000, axis=0)  # 5/8 and 3/8
    drawn = probability(rows, np.random.default_rng(7)).values
    np.testing.assert_allclose(drawn.mean(axis=0), target(happiness=5 / 8, sadness=3 / 8), atol=0.05)
    np.testing.assert_array_equal(drawn, probability(rows, np.random.default_rng(7)).values)
    assert (drawn != probability(rows, np.random.default_rng(8)).values).any()


# select


def voted(**counts: int) -> Sample:
    return Sample(PICTURE, votes=votes(**counts)[0])


def test_select_keeps_what_the_rule_keeps_and_counts_why_the_rest_went():
    samples = [voted(happiness=10), voted(NF=10), voted(fear=5, sadness=5), voted(anger=8, fear=2), voted(NF=9)]
    chosen = select(samples, "majority")
    assert [sample.votes is samples[i].votes for sample, i in zip(chosen.samples, (0, 3), strict=True)] == [True] * 2
    assert chosen.labels.tolist() == [Expression.HAPPINESS, Expression.ANGER]
    assert chosen.dropped == {"no majority": 1, "not a face": 2}
    assert chosen.protocol == "majority"
    np.testing.assert_array_equal(chosen.targets, np.eye(CLASSES)[chosen.labels])


@pytest.mark.parametrize("protocol", RULES)
def test_samples_with_a_single_label_keep_it_under_every_rule(protocol):
    samples = [Sample(PICTURE, expression=e) for e in Expression]
    chosen = select(samples, protocol)
    np.testing.assert_array_equal(chosen.targets, np.eye(CLASSES))
    assert chosen.protocol == "single label"
    assert chosen.dropped == {}


def test_a_sample_without_label_or_votes_is_dropped_for_that_reason():
    chosen = select([Sample(PICTURE), Sample(PICTURE, expression=Expression.FEAR)])
    assert chosen.labels.tolist() == [Expression.FEAR]
    assert chosen.dropped == {"no label": 1}


def test_an_empty_dataset_selects_nothing():
    chosen = select([])
    assert chosen.samples == []
    assert chosen.targets.shape == (0, CLASSES)


def test_a_protocol_that_does_not_exist_lists_those_that_do():
    with pytest.raises(InputError, match="no protocol 'plurality'; the rules are majority, cross-entropy"):
        select([], "plurality")


def test_folds_keep_every_subject_together_and_test_each_once():
    subjects = [f"S{i % 7}" for i in range(40)]
    pairs = folds(subjects, 3, seed=1)
    assert sorted(np.concatenate([test for _, test in pairs]).tolist()) == list(range(40))
    for train, test in pairs:
        assert len(train) + len(test) == 40
        assert not {subjects[i] for i in train} & {subjects[i] for i in test}
        assert 2 <= len({subjects[i] for i in test}) <= 3
    again = folds(subjects, 3, seed=1)
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(pairs, again, strict=True))
    assert any(not np.array_equal(a[1], b[1]) for a, b in zip(pairs, folds(subjects, 3, seed=2), strict=True))


def test_folds_need_subjects_and_enough_of_them():
    with pytest.raises(InputError, match="sample 1 names no subject"):
        folds(["a", None], 2)
    with pytest.raises(InputError, match="of which there are 2"):
        folds(["a", "b", "a"], 3)
