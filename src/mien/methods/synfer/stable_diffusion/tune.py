"""Tune Stable Diffusion on faces: LoRA on captions first, then the adapter on action units, with everything else
frozen.

Both learn to predict the noise added to a face, the paper's loss.

Letters: B faces, K = 24 action units and asymmetries, W words, S the side of a picture.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from mien.datasets.captions import Pair, Pairs
from mien.errors import InputError
from mien.extras import optional
from mien.facs.units import VECTOR
from mien.facs.vocabulary import ASYMMETRIES
from mien.methods.synfer.flow.described import Described
from mien.methods.synfer.stable_diffusion.adapter import Adapter, Lora
from mien.methods.synfer.stable_diffusion.checkpoint import StableDiffusion, load
from mien.training.loop import Batch, LossOf, Schedule, fit

Part = TypeVar("Part", Adapter, Lora)
_SIDES = re.compile(r"\b(left|right)\b", re.IGNORECASE)


@dataclass(frozen=True)
class TuneSettings(Schedule):
    """Settings of both stages. The defaults of the schedule are those of an unofficial reproduction.

    checkpoint: Stable Diffusion checkpoint: a folder or a hub id, with @REVISION appended if wanted.
    size: side of a picture in pixels; 0 for that of the checkpoint.
    batch_size: pictures in a step.
    no_caption: share of pictures trained without their caption.
    workers: processes that read pictures.
    checkpointing: recompute activations of the U-Net instead of storing them: less memory, more time.
    """

    epochs: int = 5
    warmup: float = 0.0
    learning_rate: float = 1e-4
    last_learning_rate: float = 1e-4
    weight_decay: float = 1e-2
    clip: float = 1.0
    average: float = 0.0
    precision: str = "bf16-mixed"
    seed: int = 3407
    checkpoint: str = "stable-diffusion-v1-5/stable-diffusion-v1-5"
    size: int = 0
    batch_size: int = 32
    no_caption: float = 0.1
    workers: int = 0
    checkpointing: bool = False


@dataclass(frozen=True)
class LoraSettings(TuneSettings):
    """Settings of the first stage.

    rank: rank of the low-rank update (LoRA) of the U-Net.
    """

    rank: int = 4


@dataclass(frozen=True)
class AdapterSettings(TuneSettings):
    """Settings of the second stage.

    lora: folder of a finished first stage; "" for the checkpoint as it is.
    tokens: "units" for one token per action unit, or "one" for a single token, as published.
    no_units: share of pictures trained without action units.
    no_condition: share of pictures trained without caption and action units.
    jitter: standard deviation of the noise added to action units.
    """

    batch_size: int = 16
    lora: str = ""
    tokens: str = "units"
    no_units: float = 0.1
    no_condition: float = 0.1
    jitter: float = 0.03


def train_lora(pairs: Pairs | Described, settings: LoraSettings, folder: Path, *, resume: bool = False) -> Lora:
    """First stage: tune the U-Net's attention on faces and captions.

    The folder receives the run, and pytorch_lora_weights.safetensors for diffusers and tools built on it. resume:
    continue an interrupted run.
    """
    torch.manual_seed(settings.seed)
    model = load(settings.checkpoint)
    lora = Lora(model.unet, settings.rank)
    no_words = model.ids([""])

    def loss_of(network: nn.Module, batch: Batch) -> Tensor:
        pictures, ids, _ = batch
        no_caption = torch.rand(len(ids), 1) < settings.no_caption
        ids = torch.where(no_caption.to(ids.device), no_words.to(ids.device), ids)
        return noise_loss(model, network, pictures, ids, settings.precision)

    _tune(model, lora, pairs, loss_of, settings, folder, resume)
    kept = optional("peft", "generate").get_peft_model_state_dict(model.unet)
    optional("diffusers", "generate").StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=kept)
    return lora


def train_adapter(
    pairs: Pairs | Described, settings: AdapterSettings, folder: Path, *, resume: bool = False
) -> Adapter:
    """Second stage: train the adapter on action units. The folder receives the run.

    resume: continue an interrupted run. Raise InputError if no pair has action units.
    """
    if np.isnan(pairs.units).all():
        raise InputError('no pair has action units to learn from; add "action_units" to the lines of captions.jsonl')
    torch.manual_seed(settings.seed)
    model = load(settings.checkpoint, lora=settings.lora)
    if settings.lora:
        # Relative to the run, so that both can be moved together.
        settings = replace(settings, lora=os.path.relpath(Path(settings.lora).resolve(), folder.resolve()))
    adapter = Adapter(model.unet, settings.tokens)
    no_words = model.ids([""])

    def loss_of(network: nn.Module, batch: Batch) -> Tensor:
        pictures, ids, units = batch
        no_caption, no_units = (part.to(ids.device) for part in withheld(len(ids), settings))
        ids = torch.where(no_caption, no_words.to(ids.device), ids)
        units = torch.where(no_units, torch.nan, shaken(units, settings.jitter))
        return noise_loss(model, network, pictures, ids, settings.precision, units)

    _tune(model, adapter, pairs, loss_of, settings, folder, resume)
    return adapter


def withheld(count: int, settings: AdapterSettings) -> tuple[Tensor, Tensor]:
    """(count, 1) bool each: whose caption and whose action units to withhold, so that guidance can omit either.

    One draw per face, so that the shares match the settings.
    """
    draw = torch.rand(count, 1)
    one, two = settings.no_caption, settings.no_caption + settings.no_units
    both = (draw >= two) & (draw < two + settings.no_condition)
    return (draw < one) | both, ((draw >= one) & (draw < two)) | both


def shaken(units: Tensor, jitter: float) -> Tensor:
    """(B, K) action units with noise, clipped to their range; NaN stays NaN."""
    least = units.new_zeros(VECTOR)
    least[-len(ASYMMETRIES) :] = -1
    return (units + jitter * torch.randn_like(units)).maximum(least).clamp(max=1)


def noise_loss(
    model: StableDiffusion, network: nn.Module, pictures: Tensor, ids: Tensor, precision: str, *conditions: Tensor
) -> Tensor:
    """Return the mean squared error of the network about the noise in (B, 3, S, S) uint8 pictures at random times.

    network: an Adapter or Lora.   ids: (B, W) of captions.   conditions: further inputs of the network.
    """
    with torch.no_grad(), model.autocast(precision):
        clean, words = model.encode(pictures, draw=True), model.words(ids)
    noise = torch.randn_like(clean)
    times = torch.randint(model.scheduler.config.num_train_timesteps, (len(clean),), device=clean.device)
    predicted = network(model.unet, model.scheduler.add_noise(clean, noise, times), times, words, *conditions)
    return F.mse_loss(predicted.float(), model.target(clean, noise, times))


def squared(image: NDArray[np.uint8], side: int) -> Tensor:
    """(3, side, side) uint8 of the central square of an (H, W, 3) picture."""
    fitted = ImageOps.fit(Image.fromarray(image), (side, side), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(fitted)).permute(2, 0, 1)


class Tensors(Dataset[Batch]):
    """Pairs as (3, S, S) uint8 pictures, (W,) words and (K,) action units. Half of the pictures are mirrored."""

    def __init__(self, pairs: Sequence[Pair], model: StableDiffusion, size: int) -> None:
        self._pairs, self._ids, self._side = pairs, model.ids, model.side(size)

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> Batch:
        pair = self._pairs[index]
        picture, units = squared(pair.image, self._side), torch.tensor(pair.action_units)
        # A caption about one side is wrong for the mirror image.
        if torch.rand(()) < 0.5 and not _SIDES.search(pair.caption):
            picture = picture.flip(-1)
            units[-len(ASYMMETRIES) :] *= -1
        return picture, self._ids([pair.caption])[0], units


def _tune(
    model: StableDiffusion,
    part: Part,
    pairs: Sequence[Pair],
    loss_of: LossOf,
    settings: TuneSettings,
    folder: Path,
    resume: bool,
) -> None:
    if settings.checkpointing:
        model.unet.enable_gradient_checkpointing()
    loader: DataLoader[Batch] = DataLoader(
        Tensors(pairs, model, settings.size),
        settings.batch_size,
        shuffle=True,
        num_workers=settings.workers,
        drop_last=len(pairs) > settings.batch_size,
    )
    averaged = fit(part, loader, loss_of, settings, folder, resume=resume)
    # `fit` returns a copy; this one is part of the U-Net.
    part.load_state_dict(averaged.state_dict())
