"""The full-size generator as a method, for `mien train synfer-full` and `mien generate --model RUN`. Needs diffusers.

A run tunes a checkpoint of Stable Diffusion in two stages: its attention on captions, saved in the folder `text`, then
the adapter on action units.

Letters: B faces, S their side.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mien.datasets import Sample
from mien.datasets.captions import Pairs
from mien.datasets.pseudo_labels import PseudoLabels
from mien.errors import InputError
from mien.facs.vocabulary import Expression
from mien.methods.synfer.flow.described import Described
from mien.methods.synfer.flow.export import about_of
from mien.methods.synfer.flow.requests import Request
from mien.methods.synfer.flow.sample import About
from mien.methods.synfer.flow.train import ABOUT
from mien.methods.synfer.stable_diffusion.adapter import Adapter
from mien.methods.synfer.stable_diffusion.checkpoint import StableDiffusion
from mien.methods.synfer.stable_diffusion.checkpoint import load as open_checkpoint
from mien.methods.synfer.stable_diffusion.generator import Guides, Images, Sampling, draw
from mien.methods.synfer.stable_diffusion.tune import (
    AdapterSettings,
    LoraSettings,
    TuneSettings,
    train_adapter,
    train_lora,
)
from mien.training.run import Run, Trained

TEXT = "text"
# Most faces in the bank of an expression.
_BANK = 64


@dataclass(frozen=True)
class Settings(AdapterSettings):
    """Settings of a run of the full-size generator; those without `text` in their name are of the second stage or of
    both.

    text_epochs: passes of the first stage; 0 leaves it out, and so does `lora`, the folder of a finished one.
    text_batch_size: pictures in a step of the first stage.
    rank: rank of the low-rank update (LoRA) of the first stage.
    """

    text_epochs: int = 5
    text_batch_size: int = 32
    rank: int = 4


# As in an unofficial reproduction of the paper: one token, and action units always given, without noise.
PAPER = Settings(tokens="one", no_caption=0.05, no_units=0.0, no_condition=0.0, jitter=0.0)
PRESETS = {"small": Settings(), "paper": PAPER}


def train(
    dataset: Sequence[Sample],
    settings: Settings,
    folder: Path,
    *,
    valid: Sequence[Sample] | None = None,
    labels: PseudoLabels | None = None,
    resume: bool = False,
) -> Adapter:
    """Train both stages; the folder receives the run, and the first stage's run in its folder `text`.

    dataset: `Pairs`, or any photographs with `labels`, a teacher's action units of them. valid: must be None, since
    nothing is measured during this training; else raise InputError.
    """
    if valid is not None:
        raise InputError("nothing is measured while the full size trains; leave --valid out, and use `mien judge`")
    run = Run(folder)
    pairs = _pairs(dataset, labels, settings.seed)
    if Path(settings.checkpoint).is_dir():
        settings = replace(settings, checkpoint=str(Path(settings.checkpoint).resolve()))
    if settings.text_epochs and not settings.lora:
        text = run.stage(TEXT).folder
        train_lora(pairs, _first_stage(settings), text, resume=resume)
        settings = replace(settings, lora=str(text))
    adapter = train_adapter(pairs, settings, folder, resume=resume)
    run.write_json(ABOUT, _about(pairs, settings).to_meta())
    run.keep_data(dataset)
    return adapter


def _pairs(dataset: Sequence[Sample], labels: PseudoLabels | None, seed: int) -> Pairs | Described:
    if labels is not None:
        return Described(dataset, labels, seed)
    if not isinstance(dataset, Pairs):
        raise InputError(
            "the full size learns captions and action units; give --data captions:FOLDER, or --pseudo-labels, the "
            "file of `mien pseudo-label`, of whatever --data"
        )
    return dataset


def _first_stage(settings: Settings) -> LoraSettings:
    shared = {field.name: getattr(settings, field.name) for field in fields(TuneSettings)}
    shared |= {"epochs": settings.text_epochs, "batch_size": settings.text_batch_size}
    return LoraSettings(**shared, rank=settings.rank)


def _about(pairs: Pairs | Described, settings: Settings) -> About:
    """Return typical faces of each expression; there is no vocabulary, since captions may have any words."""
    known = ~np.isnan(pairs.units).any(axis=1)
    labels = np.array([-1 if label is None else int(label) for label in pairs.labels])
    rng = np.random.default_rng(settings.seed)
    bank = {}
    for expression in Expression:
        rows = np.flatnonzero(known & (labels == expression))
        bank[expression] = pairs.units[np.sort(rng.choice(rows, min(_BANK, len(rows)), replace=False))]
    counts = np.bincount(labels[labels >= 0], minlength=len(Expression))
    shares = counts / counts.sum() if counts.any() else np.full(len(Expression), 1 / len(Expression))
    return About(settings.size, (), bank, shares.astype(np.float32))


def load(
    folder: Path, device: str | torch.device | None = None
) -> Trained[Adapter, Settings, tuple[StableDiffusion, About]]:
    """Return the adapter of a finished run, in the checkpoint that it tuned, and the run's description.

    device: name in torch; by default the fastest. Raise InputError if the run or the checkpoint cannot be opened.
    """
    run = Run(folder)
    settings, about = run.settings(Settings), about_of(folder)
    model = open_checkpoint(settings.checkpoint, adapter=folder, device=device)
    assert model.adapter is not None
    return Trained(model.adapter, settings, run, (model, about))


class Painter:
    """A finished run, opened to draw requests.

    sampling: size 0 is that of its training pictures. about: its description, without a vocabulary. Raise InputError if
    the run or its checkpoint cannot be opened.
    """

    def __init__(
        self,
        run: Path,
        sampling: Sampling,
        guides: Guides | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        trained = load(run, device)
        self.checkpoint = trained.settings.checkpoint
        self._model, about = trained.rest
        self.about = replace(about, size=self._model.side(sampling.size or trained.settings.size))
        self._sampling, self._guides = replace(sampling, size=self.about.size), guides

    def draw(self, some: Sequence[Request], layouts: Images | None = None) -> NDArray[np.uint8]:
        """(B, S, S, 3) uint8 RGB in one batch.   layouts: see `generate`."""
        return draw(self._model, some, self._sampling, layouts=layouts, guides=self._guides)
