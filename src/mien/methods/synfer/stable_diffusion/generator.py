"""SynFER in its published size: Stable Diffusion with words and action units, steered by classifiers.

Faces are drawn by DDIM (Song et al., 2021) from noise, or from an inverted picture, which keeps its layout. tune.py
tunes a checkpoint for it. README.md lists what is published and what is ours.

Letters: B faces, K = 24 action units and asymmetries, W words, D the width of a word, S the side of a picture, h and w
the size of its latents.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from mien.core.align import MAX_MULTIPLE, Floats, inverse, to_crop_frame
from mien.core.detect import Detector, YuNet, surest
from mien.datasets.captions import Pairs, prompt, unit_vector
from mien.errors import InputError
from mien.facs.units import VECTOR
from mien.facs.vocabulary import Expression
from mien.methods.synfer.flow.guidance import Guidance, moved_estimate, moved_tokens
from mien.methods.synfer.flow.requests import Request
from mien.methods.synfer.flow.sample import Plan, branches, stream
from mien.methods.synfer.stable_diffusion.checkpoint import PRECISIONS, DdimStep, StableDiffusion, joined, load
from mien.methods.synfer.stable_diffusion.tune import AdapterSettings, LoraSettings, squared, train_adapter, train_lora
from mien.training.faces import luma, normalize

__all__ = [
    "AdapterSettings", "Guides", "LoraSettings", "Pairs", "Request", "Sampling", "StableDiffusion", "draw",
    "generate", "invert", "load", "train_adapter", "train_lora", "unit_vector",
]  # fmt: skip
_NO_LABEL = -100
Images = Sequence[NDArray[np.uint8]]


@dataclass(frozen=True)
class Sampling(Plan):
    """Settings of sampling; steps, scales and depth as in Plan. With equal scales, the rule is the published one.

    negative: caption of the unconditional branch.   size: side of the pictures in pixels; 0 for that of the checkpoint.
    batch_size: faces in a batch.   seed: of the noise, together with a request's identity. precision: "32-true" or
    "bf16-mixed".
    """

    steps: int = 50
    text_scale: float = 7.5
    unit_scale: float = 7.5
    negative: str = "low quality, blurry, deformed"
    size: int = 0
    batch_size: int = 4
    seed: int = 0
    precision: str = "32-true"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.precision not in PRECISIONS or self.batch_size < 1:
            raise InputError(
                f"precision is {' or '.join(PRECISIONS)} and batch_size 1 or more, but got {self.precision!r} and "
                f"{self.batch_size}"
            )


@dataclass(frozen=True, eq=False)
class Guides:
    """Networks that steer the sampling. Faces must be judged by others. At least one is needed.

    expression: normalized (B, 1, size, size) gray faces to answers with `logits`, (B, 8) in Expression order. units:
    the same with `action_units`, (B, 24).   guidance: its strength.   size: side of the faces they read. detect: finds
    the face in a picture; pictures without one are not guided.
    """

    expression: nn.Module | None = None
    units: nn.Module | None = None
    guidance: Guidance = field(default_factory=Guidance)
    size: int = 48
    detect: Detector = field(default_factory=YuNet)

    def to(self, device: torch.device) -> None:
        """Move the networks to a device, in evaluation mode."""
        for network in (self.expression, self.units):
            if network is not None:
                network.to(device).eval()

    def loss(self, pictures: Tensor, labels: Tensor, units: Tensor) -> Tensor:
        """(B,) loss of (B, 3, S, S) pictures, 0 to 1, against the requests; 0 without a face.

        labels: (B,) expressions, -100 for none.   units: (B, K), NaN for no request.
        """
        frames, detected = self._frames(pictures)
        gray = luma(pictures)  # (B, 1, S, S)
        faces = normalize(cut(gray, frames, self.size))  # (B, 1, size, size)
        loss = faces.sum(dim=(1, 2, 3)) * 0  # keep a gradient, though 0, without requests
        if self.expression is not None:
            loss = loss + F.cross_entropy(self.expression(faces).logits.float(), labels, reduction="none")
        if self.units is not None:
            known = ~units.isnan()
            read = self.units(faces).action_units.float()
            missed = F.huber_loss(read, torch.where(known, units, read), reduction="none", delta=0.1)
            loss = loss + self.guidance.unit_weight * missed.sum(dim=1) / known.sum(dim=1).clamp(min=1)
        return loss * detected

    def _frames(self, pictures: Tensor) -> tuple[list[Floats], Tensor]:
        """Return the frame of each picture's most confident face, or of all of it, and whether a face exists."""
        seen = _as_bytes(pictures.detach())
        faces = [surest(self.detect(picture)) for picture in seen]
        frames = [np.eye(2, 3) / seen.shape[1] if face is None else to_crop_frame(face) for face in faces]
        return frames, torch.tensor([face is not None for face in faces], device=pictures.device)


