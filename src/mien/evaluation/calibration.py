"""Calibration: a temperature and the strength of a prior shift, fitted after training.

A reader trained on resampled faces has learned a prior that no picture has. Adding log(natural / drawn) to its logits
corrects that (logit adjustment, Menon et al., 2021; prior shift, Saerens et al., 2002). The strength of the shift
trades frequent against rare classes: 1 is the natural prior with the highest accuracy, 0 the training prior. The
temperature (Guo et al., 2017) then matches confidence to accuracy (`fit`), or probabilities to the shares of people who
would choose each word (`fit_shares`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.core.contract import softmax
from mien.evaluation.metrics import accuracy, confusion_tally, mean_recall

Floats = NDArray[np.floating]
STRENGTHS = np.linspace(0, 1.2, 25)
TEMPERATURES = np.geomspace(0.3, 3, 231)
# A masked class has a logit of minus infinity; times no votes, it must give 0.
_LEAST = -1e4
# Strengths that fit_shares tries, besides 0.
_TRIED = (0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Calibration:
    """logits -> (logits + strength * shift) / temperature.

    shift: (8,) log(natural / drawn) of the training classes; zeros where nothing was resampled.
    """

    shift: tuple[float, ...]
    strength: float = 1.0
    temperature: float = 1.0

    def __call__(self, logits: Floats) -> Floats:
        """Return the calibrated logits, of the same shape."""
        return (logits + self.strength * np.array(self.shift)) / self.temperature


def fit(logits: Floats, labels: NDArray[np.integer], shift: Floats, accuracy_cost: float) -> Calibration:
    """Return the strength with the highest mean recall within accuracy_cost, then the likeliest temperature.

    logits: (N, 8), uncalibrated.   accuracy_cost: largest loss of accuracy against the best strength, as a fraction
    (0.003 is 0.3 points). Of equals, take the larger strength, which is closer to the natural prior.
    """
    scores = []
    for strength in STRENGTHS:
        confusion = confusion_tally(labels, logits + strength * shift).sum(axis=0)
        scores.append((float(accuracy(confusion)), float(mean_recall(confusion))))
    enough = max(score[0] for score in scores) - accuracy_cost - 1e-12
    _, strength = max((recall, s) for (right, recall), s in zip(scores, STRENGTHS, strict=True) if right >= enough)
    shifted = logits + strength * shift
    return Calibration(tuple(map(float, shift)), float(strength), fit_temperature(shifted, labels))


def fit_temperature(logits: Floats, labels: NDArray[np.integer]) -> float:
    """Return the temperature of TEMPERATURES with the highest likelihood of the labels."""
    rows = np.arange(len(labels))
    likelihood = [np.log(softmax(logits / t)[rows, labels] + 1e-12).mean() for t in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmax(likelihood))])


def fit_shares(logits: Floats, targets: Floats, shift: Floats, folds: int = 5, seed: int = 0) -> Calibration:
    """Return the temperature with the highest likelihood of the vote shares, and a prior shift only if it wins on every
    fold.

    logits: (N, 8), uncalibrated.   targets: (N, 8) vote shares, each row sums to 1. A strength above 0 is taken if,
    fitted without a fold, it makes the votes of that fold likelier than strength 0 does, in each fold.
    """

    def likeliest(rows: NDArray[np.intp], strengths: Sequence[float]) -> tuple[float, float]:
        shifted = ((s, t, (logits[rows] + s * shift) / t) for s in strengths for t in TEMPERATURES)
        return min((_mean_loss(given, targets[rows]), s, t) for s, t, given in shifted)[1:]

    fold = np.random.default_rng(seed).permutation(len(logits)) % folds
    gains = []
    for k in range(folds):
        fitted, scored = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        losses = []
        for strengths in ((0.0,), _TRIED):
            s, t = likeliest(fitted, strengths)
            losses.append(_mean_loss((logits[scored] + s * shift) / t, targets[scored]))
        gains.append(losses[0] - losses[1])
    wins = len(logits) >= folds and min(gains) > 0
    strength, temperature = likeliest(np.arange(len(logits)), _TRIED if wins else (0.0,))
    return Calibration(tuple(map(float, shift)), float(strength), float(temperature))


def temperature_of_shares(logits: Floats, targets: Floats) -> float:
    """Return the temperature of TEMPERATURES with the highest likelihood of vote shares, (N, 8)."""
    return float(min(TEMPERATURES, key=lambda t: _mean_loss(logits / t, targets)))


def _mean_loss(logits: Floats, targets: Floats) -> float:
    """Return the cross-entropy of the softmax with vote shares, in nats, averaged over rows."""
    wide = np.maximum(logits.astype(np.float64) - logits.max(axis=1, keepdims=True), _LEAST)
    return float((np.log(np.exp(wide).sum(axis=1)) - (targets * wide).sum(axis=1)).mean())


def halves(count: int, splits: int, seed: int = 0) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield random splits of `count` samples into halves, each half once for fitting and once for scoring."""
    rng = np.random.default_rng(seed)
    for _ in range(splits):
        order = rng.permutation(count)
        first, second = np.sort(order[: count // 2]), np.sort(order[count // 2 :])
        yield first, second
        yield second, first
