"""Networks from gray faces to feature maps, which several methods build on: ours, and any of timm.

Ours is a residual network (He et al., 2016) with squeeze-and-excitation (Hu et al., 2018) and stochastic depth (Huang
et al., 2016), for faces of 48 pixels.

Letters: B faces, C channels, S the side of a face, h and w the size of a layer.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file
from timm.layers.drop import DropPath
from timm.layers.squeeze_excite import SEModule
from torch import Tensor, nn

from mien.errors import InputError
from mien.hub import asking_the_hub


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, the second with a gate over channels if `squeeze`, added to a shortcut."""

    def __init__(self, inputs: int, width: int, stride: int, drop: float, squeeze: bool) -> None:
        super().__init__()
        self.first = convolution(inputs, width, 3, stride)
        gate = [SEModule(width, rd_ratio=1 / 8)] if squeeze else []
        self.second = nn.Sequential(*convolution(width, width, 3)[:2], *gate)
        self.shortcut = nn.Identity() if inputs == width and stride == 1 else _shortcut(inputs, width, stride)
        self.drop = DropPath(drop)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, width, H/stride, W/stride)."""
        return nn.functional.relu(self.shortcut(x) + self.drop(self.second(self.first(x))))


class Residual(nn.Module):
    """Gray faces to the features of each stage, after its last ReLU.

    widths: channels of the stages.   blocks: blocks a stage.   strides: of the first block of each stage.
    """

    def __init__(
        self,
        widths: Sequence[int],
        blocks: Sequence[int],
        strides: Sequence[int],
        stochastic_depth: float = 0.0,
        squeeze: bool = True,
    ) -> None:
        super().__init__()
        if not len(widths) == len(blocks) == len(strides):
            raise InputError(f"widths {widths}, blocks {blocks} and strides {strides} must have one number a stage")
        self.stem = convolution(1, widths[0], 3)
        stages, inputs, done = [], widths[0], 0
        for width, count, stride in zip(widths, blocks, strides, strict=True):
            layers = []
            for block in range(count):
                drop = stochastic_depth * done / max(1, sum(blocks) - 1)
                layers.append(ResidualBlock(inputs, width, stride if block == 0 else 1, drop, squeeze))
                inputs, done = width, done + 1
            stages.append(nn.Sequential(*layers))
        self.stages = nn.ModuleList(stages)

    def forward(self, faces: Tensor) -> list[Tensor]:
        """(B, 1, S, S) -> a (B, C, h, w) for each stage."""
        x, features = self.stem(faces), []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


class Timm(nn.Module):
    """Any timm model that gives feature maps, on gray faces repeated in three channels.

    large_maps: set the strides of the last two stages of a ResNet to 1 (28x28 maps at 224).
    pretrained: True for timm's weights of that name from the hub.   stages: how many to keep; 0 for all.
    """

    def __init__(
        self, name: str, size: int, *, pretrained: bool = False, large_maps: bool = False, stages: int = 0
    ) -> None:
        super().__init__()
        if not timm.is_model(name.split(".")[0]):
            close = ", ".join(timm.list_models(f"*{name[:6]}*")[:5])
            raise InputError(f"timm has no model {name!r}" + (f"; it has {close}, ..." if close else ""))
        # Transformers are built for one input size, convolutions for any.
        options: dict[str, Any] = {"img_size": size} if name.startswith(("vit", "deit", "swin")) else {}
        if stages:
            options["out_indices"] = tuple(range(stages))
        with asking_the_hub(name):
            network: Any = timm.create_model(name, pretrained=pretrained, features_only=True, **options)
        self.network, self.widths = network, list(network.feature_info.channels())
        if large_maps:
            _stride_one(self.network, name)

    def forward(self, faces: Tensor) -> list[Tensor]:
        """(B, 1, S, S) -> a (B, C, h, w) for each stage."""
        features = self.network(faces.expand(-1, 3, -1, -1))
        # Swin and its kin put channels last.
        return [
            f if f.shape[1] == width else f.permute(0, 3, 1, 2) for f, width in zip(features, self.widths, strict=True)
        ]


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The weights in a .safetensors file, or in a PyTorch file that holds tensors alone; nothing in it is executed.

    Where such a file keeps them under "state_dict" or "model", those. InputError when it cannot be read.
    """
    try:
        given: dict[str, Any]
        given = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except Exception as error:  # each of the libraries has its own
        raise InputError(f"{path}: no weights can be read from it ({error})") from error
    return dict(given.get("state_dict", given.get("model", given)))


def plain_attention(network: nn.Module) -> None:
    """Let timm's attention multiply its matrices one by one, in place: for a few dozen words that is faster on a CPU
    than the fused kernel.
    """
    for module in network.modules():
        if hasattr(module, "fused_attn"):
            module.__dict__["fused_attn"] = False


def convolution(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Sequential:
    """A convolution that keeps the size but for its stride, batch normalization, ReLU."""
    convolution = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


def _shortcut(inputs: int, width: int, stride: int) -> nn.Sequential:
    # Average before the 1x1 convolution, or three of four pixels would be ignored (He et al., 2019, "ResNet-D").
    pool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
    return nn.Sequential(pool, *convolution(inputs, width, 1)[:2])


def _stride_one(network: nn.Module, name: str) -> None:
    """Strides of a ResNet's last two stages to 1, without dilation."""
    stages = [stage for key, stage in network.named_children() if key in ("layer3", "layer4")]
    if len(stages) < 2:
        raise InputError(f"large maps are defined for ResNets; {name} has no layer3 and layer4")
    for module in (module for stage in stages for module in stage.modules()):
        if isinstance(module, nn.Conv2d | nn.AvgPool2d):
            module.stride = (1, 1)
