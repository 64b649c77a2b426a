"""Arrays in, numbers out, each under its standard name.

Everything here is computed from two tallies, so that a bootstrap only has to weigh the tallies anew:
a confusion matrix (8, 8), rows the true class and columns the predicted one, and reliability bins (BINS, 3), for each
bin of confidence how many predictions, the sum of their confidences, and how many were right.
Leading dimensions are kept: (R, 8, 8) gives R numbers.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
BINS = 15
# Means over classes are also given over those with so many samples: of fewer, recall and F1 say little.
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
    """(..., 8): how many samples each class has, whole: averages over several answers leave traces of rounding."""
    return np.asarray(confusion.sum(axis=-1).round())


def accuracy(confusion: Floats) -> Floats:
    """The share of predictions that are right."""
    return _ratio(np.trace(confusion, axis1=-2, axis2=-1), confusion.sum(axis=(-2, -1)))


def recall(confusion: Floats) -> Floats:
    """(..., 8): for each class the share of its samples that were found; NaN for a class without samples."""
    return _ratio(np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(axis=-1))


def mean_recall(confusion: Floats, at_least: float = 1) -> Floats:
    """The unweighted mean of the recalls of all classes with so many samples (balanced accuracy)."""
    return _mean(np.where(samples(confusion) >= at_least, recall(confusion), np.nan))


def macro_f1(confusion: Floats, at_least: float = 1) -> Floats:
    """The unweighted mean, over classes with so many samples, of F1 = 2 TP / (samples + predictions)."""
    labelled, predicted = confusion.sum(axis=-1), confusion.sum(axis=-2)
    f1 = _ratio(2 * np.diagonal(confusion, axis1=-2, axis2=-1), labelled + predicted)
    return _mean(np.where(samples(confusion) >= at_least, f1, np.nan))


def ece(reliability: Floats) -> Floats:
    """Expected calibration error (Guo et al., 2017), 0 to 1: how far confidence and accuracy are apart on average."""
    gap = np.abs(reliability[..., 1] - reliability[..., 2]).sum(axis=-1)
    return _ratio(gap, reliability[..., 0].sum(axis=-1))


def _ratio(part: Floats, whole: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.divide(part, whole))


def _mean(values: Floats) -> Floats:
    known = ~np.isnan(values)
    return _ratio(np.where(known, values, 0).sum(axis=-1), known.sum(axis=-1))
