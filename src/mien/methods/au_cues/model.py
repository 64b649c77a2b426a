"""The reader network: gray faces to expression, action units, landmarks, head pose and readability, on one backbone.

The backbone is ours, a MobileNet, either narrow enough for 5 ms a face on one core, or any of timm (see
training/backbones.py and training/mobilenet.py).

Letters: B faces, C channels, S the side of a face, h and w the size of a layer.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mien.facs.landmarks import mean_face
from mien.facs.units import VECTOR
from mien.facs.vocabulary import Expression
from mien.training import action_units
from mien.training.backbones import convolution

# Channels of a face map before it is flattened for the heads that must know where something is.
_LOCAL = 32


class ReaderOutput(NamedTuple):
    """What the network says of B faces; what it has no head for is None.

    logits: (B, 8) in Expression order.   features: of each stage, (B, C, h, w).
    action_units: (B, 24), the vector of mien.facs.units: intensities 0 to 1, then asymmetries -1 to 1.
    landmarks: (B, 68, 2), shares of the crop's side.   pose: (B, 3), yaw, pitch, roll in degrees.
    readability: (B,), the share of people who could read the face, 0 to 1.
    """

    logits: Tensor
    features: list[Tensor]
    action_units: Tensor | None = None
    landmarks: Tensor | None = None
    pose: Tensor | None = None
    readability: Tensor | None = None


class ReaderNetwork(nn.Module):
    """A backbone with heads.

    backbone: faces to the features of each stage.   size: the side of a face in pixels.
    heads: whether to answer action units, landmarks and pose besides expression.   readable: and readability.
    local_stages: numbers from 1 of the stages in whose maps the heads see where something is; 0 is the last.
    """

    def __init__(
        self,
        backbone: nn.Module,
        size: int,
        *,
        heads: bool = False,
        readable: bool = False,
        dropout: float = 0.0,
        local_stages: Sequence[int] = (0,),
    ) -> None:
        super().__init__()
        self.backbone = backbone
        with torch.no_grad():
            features = backbone.eval()(torch.zeros(1, 1, size, size))
        backbone.train()
        self.stages = len(features)
        channels = features[-1].shape[1]
        self.dropout = nn.Dropout(dropout)
        self.expression = nn.Linear(channels, len(Expression))
        self.readability = nn.Linear(channels, 1) if readable else None
        self.heads = heads
        if heads:
            self.local_stages = tuple(number or self.stages for number in local_stages)
            maps = [features[number - 1].shape for number in self.local_stages]
            local = sum(_LOCAL * height * width for _, _, height, width in maps)
            self.local = nn.ModuleList(nn.Sequential(*convolution(m[1], _LOCAL, 1), nn.Flatten()) for m in maps)
            self.action_units = nn.Linear(channels + local, VECTOR)
            self.geometry = nn.Linear(local, 68 * 2 + 3)
            # From the mean face, looking straight ahead, it learns how a face differs.
            nn.init.normal_(self.geometry.weight, std=1e-3)
            start = torch.cat([torch.from_numpy(mean_face()).flatten().float(), torch.zeros(3)])
            self.geometry.bias = nn.Parameter(start)

    def forward(self, faces: Tensor) -> ReaderOutput:
        """(B, 1, S, S), normalized -> ReaderOutput."""
        features = self.backbone(faces)
        last = features[-1]
        pooled = last.mean(dim=(2, 3))  # (B, C)
        logits: Tensor = self.expression(self.dropout(pooled))  # (B, 8)
        readability = None if self.readability is None else self.readability(pooled).sigmoid()[:, 0]  # (B,)
        if not self.heads:
            return ReaderOutput(logits, features, readability=readability)
        maps = (features[number - 1] for number in self.local_stages)
        local = torch.cat([layer(m) for layer, m in zip(self.local, maps, strict=True)], dim=1)  # (B, 32 h w)
        units = action_units.bounded(self.action_units(torch.cat([pooled, local], dim=1)))  # (B, 24)
        geometry = self.geometry(local)  # (B, 139)
        landmarks, pose = geometry[:, :136].reshape(-1, 68, 2), geometry[:, 136:] * 90
        return ReaderOutput(logits, features, units, landmarks, pose, readability)
