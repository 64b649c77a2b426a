"""Photographs of any data set with a teacher's labels, as pairs with captions for training the generator.

Letters: N pairs, K = 24 action units and asymmetries.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mien.datasets.base import Sample
from mien.datasets.captions import Pair, prompt
from mien.datasets.pseudo_labels import PseudoLabels
from mien.errors import InputError
from mien.evaluation.protocols import select
from mien.facs.observation import Observation, Pose
from mien.facs.units import ActionUnits
from mien.facs.vocabulary import Expression
from mien.methods.synfer.flow import captions


class Described(Sequence[Pair]):
    """Photographs of any data set as pairs, with action units from a teacher and captions from these.

    Captions name the expression and the strongest movements. All pictures stay in memory; for many large ones, write a
    folder for `Pairs` instead. labels, units: as in Pairs.
    Raise InputError if the teacher has no label for a face, if a face was generated, or if none is left.
    """

    def __init__(self, dataset: Sequence[Sample], labels: PseudoLabels, seed: int = 0) -> None:
        faces = select(dataset, "soft-votes").needed("train on")
        for face in faces.samples:
            if face.soft is not None:
                raise InputError(f"{face.source} is a generated face; what draws such faces learns from photographs")
        self._pairs = [
            _described(face, shares, labels, row, seed)
            for face, shares, row in zip(faces.samples, faces.targets, labels.rows(faces.samples).tolist(), strict=True)
        ]
        self.labels = [pair.expression for pair in self._pairs]
        self.units = np.stack([pair.action_units for pair in self._pairs])

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> Pair:  # type: ignore[override]
        return self._pairs[index]


def _described(face: Sample, shares: NDArray[np.float32], labels: PseudoLabels, row: int, seed: int) -> Pair:
    label, units = Expression(int(shares.argmax())), labels.action_units[row].astype(np.float32)
    caption = prompt(label)
    if labels.found[row]:
        observed = Observation(face.source, ActionUnits.of(units), shares, pose=Pose(*map(float, labels.pose[row])))
        caption += f": {captions.short(observed, np.random.default_rng([seed, *face.source.encode()]))}"
    return Pair(face.image, label, source=face.source, caption=caption, action_units=units)
