"""The reader network: gray faces to expression, action units, landmarks and head pose, on one backbone.

The backbone is ours, or any of timm. Ours is a residual network (He et al., 2016) with squeeze-and-excitation (Hu et
al., 2018) and stochastic depth (Huang et al., 2016), narrow enough for 5 ms a face on one core.

Letters: B faces, C channels, S the side of a face, h and w the size of a layer.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import timm
import torch
from timm.layers.drop import DropPath
from timm.layers.squeeze_excite import SEModule
from torch import Tensor, nn

from mien.errors import InputError
from mien.facs import VECTOR
from mien.methods.au_cues.maps import mean_face
from mien.vocabulary import ASYMMETRIES, Expression

# Channels of a face map before it is flattened for the heads that must know where something is.
_LOCAL = 32


class Answers(NamedTuple):
    """What the network says of B faces; what it has no head for is None.

    logits: (B, 8) in Expression order.   features: of each stage, (B, C, h, w).
    action_units: (B, 24), the vector of mien.facs: intensities 0 to 1, then asymmetries -1 to 1.
    landmarks: (B, 68, 2), shares of the crop's side.   pose: (B, 3), yaw, pitch, roll in degrees.
    """

    logits: Tensor
    features: list[Tensor]
    action_units: Tensor | None = None
    landmarks: Tensor | None = None
    pose: Tensor | None = None


class Block(nn.Module):
    """Two 3x3 convolutions, the second with a gate over channels if `squeeze`, added to a shortcut."""

    def __init__(self, inputs: int, width: int, stride: int, drop: float, squeeze: bool) -> None:
        super().__init__()
        self.first = _convolution(inputs, width, 3, stride)
        gate = [SEModule(width, rd_ratio=1 / 8)] if squeeze else []
        self.second = nn.Sequential(*_convolution(width, width, 3)[:2], *gate)
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
        self.stem = _convolution(1, widths[0], 3)
        stages, inputs, done = [], widths[0], 0
        for width, count, stride in zip(widths, blocks, strides, strict=True):
            layers = []
            for block in range(count):
                drop = stochastic_depth * done / max(1, sum(blocks) - 1)
                layers.append(Block(inputs, width, stride if block == 0 else 1, drop, squeeze))
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

    large_maps: set the strides of the last two stages of a ResNet to 1, as the paper does (28x28 maps at 224).
    pretrained: True for timm's weights of that name from the hub.
    """

    def __init__(self, name: str, size: int, *, pretrained: bool = False, large_maps: bool = False) -> None:
        super().__init__()
        if not timm.is_model(name.split(".")[0]):
            close = ", ".join(timm.list_models(f"*{name[:6]}*")[:5])
            raise InputError(f"timm has no model {name!r}" + (f"; it has {close}, ..." if close else ""))
        # Transformers are built for one input size, convolutions for any.
        sized: dict[str, Any] = {"img_size": size} if name.startswith(("vit", "deit", "swin")) else {}
        network: Any = timm.create_model(name, pretrained=pretrained, features_only=True, **sized)
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


class Reader(nn.Module):
    """A backbone with heads.

    backbone: faces to the features of each stage.   size: the side of a face in pixels.
    heads: whether to answer action units, landmarks and pose besides expression.
    """

    def __init__(self, backbone: nn.Module, size: int, *, heads: bool = False, dropout: float = 0.0) -> None:
        super().__init__()
        self.backbone = backbone
        with torch.no_grad():
            features = backbone.eval()(torch.zeros(1, 1, size, size))
        backbone.train()
        self.stages = len(features)
        _, channels, height, width = features[-1].shape
        self.dropout = nn.Dropout(dropout)
        self.expression = nn.Linear(channels, len(Expression))
        self.heads = heads
        if heads:
            local = _LOCAL * height * width
            self.local = nn.Sequential(*_convolution(channels, _LOCAL, 1), nn.Flatten())
            self.action_units = nn.Linear(channels + local, VECTOR)
            self.geometry = nn.Linear(local, 68 * 2 + 3)
            # From the mean face, looking straight ahead, it learns how a face differs.
            nn.init.normal_(self.geometry.weight, std=1e-3)
            start = torch.cat([torch.from_numpy(mean_face()).flatten().float(), torch.zeros(3)])
            self.geometry.bias = nn.Parameter(start)

    def forward(self, faces: Tensor) -> Answers:
        """(B, 1, S, S), normalized -> Answers."""
        features = self.backbone(faces)
        last = features[-1]
        pooled = last.mean(dim=(2, 3))  # (B, C)
        logits: Tensor = self.expression(self.dropout(pooled))  # (B, 8)
        if not self.heads:
            return Answers(logits, features)
        local = self.local(last)  # (B, 32 h w)
        units = self.action_units(torch.cat([pooled, local], dim=1))  # (B, 24)
        sides = len(ASYMMETRIES)
        units = torch.cat([units[:, :-sides].sigmoid(), units[:, -sides:].tanh()], dim=1)
        geometry = self.geometry(local)  # (B, 139)
        return Answers(logits, features, units, geometry[:, :136].reshape(-1, 68, 2), geometry[:, 136:] * 90)


def _convolution(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


def _shortcut(inputs: int, width: int, stride: int) -> nn.Sequential:
    # Average before the 1x1 convolution, or three of four pixels would be ignored (He et al., 2019, "ResNet-D").
    pool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
    return nn.Sequential(pool, *_convolution(inputs, width, 1)[:2])


def _stride_one(network: nn.Module, name: str) -> None:
    """Strides of a ResNet's last two stages to 1, without dilation."""
    stages = [stage for key, stage in network.named_children() if key in ("layer3", "layer4")]
    if len(stages) < 2:
        raise InputError(f"large maps are defined for ResNets; {name} has no layer3 and layer4")
    for module in (module for stage in stages for module in stage.modules()):
        if isinstance(module, nn.Conv2d | nn.AvgPool2d):
            module.stride = (1, 1)
