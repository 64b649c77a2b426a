"""Crops to expressions, in one batched pass."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.results import ExpressionScores
from mien.session import Classifier, softmax
from mien.zoo import DEFAULT, load

# Larger batches are no faster a face on one core, and hold more memory.
BATCH = 8


class Reader:
    """Gray crops to ExpressionScores.

    model: a name of mien.zoo.MODELS, or the path of an ONNX file with a contract.   threads: of ONNX Runtime.
    """

    def __init__(self, model: str | Path = DEFAULT, threads: int = 1) -> None:
        self._classify = Classifier(load(model), threads)
        self.name = str(model)
        self.size = self._classify.contract.size

    def __call__(self, crops: NDArray[np.uint8]) -> list[ExpressionScores]:
        """(N, size, size) uint8 gray crops to N scores."""
        batches = np.split(crops, range(BATCH, len(crops), BATCH)) if len(crops) else []
        return [ExpressionScores(row) for batch in batches for row in softmax(self._classify.logits(batch))]