def cut(gray: Tensor, frames: Sequence[Floats], size: int) -> Tensor:
    """(B, 1, size, size): the crops of core.align.align from (B, 1, H, W) pictures, one frame each, differentiable."""
    height, width = gray.shape[2:]
    longest = max(abs(np.linalg.det(frame[:, :2])) ** -0.5 for frame in frames)
    multiple = int(np.clip(np.ceil(longest / size - 0.05), 1, MAX_MULTIPLE))
    matrix = np.stack([inverse(frame) for frame in frames])  # (B, 2, 3), from shares of the crop to pixels
    # The same in coordinates from -1 to 1.
    matrix[:, :, 2] += matrix[:, :, :2].sum(axis=2) / 2
    matrix[:, :, :2] /= 2
    matrix *= np.array([2 / width, 2 / height])[:, None]
    matrix[:, :, 2] -= 1
    grid = F.affine_grid(gray.new_tensor(matrix), [len(gray), 1, size * multiple, size * multiple], align_corners=False)
    return F.avg_pool2d(F.grid_sample(gray, grid, padding_mode="border", align_corners=False), multiple)


def generate(
    checkpoint: str | Path,
    requests: Sequence[Request],
    settings: Sampling | None = None,
    *,
    layouts: Images | None = None,
    guides: Guides | None = None,
    lora: str | Path | None = None,
    adapter: str | Path | None = None,
    device: str | torch.device | None = None,
) -> Iterator[NDArray[np.uint8]]:
    """Return the requested faces in order, each (S, S, 3) uint8 RGB. The same request gives the same face.

    requests: captions may have any words; without one, the caption names the expression. layouts: for each request an
    (H, W, 3) uint8 picture whose layout to keep; by default noise decides. checkpoint, lora, adapter, device: see
    `load`.
    Raise InputError if a request needs something that is not given.
    """
    settings = settings or Sampling()
    asked_units = [number for number, request in enumerate(requests, 1) if not np.isnan(request.units).all()]
    if asked_units and adapter is None:
        raise InputError(
            f"request {asked_units[0]} asks for action units, which needs an adapter; train_adapter makes one"
        )
    if layouts is not None and len(layouts) != len(requests):
        raise InputError(
            f"each request needs a layout, but there are {len(requests)} requests and {len(layouts)} layouts"
        )
    model = load(checkpoint, lora=lora, adapter=adapter, device=device)
    parts = [slice(i, i + settings.batch_size) for i in range(0, len(requests), settings.batch_size)]
    return (
        face
        for part in parts
        for face in draw(
            model, requests[part], settings, layouts=None if layouts is None else layouts[part], guides=guides
        )
    )


@torch.no_grad()
def draw(
    model: StableDiffusion,
    requests: Sequence[Request],
    settings: Sampling,
    *,
    layouts: Images | None = None,
    guides: Guides | None = None,
) -> NDArray[np.uint8]:
    """(B, S, S, 3) uint8 faces in one batch; see `generate`."""
    levels = model.levels(settings.steps)
    if guides is not None:
        guides.to(model.device)
    with model.autocast(settings.precision):
        asked = _asked(model, requests, settings)
        latents = _noise(model, requests, settings) if layouts is None else inverted(model, layouts, settings)
        for number in range(len(levels) if layouts is None else _depth(settings), 0, -1):
            guiding = guides if guides is not None and number <= round(guides.guidance.share * len(levels)) else None
            asked, latents = _step(model, latents, levels[-number], asked, settings, guiding)
        return _as_bytes(model.decode(latents))


class Conditioning(NamedTuple):
    """B requests as inputs of the networks.

    words, no_words: (B, W, D) of the captions and of the negative one.   units: (B, K), NaN for no request. labels:
    (B,) expressions, -100 for none.
    """

    words: Tensor
    no_words: Tensor
    units: Tensor
    labels: Tensor


def _asked(model: StableDiffusion, requests: Sequence[Request], settings: Sampling) -> Conditioning:
    labels = [_NO_LABEL if request.expression is None else int(request.expression) for request in requests]
    return Conditioning(
        model.words([request.caption or prompt(request.expression) for request in requests]),
        model.words([settings.negative] * len(requests)),
        torch.tensor(np.stack([request.units for request in requests]), dtype=torch.float32, device=model.device),
        torch.tensor(labels, device=model.device),
    )


def _noise(model: StableDiffusion, requests: Sequence[Request], settings: Sampling) -> Tensor:
    """(B, 4, h, w); a face's noise depends neither on the device nor on the batch."""
    side = model.side(settings.size) // model.factor
    shape = model.unet.config.in_channels, side, side
    seeds = [stream(settings.seed, request.identity, request.attempt) for request in requests]
    noise = np.stack([np.random.default_rng(seed).standard_normal(shape, np.float32) for seed in seeds])
    return torch.from_numpy(noise).to(model.device)


