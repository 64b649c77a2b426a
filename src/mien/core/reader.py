"""Crops to expressions, action units, landmarks, head pose and attention, in one batched pass."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.core.contract import Answers, Classifier, softmax
from mien.core.models import open_classifier
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
    """Crops to readings.

    model: as in mien.core.models.open_classifier, or an open Classifier.
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
        opened = open_classifier(model, threads) if isinstance(model, str | Path) else model
        self._classify = opened
        self._rest = None if _REST & self._classify.heads else Classifier(load(DEFAULT), threads, trial=False)
        self.name = str(model) if isinstance(model, str | Path) else opened.contract.name
        self.view = self._classify.contract.view
        self.size = self.view.side

    def __call__(self, crops: NDArray[np.uint8]) -> list[Reading]:
        """Crops, (N, *view.shape) uint8, to N readings."""
        batches = np.split(crops, range(BATCH, len(crops), BATCH)) if len(crops) else []
        return [reading for batch in batches for reading in self._readings(self.answers(batch))]

    def answers(self, crops: NDArray[np.uint8]) -> Answers:
        """What the model says of (N, *view.shape) uint8 crops, and the default reader of what it does not."""
        answers = self._classify.answers(crops)
        if self._rest is None:
            return answers
        side, crops = self._rest.contract.size, self.view.plain(crops)
        if side != crops.shape[1]:
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
