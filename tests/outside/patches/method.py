"""The network, its training and its export."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Unpack

import torch
from torch import Tensor, nn

from mien.datasets import Sample
from mien.export.runs import ExportOptions, export_run
from mien.facs.vocabulary import Expression
from mien.training.faces import FaceSettings, faces_of, fit_faces
from mien.training.run import Run, Trained


@dataclass(frozen=True)
class Settings(FaceSettings):
    """Everything that a run depends on, besides the data.   patch: its side in pixels.   width: channels."""

    epochs: int = 10
    patch: int = 8
    width: int = 64


PRESETS = {"small": Settings(), "tiny": Settings(width=8)}


class PatchScores(NamedTuple):
    """logits: (B, 8) in Expression order."""

    logits: Tensor


class Patches(nn.Module):
    """Patches to features, their mean to expressions."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, settings.width, settings.patch, settings.patch)
        self.norm = nn.BatchNorm2d(settings.width)
        side = settings.size // settings.patch
        self.expression = nn.Linear(settings.width * side**2, len(Expression))

    def forward(self, faces: Tensor) -> PatchScores:
        """(B, 1, S, S), normalized -> PatchScores."""
        return PatchScores(self.expression(self.norm(self.patches(faces)).relu().flatten(1)))


class Outputs(nn.Module):
    """A network's answers by name, as the outputs of its ONNX file."""

    def __init__(self, network: Patches) -> None:
        super().__init__()
        self.network = network

    def forward(self, faces: Tensor) -> dict[str, Tensor]:
        """(B, 1, S, S) -> logits (B, 8)."""
        return {"logits": self.network(faces).logits}


def train(
    dataset: Sequence[Sample],
    settings: Settings,
    folder: Path,
    *,
    valid: Sequence[Sample] | None = None,
    resume: bool = False,
) -> Patches:
    """Train a network; the folder receives the run."""
    torch.manual_seed(settings.seed)
    faces = faces_of(dataset, settings.size)
    trained: Patches = fit_faces(Patches(settings), faces, settings, folder, valid=valid, resume=resume)
    Run(folder).keep_data(dataset)
    return trained


def load(folder: Path) -> Trained[Patches, Settings, None]:
    """Return the trained network of a run's folder."""
    return Run(folder).open(Settings, Patches)


def export(folder: Path, output: Path, **options: Unpack[ExportOptions]) -> dict[str, float]:
    """Write the run's network to an ONNX file; return how far both differ."""
    trained = load(folder)
    return export_run(trained, output, Outputs(trained.network), **options)
