"""Metrics under their standard names: arrays in, numbers out.

All are computed from two tallies, so that a bootstrap only reweights tallies: a confusion matrix (8, 8), rows true and
columns predicted, and reliability bins (BINS, 3) with the count, the sum of confidences and the number of correct
predictions in each bin of confidence. Leading dimensions are kept: (R, 8, 8) gives R numbers.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
BINS = 15
# Means over classes are also given over those with at least this many samples; fewer say little.
ENOUGH = 50


def confusion_tally(labels: NDArray[np.integer], probabilities: Floats) -> Floats:
    """(N, 8, 8): each sample's own confusion matrix, a single 1."""
    tally = np.zeros((len(labels), probabilities.shape[1], probabilities.shape[1]), np.float32)
    tally[np.arange(len(labels)), labels, probabilities.argmax(axis=1)] = 1
    return tally


def reliability_tally(labels: NDArray[np.integer], probabilities: Floats) -> Floats:
    """(N, BINS, 3): count, confidence and correctness of each sample in its bin of equal width."""
    confidence = probabilities.max(axis=1)
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    tally = np.zeros((len(labels), BINS, 3), np.float32)
    right = probabilities.argmax(axis=1) == labels
    tally[np.arange(len(labels)), bins] = np.stack([np.ones(len(labels)), confidence, right], axis=1)
    return tally


def samples(confusion: Floats) -> Floats:
    """(..., 8): number of samples in each class, rounded, since averages over answers leave rounding errors."""
    return np.asarray(confusion.sum(axis=-1).round())


def accuracy(confusion: Floats) -> Floats:
    """Share of correct predictions."""
    return _ratio(np.trace(confusion, axis1=-2, axis2=-1), confusion.sum(axis=(-2, -1)))


def recall(confusion: Floats) -> Floats:
    """(..., 8): share of each class's samples that are predicted correctly; NaN for a class without samples."""
    return _ratio(np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(axis=-1))


def mean_recall(confusion: Floats, at_least: float = 1) -> Floats:
    """Unweighted mean of the recalls of all classes with enough samples (balanced accuracy)."""
    return _mean(np.where(samples(confusion) >= at_least, recall(confusion), np.nan))


def macro_f1(confusion: Floats, at_least: float = 1) -> Floats:
    """Unweighted mean, over classes with enough samples, of F1 = 2 TP / (samples + predictions)."""
    labelled, predicted = confusion.sum(axis=-1), confusion.sum(axis=-2)
    f1 = _ratio(2 * np.diagonal(confusion, axis1=-2, axis2=-1), labelled + predicted)
    return _mean(np.where(samples(confusion) >= at_least, f1, np.nan))


def ece(reliability: Floats) -> Floats:
    """Expected calibration error (Guo et al., 2017), 0 to 1: mean distance between confidence and accuracy."""
    gap = np.abs(reliability[..., 1] - reliability[..., 2]).sum(axis=-1)
    return _ratio(gap, reliability[..., 0].sum(axis=-1))


def _ratio(part: Floats, whole: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.divide(part, whole))


def _mean(values: Floats) -> Floats:
    known = ~np.isnan(values)
    return _ratio(np.where(known, values, 0).sum(axis=-1), known.sum(axis=-1))
