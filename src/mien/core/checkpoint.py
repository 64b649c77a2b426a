"""An image classifier of transformers as a model that reads expressions: from a folder, or from the hub by its name.

Its labels are translated by mien's vocabulary, and its processor's settings say how faces are cut. Weights are read
from safetensors alone, and no code of a checkpoint is run. Needs the extra `llm`.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.core.contract import LARGEST, Classifier, Contract
from mien.core.view import Resize
from mien.errors import InputError, MienError, ModelError
from mien.extras import optional
from mien.facs.vocabulary import Expression, expression
from mien.hub import asking_the_hub, checkpoint

# What stands before the name of a model of the hub.
HUB = "hf:"
_CUBIC = 3  # Pillow's number of it, which processors use
# Smaller pictures than this are taken from a larger one by the share `crop_pct`, as ConvNeXt's processor does.
_WHOLE_FROM = 384


def checkpoint_name(model: str | Path) -> str | None:
    """The folder or hub name of a checkpoint; None for any other model."""
    text = str(model)
    if text.startswith(HUB):
        return text.removeprefix(HUB)
    return text if (Path(text) / "config.json").is_file() else None


class CheckpointClassifier(Classifier):
    """An image classifier of transformers, run by PyTorch on the processor.

    name: a folder or a repository of the hub.   threads: of PyTorch, in this whole process.
    Raise ModelError, which says why, for one that mien cannot use.
    """

    def __init__(self, name: str, threads: int = 1) -> None:
        transformers, torch = optional("transformers", "llm"), optional("torch", "llm")
        place = checkpoint(name)
        with asking_the_hub(name), _as_model_error(name):
            config = transformers.AutoConfig.from_pretrained(place.name, **place.options)
            settings = _processor(transformers, place.name, place.options, name)
            self.contract = contract_of(config.to_dict(), settings, name)
            network = transformers.AutoModelForImageClassification.from_pretrained(place.name, **place.weights)
        torch.set_num_threads(threads)
        self._network, self._torch = network.eval(), torch
        self._single, self._others, self.heads = False, [], frozenset()
        self._shapes = {"logits": (len(self.contract.labels),)}
        self._try()

    @property
    def digest(self) -> str:
        """The SHA-256 of its contract and weights."""
        contract = self.contract.to_meta() | {"name": ""}  # a folder may be moved
        made = hashlib.sha256(json.dumps(contract, sort_keys=True).encode())
        for name, values in sorted(self._network.state_dict().items()):
            made.update(name.encode() + values.contiguous().cpu().numpy().tobytes())
        return made.hexdigest()

    def _outputs(self, faces: NDArray[np.float32], others: list[str]) -> list[NDArray[np.float32]]:
        with self._torch.inference_mode():
            logits = self._network(pixel_values=self._torch.from_numpy(faces)).logits
        return [logits.float().numpy()]


def contract_of(config: Mapping[str, Any], settings: Mapping[str, Any], name: str) -> Contract:
    """What a model's configuration and its processor's settings say, as mien says it.

    Raise ModelError for labels that name no expression, or one twice, and for pictures that are not square.
    """
    size, margin = _size(settings, config, name)
    channels = int(config.get("num_channels") or 3)
    if channels not in (1, 3):
        raise ModelError(f"{name}: takes pictures of {channels} channels; gray has 1, colour 3")
    # Processors multiply by the factor, then take off the mean; contracts scale to 0..1 first.
    factor = 255 * (settings.get("rescale_factor", 1 / 255) if settings.get("do_rescale", True) else 1.0)
    normal = settings.get("do_normalize", True)
    mean = _each(settings.get("image_mean", 0.5) if normal else 0.0, channels, factor)
    std = _each(settings.get("image_std", 0.5) if normal else 1.0, channels, factor)
    resize: Resize = "cubic" if settings.get("resample") == _CUBIC else "linear"
    return Contract(_labels(config, name), size, mean, std, name, {}, channels, margin, resize)


def _labels(config: Mapping[str, Any], name: str) -> tuple[Expression, ...]:
    words = [str(word) for _, word in sorted((config.get("id2label") or {}).items(), key=lambda item: int(item[0]))]
    unknown, labels = [], []
    for word in words:
        try:
            labels.append(expression(word))
        except InputError:
            unknown.append(word)
    known = ", ".join(e.label for e in Expression)
    if unknown:
        raise ModelError(
            f"{name}: its labels {', '.join(map(repr, unknown[:8]))} name no expression; they may be {known}, or words "
            "like happy and angry. Correct id2label in its config.json"
        )
    if len(set(labels)) < len(labels):
        raise ModelError(f"{name}: its labels {', '.join(words)} name an expression twice; there are {known}")
    return tuple(labels)


def _size(settings: Mapping[str, Any], config: Mapping[str, Any], name: str) -> tuple[int, float]:
    """The side of the network's input, and the margin: below 0 where a processor cuts the middle out of a picture."""
    whole = _side(settings.get("size") or config.get("image_size"), name)
    size = _side(settings["crop_size"], name) if settings.get("do_center_crop") and "crop_size" in settings else whole
    if "crop_pct" in settings and "shortest_edge" in (settings.get("size") or {}) and whole < _WHOLE_FROM:
        size, whole = whole, int(whole / settings["crop_pct"])
    if not settings.get("do_resize", True):
        whole = size
    if not 1 <= size <= LARGEST or size > whole:
        raise ModelError(f"{name}: takes pictures of {size} pixels out of {whole}; 1 to {LARGEST} can be given")
    return size, (size / whole - 1) / 2


def _side(given: Any, name: str) -> int:
    if isinstance(given, Mapping):
        sides = {int(side) for key, side in given.items() if key in ("height", "width", "shortest_edge") and side}
        given = sides.pop() if len(sides) == 1 else None
    if isinstance(given, list | tuple) and len(set(given)) == 1:
        given = given[0]
    if not isinstance(given, int):
        raise ModelError(f"{name}: its processor says no side of a square picture in `size`; faces are square")
    return given


def _each(values: Any, channels: int, factor: float) -> float | tuple[float, ...]:
    """A mean or std of values from 0 to 1, from that of values that were multiplied by 255 and this factor's share."""
    each = [float(value) / factor for value in (values if isinstance(values, list | tuple) else [values] * channels)]
    return each[0] if channels == 1 else tuple(each)


def _processor(transformers: Any, place: str, options: Mapping[str, bool | str], name: str) -> Mapping[str, Any]:
    """The settings of a checkpoint's processor."""
    try:
        loaded = transformers.image_processing_base.ImageProcessingMixin.get_image_processor_dict(place, **options)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{name}: has no preprocessor_config.json, so it is not known how its pictures are scaled; save its image "
            "processor beside it"
        ) from error
    return loaded[0]  # type: ignore[no-any-return]


@contextmanager
def _as_model_error(name: str) -> Iterator[None]:
    """Say in one line what is wrong with a checkpoint; `asking_the_hub` tells of those that are not there."""
    try:
        yield
    except MienError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and not Path(name).exists():
            raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"{name}: cannot be opened as an image classifier of transformers, with weights in safetensors ({reason})"
        ) from error
