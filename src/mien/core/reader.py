"""Crops to expressions, action units, landmarks, head pose and attention, in one batched pass."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.core.contract import Answers, Classifier, softmax
from mien.core.rebuilt import Rebuilt
from mien.core.zoo import DEFAULT, load
from mien.facs.observation import Pose
from mien.facs.units import ActionUnits
from mien.results.expression import ExpressionScores
from mien.results.face import Reading

# Larger batches are no faster a face on one core, and hold more memory.
BATCH = 8
_REST = frozenset({"action_units", "landmarks", "pose"})


class Reader(Rebuilt):
    """Gray crops to readings.

    model: a name of mien.core.zoo.MODELS, the path of an ONNX file with a contract, or an open Classifier.
    threads: of ONNX Runtime.
    Of a model that reads expressions alone, the default reader says the rest: action units, landmarks and head pose,
    by which the faces are also aligned. Attention is the model's own or none.
    """

    def __init__(self, model: str | Path | Classifier = DEFAULT, threads: int = 1) -> None:
        opened = Classifier(load(model, reads=True), threads, trial=False) if isinstance(model, str | Path) else model
        self._classify = opened
        self._rest = None if _REST & self._classify.heads else Classifier(load(DEFAULT), threads, trial=False)
        self.name = str(model) if isinstance(model, str | Path) else opened.contract.name
        self.size = self._classify.contract.size

    def __call__(self, crops: NDArray[np.uint8]) -> list[Reading]:
        """(N, size, size) uint8 gray crops to N readings."""
        batches = np.split(crops, range(BATCH, len(crops), BATCH)) if len(crops) else []
        return [reading for batch in batches for reading in _readings(self.answers(batch))]

    def answers(self, crops: NDArray[np.uint8]) -> Answers:
        """What the model says of (N, size, size) uint8 gray crops, and the default reader of what it does not."""
        answers = self._classify.answers(crops)
        if self._rest is None:
            return answers
        side = self._rest.contract.size
        if side != self.size:
            crops = np.stack([cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA) for crop in crops])
        rest = self._rest.answers(crops)
        return answers._replace(**{name: getattr(rest, name) for name in _REST})


def _readings(answers: Answers) -> Iterator[Reading]:
    for i, probabilities in enumerate(softmax(answers.logits)):
        units = None if answers.action_units is None else answers.action_units[i]
        yield Reading(
            ExpressionScores(probabilities),
            None if units is None else ActionUnits.of(units),
            None if answers.landmarks is None else answers.landmarks[i],
            None if answers.pose is None else Pose(*map(float, answers.pose[i])),
            None if answers.attention is None else answers.attention[i],
        )
