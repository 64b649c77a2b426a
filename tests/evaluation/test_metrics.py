import numpy as np
import pytest

from mien.evaluation import metrics

# Ten samples of class 0, eight found, two called class 1; five of class 1, three found, two called 0.
WORKED = np.zeros((8, 8))
WORKED[0, 0], WORKED[0, 1], WORKED[1, 1], WORKED[1, 0] = 8, 2, 3, 2


def test_the_worked_example_gives_the_numbers_computed_by_hand():
    assert metrics.accuracy(WORKED) == pytest.approx(11 / 15)
    assert metrics.recall(WORKED)[:2] == pytest.approx([0.8, 0.6])
    assert metrics.mean_recall(WORKED) == pytest.approx(0.7)
    f1 = (2 * 8 / (10 + 10), 2 * 3 / (5 + 5))
    assert metrics.macro_f1(WORKED) == pytest.approx(np.mean(f1))


def test_a_class_without_samples_has_no_recall_and_does_not_count_in_the_means():
    assert np.isnan(metrics.recall(WORKED)[2:]).all()
    with_false_alarm = WORKED.copy()
    with_false_alarm[0, 5] = 10
    assert metrics.mean_recall(with_false_alarm) == pytest.approx((8 / 20 + 0.6) / 2)


def test_means_over_classes_can_leave_out_those_with_few_samples():
    assert metrics.mean_recall(WORKED, at_least=6) == pytest.approx(0.8)
    assert metrics.macro_f1(WORKED, at_least=6) == pytest.approx(0.8)
    # Whatever is called by the name of a class that is left out.
    assert metrics.macro_f1(WORKED.T, at_least=6) == pytest.approx(0.8)


def test_metrics_keep_leading_dimensions():
    both = np.stack([WORKED, np.eye(8)])
    assert metrics.accuracy(both) == pytest.approx([11 / 15, 1])
    assert metrics.macro_f1(both) == pytest.approx([float(metrics.macro_f1(WORKED)), 1])


def test_the_tallies_of_all_samples_add_up_to_the_confusion_matrix():
    labels = np.array([0, 0, 3])
    probabilities = np.eye(8)[[0, 1, 3]] * 0.9 + 0.0125
    confusion = metrics.confusion_tally(labels, probabilities).sum(axis=0)
    assert confusion[0, 0] == confusion[0, 1] == confusion[3, 3] == 1
    assert confusion.sum() == 3


def test_ece_is_zero_when_confidence_equals_accuracy():
    labels = np.array([0] * 8 + [1] * 2)
    probabilities = np.zeros((10, 8))
    probabilities[:, 0], probabilities[:, 1] = 0.8, 0.2
    assert metrics.ece(metrics.reliability_tally(labels, probabilities).sum(axis=0)) == pytest.approx(0, abs=1e-6)


def test_ece_is_the_gap_when_every_answer_is_too_sure():
    labels = np.array([0] * 5 + [1] * 5)
    probabilities = np.eye(8)[np.zeros(10, int)]
    assert metrics.ece(metrics.reliability_tally(labels, probabilities).sum(axis=0)) == pytest.approx(0.5)


def test_ece_weighs_its_bins_by_their_counts():
    labels = np.zeros(4, int)
    probabilities = np.zeros((4, 8))
    probabilities[:, 0] = [1, 1, 1, 0.6]
    probabilities[3, 1] = 0.4
    # Three are right with confidence 1, one is right with confidence 0.6.
    assert metrics.ece(metrics.reliability_tally(labels, probabilities).sum(axis=0)) == pytest.approx(0.4 / 4)
