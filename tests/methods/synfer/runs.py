"""Tiny data and runs that several tests train on: drawn faces with action units a teacher might have given them."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from mien.datasets import Sample
from mien.datasets.pseudo_labels import PseudoLabels
from mien.facs.blendshapes import BLENDSHAPES, ShapeCalibration
from mien.facs.units import VECTOR
from mien.facs.vocabulary import Expression
from mien.methods.synfer.flow.sample import About
from mien.methods.synfer.flow.train import Settings, build
from mien.methods.vtff.train import Settings as Vtff
from mien.methods.vtff.train import build as build_vtff
from tests.helpers import drawn_face
from tests.methods.synfer import toy

HAPPY, SAD = Expression.HAPPINESS, Expression.SADNESS
TINY = Settings(
    epochs=1, text_epochs=8, adapter_epochs=1, learning_rate=5e-3, average=0.5, batch_size=8, size=24, channels=(8, 16),
    blocks=1, width=16, heads=2, depth=1, captions=2, shift=1, precision="32-true",
)  # fmt: skip


def faces(count: int) -> list[Sample]:
    """Smiling and frowning faces in turn, no two alike."""
    return [
        Sample(np.stack([drawn_face(i % 2 == 0, i)] * 3, axis=-1), expression=(HAPPY, SAD)[i % 2], source=f"drawn:{i}")
        for i in range(count)
    ]


def labels(count: int, missed: tuple[int, ...] = ()) -> PseudoLabels:
    """Smiles have AU12 and a stronger left side, frowns AU15 and AU4; the teacher missed some faces."""
    units = np.full((count, VECTOR), 0.02, np.float32)
    units[::2, [8, 21]], units[1::2, [10, 2]] = (0.9, 0.3), (0.8, 0.5)
    found = np.ones(count, bool)
    found[list(missed)] = False
    units[~found] = np.nan
    rest = np.zeros(len(BLENDSHAPES))
    return PseudoLabels(
        found,
        np.zeros((count, 68, 2), np.float32),
        np.zeros((count, len(BLENDSHAPES)), np.float32),
        np.zeros((count, 3), np.float32),
        units,
        [f"drawn:{i}" for i in range(count)],
        ShapeCalibration(rest, rest + 1),
        {},
    )


def finished(folder: Path, network: nn.Module, settings: object, half: str = "") -> Path:
    """The folder of a run that ended with this network."""
    folder.mkdir(parents=True)
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, folder / "model.safetensors")
    (folder / "settings.json").write_text(json.dumps(asdict(settings)))
    (folder / "data.json").write_text(json.dumps({"half": half}))
    return folder


def guided_run(folder: Path) -> tuple[Path, Path]:
    """Finished runs of an untrained generator and of an untrained guide from half a, both of 24 pixels."""
    torch.manual_seed(0)
    generator = finished(folder / "generator", build(TINY, len(toy.WORDS)), TINY)
    about = About(TINY.size, toy.WORDS, toy.about().bank, toy.about().shares)
    (generator / "about.json").write_text(json.dumps(about.to_meta()))
    settings = Vtff(size=24, widths=(4, 8), blocks=(1, 1), strides=(2, 2), width=16, heads=2, depth=1, hidden=32)
    return generator, finished(folder / "guide", build_vtff(settings), settings, "half-a")
