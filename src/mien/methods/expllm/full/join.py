"""A vision tower and a language model of the hub, joined by an untrained projector."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from mien.core.align import crop
from mien.errors import InputError
from mien.hub import checkpoint
from mien.methods.expllm.full.settings import Settings
from mien.methods.expllm.small.model import ExpLlm, ExpLlmConfig, FaceEncoderConfig
from mien.training.faces import MEAN, STD

# The token whose places patches take, in the tokenizer of whatever language model.
SLOT = "<image>"
_BACKGROUND = (122, 116, 104)  # CLIP's mean colour, with which the paper pads pictures to squares


class Eyes:
    """Pictures as a vision tower wants them.

    size: their side.   patches: how many of them the tower makes.   skip: its tokens before them.
    """

    def __init__(self, name: str, tower: PreTrainedModel) -> None:
        config = tower.config
        self._own = isinstance(config, FaceEncoderConfig)
        self.size = int(config.size) if self._own else 0
        if not self._own:
            named = checkpoint(name)
            processor = AutoImageProcessor.from_pretrained(named.name, **named.options)
            self.size = _side(processor)
            self._mean, self._std = torch.tensor(processor.image_mean), torch.tensor(processor.image_std)
        self.patches = int(config.side**2 if self._own else (self.size // config.patch_size) ** 2)
        with torch.no_grad():
            blank = self(np.zeros((8, 8, 3), np.uint8))[None].to(tower.dtype)
            self.skip = tower.eval()(pixel_values=blank).last_hidden_state.shape[1] - self.patches

    def __call__(self, image: NDArray[np.uint8]) -> Tensor:
        """(H, W, 3) RGB -> (3, S, S), padded to a square; of mien's own tower (1, S, S)."""
        if self._own:
            return (torch.from_numpy(crop(image, self.size))[None].float() / 255 - MEAN) / STD
        height, width = image.shape[:2]
        square = Image.new("RGB", (max(height, width),) * 2, _BACKGROUND)
        square.paste(Image.fromarray(image), ((square.width - width) // 2, (square.height - height) // 2))
        small = square.resize((self.size, self.size), Image.Resampling.BICUBIC)
        scaled = torch.from_numpy(np.asarray(small).copy()).permute(2, 0, 1).float() / 255
        return (scaled - self._mean[:, None, None]) / self._std[:, None, None]


def _side(processor: Any) -> int:
    """Of the pictures that a tower is used with: checkpoints of DINOv2 use 224, and call 518 their image size."""
    crop = getattr(processor, "crop_size", None) if getattr(processor, "do_center_crop", False) else None
    size = crop or processor.size
    return int(size["height"] if "height" in size else size["shortest_edge"])


class Joined(NamedTuple):
    """A tower and a language model, joined, with what goes before and after them."""

    model: ExpLlm
    tokenizer: Any
    eyes: Eyes


def join(settings: Settings) -> Joined:
    """Join the two checkpoints by an untrained projector; raise InputError if one of them cannot be opened."""
    for what in ("tower", "language"):
        if not getattr(settings, what):
            raise InputError(f"name a {what}: --{what} HUB-ID or FOLDER")
    tower = _tower(settings)
    language, tokenizer = _language(settings.language)
    eyes = Eyes(settings.tower, tower)
    config = ExpLlmConfig(
        tower.config,
        language.config,
        image_token_id=tokenizer.convert_tokens_to_ids(SLOT),
        slots=eyes.patches,
        skip=eyes.skip,
    )
    torch.manual_seed(settings.seed)
    return Joined(ExpLlm(config, tower, language), tokenizer, eyes)


def _tower(settings: Settings) -> PreTrainedModel:
    named = checkpoint(settings.tower)
    try:
        config = AutoConfig.from_pretrained(named.name, **named.options)
        if isinstance(config, ExpLlmConfig):
            return ExpLlm.from_pretrained(named.name, **named.weights).tower
        # Of CLIP and SigLIP, the half that sees.
        config = getattr(config, "vision_config", config)
        if hasattr(config, "drop_path_rate"):
            config.drop_path_rate = settings.drop_path
        options = {"config": config, "dtype": torch.float32, "output_loading_info": True}
        tower, loading = AutoModel.from_pretrained(named.name, **options, **named.weights)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{settings.tower} cannot be opened as a vision tower: {error}") from error
    # What a checkpoint lacks the library makes up, and only warns.
    if missing := sorted(loading["missing_keys"]):
        raise InputError(f"{settings.tower} lacks weights of its vision tower: {len(missing)}, such as {missing[0]}")
    return tower


def _language(name: str) -> tuple[PreTrainedModel, Any]:
    path, gguf = Path(name), {}
    if path.suffix == ".gguf":
        name, gguf = str(path.parent), {"gguf_file": path.name}
    named = checkpoint(name)
    try:
        tokenizer = AutoTokenizer.from_pretrained(named.name, **named.options, **gguf)
        # A .gguf file holds tensors alone, too.
        weights = {**named.options, **gguf} if gguf else named.weights
        language = AutoModelForCausalLM.from_pretrained(named.name, dtype=torch.float32, **weights)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise InputError(f"{name} cannot be opened as a language model: {error}") from error
    tokenizer.add_special_tokens({"additional_special_tokens": [SLOT]})
    if len(tokenizer) > language.get_input_embeddings().num_embeddings:
        language.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    return language, tokenizer
