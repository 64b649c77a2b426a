"""Crops to expressions, action units, landmarks, head pose and attention, in one batched pass."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.core.contract import Answers, Classifier, softmax
from mien.core.rebuilt import Rebuilt
from mien.core.zoo import DEFAULT, load
from mien.facs.observation import Pose
from mien.facs.prior import prior as shares
from mien.facs.prior import with_prior
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
    by which the faces are also aligned. Attention and readability are the model's own or none.
    prior: how frequent each expression is among the faces to read, as in mien.facs.prior; left out, the shares that the
    model learned, those of FERPlus.
    """

    def __init__(
        self,
        model: str | Path | Classifier = DEFAULT,
        threads: int = 1,
        prior: str | Sequence[float] | None = None,
    ) -> None:
        self._prior = None if prior is None else shares(prior)
        opened = Classifier(load(model, reads=True), threads, trial=False) if isinstance(model, str | Path) else model
        self._classify = opened
        self._rest = None if _REST & self._classify.heads else Classifier(load(DEFAULT), threads, trial=False)
        self.name = str(model) if isinstance(model, str | Path) else opened.contract.name
        self.size = self._classify.contract.size

    def __call__(self, crops: NDArray[np.uint8]) -> list[Reading]:
        """(N, size, size) uint8 gray crops to N readings."""
        batches = np.split(crops, range(BATCH, len(crops), BATCH)) if len(crops) else []
        return [reading for batch in batches for reading in self._readings(self.answers(batch))]

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

    def _readings(self, answers: Answers) -> Iterator[Reading]:
        probabilities = softmax(answers.logits)
        if self._prior is not None:
            probabilities = with_prior(probabilities, self._prior)
        for i, scores in enumerate(probabilities):
            units = None if answers.action_units is None else answers.action_units[i]
            yield Reading(
                ExpressionScores(scores),
                None if units is None else ActionUnits.of(units),
                None if answers.landmarks is None else answers.landmarks[i],
                None if answers.pose is None else Pose(*map(float, answers.pose[i])),
                None if answers.attention is None else answers.attention[i],
                None if answers.readability is None else float(answers.readability[i]),
            )
