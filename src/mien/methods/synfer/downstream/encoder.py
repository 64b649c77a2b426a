"""Shared by the four paradigms: a small residual network, sets of faces, and results in folders.

Letters: B and N faces, S the side of a face, F features.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

from mien.datasets import Sample, Synthetic
from mien.datasets.synthetic import LABELED
from mien.errors import InputError
from mien.evaluation.compare import METRICS
from mien.evaluation.protocols import Selection
from mien.evaluation.result import Result
from mien.training.backbones import Residual
from mien.training.experiment import Question, answered, arm_row, results_in
from mien.training.faces import FaceSettings, faces_of, held_out, normalize
from mien.training.loop import Batch
from mien.training.run import Run

# Faces in a batch when computing features.
_BATCH = 256


@dataclass(frozen=True)
class Settings(FaceSettings):
    """Settings of a run.

    epochs: passes over as many faces as there are photographs, drawn from the faces of the arm: steps, warm-up and
    averaging are the same for all arms.
    learning_rate: highest learning rate of AdamW, reached after the warm-up.
    widths: channels of the four stages of ResNet-10, one block each.
    """

    learning_rate: float = 1e-3
    widths: tuple[int, ...] = (32, 64, 128, 256)


class Encoder(nn.Module):
    """ResNet-10 with a gray stem, without its classifier."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        strides = (1, *[2] * (len(widths) - 1))
        self.backbone, self.features = Residual(widths, [1] * len(widths), strides, squeeze=False), widths[-1]

    def forward(self, faces: Tensor) -> Tensor:
        """(B, 1, S, S), normalized -> (B, F)."""
        return self.backbone(faces)[-1].mean(dim=(2, 3))  # type: ignore[no-any-return]


def encoder_of(run: Path) -> tuple[Encoder, int]:
    """Return the encoder of a finished run of any paradigm, in evaluation mode, and the side of its faces."""
    values = Run(run).values()
    weights = {
        name.removeprefix("encoder."): value for name, value in Run(run).state().items() if name.startswith("encoder.")
    }
    if not weights:
        raise InputError(f"{run} holds no encoder; give a run that `mien downstream` made")
    encoder = Encoder(values["widths"])
    encoder.load_state_dict(weights)
    return encoder.eval(), int(values["size"])


@torch.no_grad()
def features(encoder: nn.Module, crops: Tensor) -> Tensor:
    """(N, 1, S, S) uint8 faces -> (N, F)."""
    encoder.eval()
    return torch.cat([encoder(normalize(part)) for part in torch.split(crops, _BATCH)])


@dataclass(frozen=True, eq=False)
class Faces:
    """Faces that the arms choose from, cropped.

    photographs: with their votes. voted, asked: the generated faces with the labels of the vote, and with the requested
    ones; None without a folder or a vote. valid: photographs to measure on, strict majority, no duplicates.
    """

    photographs: Selection
    voted: Selection | None
    asked: Selection | None
    valid: Selection


def gather(
    real: Sequence[Sample], synthetic: Path | None, valid: Sequence[Sample], size: int, count: int | None = None
) -> Faces:
    """Return the faces of the data sets and of a folder written by `mien generate`; raise InputError if one is empty.

    count: number of photographs to draw, see `stratified`; None for all.
    """
    checks = held_out(valid, size, "measure on")
    voted = asked = None
    if synthetic is not None:
        asked = faces_of(Synthetic(synthetic, annotated=False), size)
        # Without the file, Synthetic would use the requested labels.
        if (synthetic / LABELED).is_file():
            voted = faces_of(Synthetic(synthetic), size)
    photographs = faces_of(real, size)
    return Faces(photographs if count is None else stratified(photographs, count), voted, asked, checks)


def stratified(faces: Selection, count: int, seed: int = 0) -> Selection:
    """Draw this many faces within each class, so that each keeps its share to within one face.

    Raise InputError if there are fewer.
    """
    total = len(faces.samples)
    if not 0 < count <= total:
        raise InputError(f"{count} photographs cannot be drawn from {total}")
    shuffled = np.random.default_rng(seed).permutation(total)
    by_class = shuffled[np.argsort(faces.labels[shuffled], kind="stable")]
    # Evenly spaced faces in order of their class.
    return _rows(faces, np.sort(by_class[np.arange(count) * total // count]))


def _rows(faces: Selection, rows: NDArray[np.integer]) -> Selection:
    return replace(faces, samples=[faces.samples[i] for i in rows], targets=faces.targets[rows])


def first(faces: Selection, count: int) -> Selection:
    """Return the first `count` faces; raise InputError if there are fewer."""
    if len(faces.samples) < count:
        raise InputError(f"{count} generated faces are needed, but {len(faces.samples)} are left; generate more")
    return _rows(faces, np.arange(count))


def together(*parts: Selection) -> Selection:
    """Concatenate several selections."""
    samples = [sample for part in parts for sample in part.samples]
    return replace(parts[0], samples=samples, targets=np.concatenate([part.targets for part in parts]))


def drawn(data: TensorDataset, draws: int, batch_size: int) -> DataLoader[Batch]:
    """Batches of `draws` rows per epoch, drawn anew in each, without repetition until all were drawn.

    From a larger set each epoch draws another part uniformly; a smaller one is repeated.
    """
    sampler = RandomSampler(data, num_samples=draws)
    return DataLoader(data, batch_size, sampler=sampler, drop_last=draws > batch_size)


def hashes(*files: Path) -> dict[str, str]:
    """Return the SHA-256 of the existing files, by name."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.is_file()}


def counted(samples: Sequence[Sample]) -> dict[str, int]:
    """Count photographs and generated faces."""
    generated = sum(sample.soft is not None for sample in samples)
    return {"photographs": len(samples) - generated, "generated": generated}


def given_of(settings: Settings, given: Mapping[str, Any]) -> Result:
    """Return the common conditions of all runs of a comparison: settings without the seed, and the rest."""
    return {key: value for key, value in asdict(settings).items() if key != "seed"} | dict(given)


def table(arms: Mapping[str, str], folder: Path, pairs: Sequence[tuple[str, str]] = ()) -> Result:
    """Return the finished arms of a folder, averaged over seeds, with differences from the first, all with intervals.

    pairs: further arms to compare if both are finished. Differences use the seeds that both arms have.
    """
    results = results_in(folder, arms)

    def difference(arm: str, other: str, metric: str = "accuracy") -> Result | None:
        answer = answered(Question("", {arm: 1.0, other: -1.0}, metric), results)
        return None if answer is None else {key: answer[key] for key in ("value", "low", "high", "answer")}

    rows, base = [], next(iter(results))
    for arm, runs in results.items():
        row = arm_row(arm, arms[arm], runs)
        row |= {kind: next(iter(runs.values()))[kind] for kind in ("photographs", "generated")}
        if arm != base and (ahead := difference(arm, base)) is not None:
            row |= {"against": base, "difference": ahead}
        rows.append(row)
    contrasts = [
        {"arm": arm, "against": other} | {metric: difference(arm, other, metric) for metric in METRICS}
        for arm, other in pairs
        if difference(arm, other) is not None
    ]
    return {"n": next(iter(results[base].values()))["n"], "arms": rows, "contrasts": contrasts}