def _step(
    model: StableDiffusion,
    noisy: Tensor,
    level: DdimStep,
    asked: Conditioning,
    settings: Sampling,
    guides: Guides | None,
) -> tuple[Conditioning, Tensor]:
    """Return the requests from now on (moved words stay moved) and the latents of the next level."""
    if guides is not None and guides.guidance.mode == "tokens":
        asked = asked._replace(words=_moved_words(model, noisy, level, asked, guides))
    clean, noise = model.parted(_composed(model, noisy, level, asked, settings), noisy, level.alpha)
    if guides is not None and guides.guidance.mode == "estimate":
        clean = moved_estimate(clean, partial(_off, model, asked, guides), guides.guidance.estimate_step)
        noise = (noisy - math.sqrt(level.alpha) * clean) / math.sqrt(1 - level.alpha)
    return asked, joined(clean, noise, level.below)


def _off(model: StableDiffusion, asked: Conditioning, guides: Guides, clean: Tensor) -> Tensor:
    """(B,) loss of the guides for clean latents."""
    return guides.loss(model.decode(clean), asked.labels, asked.units)


def _moved_words(model: StableDiffusion, noisy: Tensor, level: DdimStep, asked: Conditioning, guides: Guides) -> Tensor:
    """(B, W, D) words of the captions, moved down the guides' loss of the predicted faces."""

    def loss(words: Tensor) -> Tensor:
        predicted = model.unet(noisy, level.time, _context(model, words, asked.units)).sample.float()
        return _off(model, asked, guides, model.parted(predicted, noisy, level.alpha)[0])

    return moved_tokens(asked.words, loss, guides.guidance.token_step)


def _composed(
    model: StableDiffusion, noisy: Tensor, level: DdimStep, asked: Conditioning, settings: Sampling
) -> Tensor:
    """Return the U-Net's prediction under composed guidance; all branches are evaluated in one batch."""
    if model.adapter is None:  # no condition beyond the text
        settings = replace(settings, unit_scale=settings.text_scale)
    chosen, free = branches(settings), torch.full_like(asked.units, torch.nan)
    contexts = [
        _context(model, asked.words if branch.text else asked.no_words, asked.units if branch.units else free)
        for branch in chosen
    ]
    predicted = model.unet(torch.cat([noisy] * len(chosen)), level.time, torch.cat(contexts)).sample.float()
    weights = predicted.new_tensor([branch.weight for branch in chosen])
    return torch.einsum("n,nbchw->bchw", weights, torch.stack(predicted.chunk(len(chosen))))


def _context(model: StableDiffusion, words: Tensor, units: Tensor) -> Tensor:
    return words if model.adapter is None else model.adapter.context(words, units)


def invert(
    checkpoint: str | Path,
    pictures: Images,
    settings: Sampling | None = None,
    *,
    lora: str | Path | None = None,
    adapter: str | Path | None = None,
    device: str | torch.device | None = None,
) -> Tensor:
    """(N, 4, h, w) noisy latents, `depth` of the way to noise, from which DDIM redraws N pictures.

    pictures: (H, W, 3) uint8 RGB; the central square is used. The rest as in `generate`.
    """
    settings = settings or Sampling()
    model = load(checkpoint, lora=lora, adapter=adapter, device=device)
    starts = range(0, len(pictures), settings.batch_size)
    return torch.cat([inverted(model, pictures[i : i + settings.batch_size], settings) for i in starts])


@torch.no_grad()
def inverted(model: StableDiffusion, pictures: Images, settings: Sampling) -> Tensor:
    """(B, 4, h, w) in one batch; see `invert`.

    Takes the steps of DDIM upwards, conditioned on a neutral face without action units. Each step uses the U-Net's
    prediction at its start for that at its end.
    """
    side, levels = model.side(settings.size), model.levels(settings.steps)[-_depth(settings) :]
    with model.autocast(settings.precision):
        words = model.words([prompt(Expression.NEUTRAL)] * len(pictures))
        context = _context(model, words, words.new_full((len(words), VECTOR), torch.nan))
        latents = model.encode(torch.stack([squared(picture, side) for picture in pictures]))
        for level in reversed(levels):
            predicted = model.unet(latents, level.time, context).sample.float()
            latents = joined(*model.parted(predicted, latents, level.below), level.alpha)
    return latents


def _depth(settings: Sampling) -> int:
    """Return the number of steps that a layout is inverted."""
    return max(1, round(settings.depth * settings.steps))


def _as_bytes(pictures: Tensor) -> NDArray[np.uint8]:
    """(B, 3, S, S), 0 to 1 -> (B, S, S, 3) uint8."""
    return (pictures * 255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
