"""Supervised learning: photographs, generated faces in several amounts, and both; with requested or voted labels.

Letters: B faces of a batch, N faces of the data, S the side of a face.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mien.errors import InputError
from mien.evaluation.protocols import Selection
from mien.evaluation.result import Result
from mien.facs.vocabulary import Expression
from mien.methods.synfer.downstream.encoder import (
    Encoder,
    Faces,
    Settings,
    counted,
    first,
    given_of,
    stratified,
    table,
    together,
)
from mien.training.experiment import evaluated, run_arms
from mien.training.faces import fit_faces, logits, priors


class Mixture(NamedTuple):
    """An arm: its share of the photographs, the amount of generated faces, and the source of their labels.

    All arms use the first faces that the vote kept.
    """

    photographs: float
    generated: int
    voted: bool = True


MIXTURES = {
    "real": Mixture(1, 0),
    "syn-1x": Mixture(0, 1),
    "syn-3x": Mixture(0, 3),
    "syn-5x": Mixture(0, 5),
    "real-syn-1x": Mixture(1, 1),
    "asked-1x": Mixture(0, 1, voted=False),
    "real-asked-1x": Mixture(1, 1, voted=False),
    "tenth": Mixture(0.1, 0),
    "tenth-syn-1x": Mixture(0.1, 1),
}
# These labels carry what the experts learned (distillation).
_DISTILLED = "labels voted by experts that learned from all photographs"
ARMS = {
    "real": "photographs",
    "syn-1x": f"as many generated faces, {_DISTILLED}",
    "syn-3x": f"three times as many, {_DISTILLED}",
    "syn-5x": f"five times as many, {_DISTILLED}",
    "real-syn-1x": f"photographs and as many generated faces, {_DISTILLED}",
    "asked-1x": "the faces of syn-1x, which the vote kept, labels as asked for",
    "real-asked-1x": "the faces of real-syn-1x, labels as asked for",
    "tenth": "a tenth of the photographs",
    "tenth-syn-1x": f"a tenth of the photographs, and as many generated faces as there are in all, {_DISTILLED}",
}
# First minus second: what generated faces add to few photographs and to all, and what the vote is worth.
CONTRASTS = (
    ("tenth-syn-1x", "tenth"),
    ("real-syn-1x", "real"),
    ("syn-1x", "asked-1x"),
    ("real-syn-1x", "real-asked-1x"),
)


class ClassifierOutput(NamedTuple):
    """logits: (B, 8) in Expression order."""

    logits: Tensor


class EncoderClassifier(nn.Module):
    """The encoder and a linear layer."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.encoder = Encoder(settings.widths)
        self.expression = nn.Linear(self.encoder.features, len(Expression))

    def forward(self, faces: Tensor) -> ClassifierOutput:
        """(B, 1, S, S), normalized -> ClassifierOutput."""
        return ClassifierOutput(self.expression(self.encoder(faces)))


def mixed(faces: Faces, mixture: Mixture) -> Selection:
    """Return the faces of an arm; raise InputError if there are too few generated ones."""
    count = len(faces.photographs.samples)
    parts = []
    if mixture.photographs:
        parts.append(stratified(faces.photographs, max(1, round(mixture.photographs * count))))
    if mixture.generated:
        if faces.asked is None:
            raise InputError("this arm learns from generated faces; give --synthetic")
        if faces.voted is None:
            raise InputError("this arm learns from faces that a vote kept, but there was none; run `mien annotate`")
        generated = first(faces.voted, mixture.generated * count)
        parts.append(generated if mixture.voted else as_asked(generated, faces.asked))
    return together(*parts)


def as_asked(generated: Selection, asked: Selection) -> Selection:
    """Return generated faces with their requested labels; raise InputError if one has none."""
    row = {sample.source: i for i, sample in enumerate(asked.samples)}
    free = next((sample.source for sample in generated.samples if sample.source not in row), None)
    if free is not None:
        raise InputError(f"{free} was made for no expression, so this arm has no label for it")
    return replace(generated, targets=asked.targets[[row[sample.source] for sample in generated.samples]])


def as_in(photographs: Selection, learned: Selection, settings: Settings) -> NDArray[np.float64]:
    """(8,) shift of the logits that gives every arm the class shares of the photographs.

    Arms have their own class shares; without the shift, the arm whose shares are closest to the test faces would have
    an advantage. A missing class counts as one face.
    """
    drawn = np.maximum(priors(learned, settings)["drawn"], 1 / len(learned.samples))
    natural = np.maximum(priors(photographs, settings)["natural"], 1 / len(photographs.samples))
    return np.asarray(np.log(natural) - np.log(drawn))


def run(
    faces: Faces, settings: Settings, folder: Path, arms: Sequence[str], seeds: Sequence[int], given: Mapping[str, Any]
) -> Result:
    """Train a classifier for each arm and seed and measure it on photographs.

    given: further conditions of the runs, such as the names of the data.
    """

    def measure(arm: str, chosen: Selection, seed: int, place: Path) -> Result:
        own = replace(settings, seed=seed)
        torch.manual_seed(seed)
        draws = len(faces.photographs.samples)
        network = fit_faces(EncoderClassifier(own), chosen, own, place, resume=True, draws=draws)
        answers = logits(network, faces.valid) + as_in(faces.photographs, chosen, own)
        return counted(chosen.samples) | evaluated(faces.valid, answers)

    def prepare(arm: str) -> Selection:
        return mixed(faces, MIXTURES[arm])

    run_arms(ARMS, arms, seeds, folder, given_of(settings, given), prepare, measure)
    return table(ARMS, folder, CONTRASTS)
