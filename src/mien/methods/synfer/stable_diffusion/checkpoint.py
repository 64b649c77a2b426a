"""A Stable Diffusion checkpoint opened with diffusers: encode words and pictures for its U-Net, and decode latents.

Letters: B pictures, S their side, W words, D the width of a word, h and w the size of their latents.
"""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from mien.errors import InputError
from mien.extras import optional
from mien.methods.synfer.stable_diffusion.adapter import Adapter, Lora
from mien.training.run import Run

PREDICTIONS = ("epsilon", "v_prediction")
PRECISIONS = ("32-true", "bf16-mixed")
Part = TypeVar("Part", bound=nn.Module)


class DdimStep(NamedTuple):
    """A step of DDIM.

    time: as the U-Net counts it.   alpha: cumulative alpha, the share of the picture in the variance; 1 without noise.
    below: that of the next step.
    """

    time: int
    alpha: float
    below: float


@dataclass(frozen=True, eq=False)
class StableDiffusion:
    """Parts of a checkpoint, frozen, in single precision.

    adapter: the adapter inserted into the U-Net, if any.
    """

    tokenizer: Any
    text_encoder: Any
    vae: Any
    unet: Any
    scheduler: Any
    device: torch.device
    adapter: Adapter | None = None

    @property
    def factor(self) -> int:
        """Side of a latent pixel, in pixels of the picture."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    def side(self, size: int) -> int:
        """Return the side of pictures in pixels; 0 is the checkpoint's. Raise InputError if latents cannot have it."""
        if size % self.factor or size < 0:
            raise InputError(f"size must be a multiple of {self.factor} pixels for this checkpoint, but got {size}")
        return size or int(self.unet.config.sample_size) * self.factor

    def ids(self, texts: Sequence[str]) -> Tensor:
        """(B, W) token numbers of texts, truncated to the checkpoint's length (W = 77)."""
        options = {"padding": "max_length", "truncation": True, "return_tensors": "pt"}
        most = self.text_encoder.config.max_position_embeddings
        numbers: Tensor = self.tokenizer(list(texts), max_length=most, **options).input_ids
        return numbers

    def words(self, texts: Sequence[str] | Tensor) -> Tensor:
        """(B, W, D) embeddings of texts or of their `ids`."""
        ids = texts if isinstance(texts, Tensor) else self.ids(texts)
        words: Tensor = self.text_encoder(ids.to(self.device)).last_hidden_state
        return words

    def encode(self, pictures: Tensor, *, draw: bool = False) -> Tensor:
        """(B, 3, S, S) uint8 -> (B, 4, h, w), the mean latents or, with `draw`, a sample."""
        scaled = pictures.to(self.device).float() / 127.5 - 1
        latent = self.vae.encode(scaled).latent_dist
        latents: Tensor = (latent.sample() if draw else latent.mode()) * self.vae.config.scaling_factor
        return latents

    def decode(self, latents: Tensor) -> Tensor:
        """(B, 4, h, w) -> (B, 3, S, S) pictures, 0 to 1."""
        pictures: Tensor = self.vae.decode(latents / self.vae.config.scaling_factor).sample
        return torch.clamp(pictures.float() / 2 + 0.5, 0, 1)

    def levels(self, steps: int) -> list[DdimStep]:
        """Return the steps of DDIM from noise to a picture."""
        most = self.scheduler.config.num_train_timesteps
        if not 1 <= steps <= most:
            raise InputError(f"steps must be from 1 to {most} for this checkpoint, but got {steps}")
        self.scheduler.set_timesteps(steps)
        times = self.scheduler.timesteps.tolist()
        alphas = [float(self.scheduler.alphas_cumprod[time]) for time in times]
        ends = [*alphas[1:], float(self.scheduler.final_alpha_cumprod)]
        return [DdimStep(*level) for level in zip(times, alphas, ends, strict=True)]

    def parted(self, predicted: Tensor, noisy: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
        """Split a U-Net's prediction about noisy latents into clean latents and noise."""
        clean_part, noise_part = math.sqrt(alpha), math.sqrt(1 - alpha)
        if self.scheduler.config.prediction_type == "epsilon":
            return (noisy - noise_part * predicted) / clean_part, predicted
        return clean_part * noisy - noise_part * predicted, clean_part * predicted + noise_part * noisy

    def target(self, clean: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """Return the U-Net's target for clean latents with noise at (B,) times."""
        if self.scheduler.config.prediction_type == "epsilon":
            return noise
        velocity: Tensor = self.scheduler.get_velocity(clean, noise, times)
        return velocity

    def autocast(self, precision: str) -> AbstractContextManager[None]:
        """Return the autocast context for "bf16-mixed" precision."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=precision == "bf16-mixed")


def joined(clean: Tensor, noise: Tensor, alpha: float) -> Tensor:
    """Mix latents and noise; the inverse of `parted`."""
    return math.sqrt(alpha) * clean + math.sqrt(1 - alpha) * noise


def load(
    checkpoint: str | Path,
    *,
    lora: str | Path | None = None,
    adapter: str | Path | None = None,
    device: str | torch.device | None = None,
) -> StableDiffusion:
    """Open a checkpoint of Stable Diffusion 1 or 2.

    checkpoint: a folder written by diffusers, or a name in the Hugging Face cache. Nothing is downloaded, and only
    safetensors are read. lora, adapter: folders of finished runs. By default `lora` is that of the adapter's training;
    "" for none. device: name in torch; by default the fastest.
    Raise InputError if a part is missing or does not match.
    """
    if adapter and lora is None:
        named = _setting(Path(adapter), "lora")
        lora = Path(adapter).resolve() / named if named else ""
    model = _opened(str(checkpoint), Fabric(devices=1).device if device is None else torch.device(device))
    if lora:
        _fitted(Lora(model.unet, _setting(Path(lora), "rank")), Path(lora))
    adapter_network = (
        _fitted(Adapter(model.unet, _setting(Path(adapter), "tokens")), Path(adapter)) if adapter else None
    )
    for part in (model.unet, adapter_network):
        if part is not None:
            part.to(model.device).requires_grad_(False)
    return replace(model, adapter=adapter_network)


def _opened(checkpoint: str, device: torch.device) -> StableDiffusion:
    diffusers, transformers = optional("diffusers", "generate"), optional("transformers", "generate")
    kinds = {
        "tokenizer": transformers.CLIPTokenizer,
        "scheduler": diffusers.DDIMScheduler,
        "text_encoder": transformers.CLIPTextModel,
        "vae": diffusers.AutoencoderKL,
        "unet": diffusers.UNet2DConditionModel,
    }
    parts: dict[str, Any] = {}
    try:
        for name, kind in kinds.items():
            network = {"use_safetensors": True} if name in ("text_encoder", "vae", "unet") else {}
            parts[name] = kind.from_pretrained(checkpoint, subfolder=name, local_files_only=True, **network)
            if network:
                parts[name].to(device).float().eval().requires_grad_(False)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise InputError(
            f"{checkpoint} cannot be opened as Stable Diffusion 1 or 2: {error}\nGive a folder that diffusers wrote, "
            f"with safetensors in it, or download it into the Hugging Face cache first: hf download {checkpoint}"
        ) from error
    kind = parts["scheduler"].config.prediction_type
    if kind not in PREDICTIONS:
        raise InputError(f"{checkpoint} predicts {kind!r}; supported are {', '.join(PREDICTIONS)}")
    return StableDiffusion(**parts, device=device)


def _setting(run: Path, name: str) -> Any:
    settings = Run(run).values()
    if name not in settings:
        raise InputError(f"{run} is not the run that is wanted here: its settings have no {name!r}")
    return settings[name]


def _fitted(part: Part, run: Path) -> Part:
    try:
        return Run(run).fill(part)
    except RuntimeError as error:  # names or shapes differ
        raise InputError(f"{run} was trained on another kind of checkpoint: {error}") from error
