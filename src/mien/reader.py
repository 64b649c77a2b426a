"""Crops to expressions, action units, landmarks, head pose and attention, in one batched pass."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.results import ActionUnits, ExpressionScores, Pose, Reading
from mien.session import Answers, Classifier, softmax
from mien.vocabulary import ActionUnit
from mien.zoo import DEFAULT, load

# Larger batches are no faster a face on one core, and hold more memory.
BATCH = 8


class Reader:
    """Gray crops to readings.

    model: a name of mien.zoo.MODELS, or the path of an ONNX file with a contract.   threads: of ONNX Runtime.
    """

    def __init__(self, model: str | Path = DEFAULT, threads: int = 1) -> None:
        self._classify = Classifier(load(model), threads)
        self.name = str(model)
        self.size = self._classify.contract.size

    def __call__(self, crops: NDArray[np.uint8]) -> list[Reading]:
        """(N, size, size) uint8 gray crops to N readings."""
        batches = np.split(crops, range(BATCH, len(crops), BATCH)) if len(crops) else []
        return [reading for batch in batches for reading in _readings(self._classify.answers(batch))]


def _readings(answers: Answers) -> Iterator[Reading]:
    for i, probabilities in enumerate(softmax(answers.logits)):
        units = None if answers.action_units is None else answers.action_units[i]
        yield Reading(
            ExpressionScores(probabilities),
            None if units is None else ActionUnits(units[: len(ActionUnit)], units[len(ActionUnit) :]),
            None if answers.landmarks is None else answers.landmarks[i],
            None if answers.pose is None else Pose(*map(float, answers.pose[i])),
            None if answers.attention is None else answers.attention[i],
        )
