"""VTFF: a face and its local binary patterns, fused by attention, read as a sequence of visual words.

Letters: B faces, S the side of a face, C channels of a branch, h and w the size of its last map, P = h w words, D the
width of the transformer.
"""

from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from mien.errors import InputError
from mien.facs.vocabulary import Expression
from mien.methods.vtff.lbp import lbp
from mien.training.backbones import load_tensors, plain_attention
from mien.training.faces import MEAN, STD, luma

# Mean and standard deviation of the LBP codes, 0 to 1, of the FERPlus training faces.
LBP_MEAN, LBP_STD = 0.533, 0.346
BRANCHES = {"image+lbp": (False, True), "image": (False,), "lbp": (True,), "image+image": (False, False)}
FUSIONS = ("asf", "sum", "concat", "scalar")
GATES = ("convex", "t1", "t2")
CONTEXTS = ("both", "global", "local")


class VtffOutput(NamedTuple):
    """Output of the network for B faces.

    logits: (B, 8) in Expression order.   features: the fused map alone, (B, C, h, w).   gate: (B, C, h, w), weight of
    the first branch, None for a fusion without one.   words: (B, 1 + P, D), class token and words as inputs of the
    encoder's last layer, None without an encoder.
    """

    logits: Tensor
    features: list[Tensor]
    gate: Tensor | None
    words: Tensor | None


class Fusion(nn.Module):
    """Attentional selective fusion (ASF): the weight of each branch from a global and a local view of both.

    reduction: factor by which the views narrow the channels. gate: "convex", a weight from 0 to 1 and its complement,
    from the sum of both views' logits. "t1" and "t2" are the gates of two re-implementations: the sigmoid of the summed
    views against that of its complement, .27 to .88; or the summed views themselves, 0 to 2, against 1 minus them.
    context: views to use: "both", "global" (one weight per channel) or "local" (one per position).
    """

    def __init__(self, channels: int, reduction: int = 8, gate: str = "convex", context: str = "both") -> None:
        super().__init__()
        _one_of("gate", gate, GATES)
        _one_of("context", context, CONTEXTS)
        self.gate, self.context = gate, context
        self.first, self.second = nn.Conv2d(channels, channels, 1), nn.Conv2d(channels, channels, 1)
        narrow = max(1, channels // reduction)
        between = nn.Sigmoid if gate == "t1" else nn.ReLU
        self.whole = nn.Sequential(nn.AdaptiveAvgPool2d(1), *_view(channels, narrow, channels, between))
        self.local = nn.Sequential(*_view(channels, narrow, 1, between))

    def forward(self, one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        """Two (B, C, h, w) maps -> the fused map and the weight of the first, both (B, C, h, w)."""
        both = self.first(one) + self.second(other)  # (B, C, h, w)
        views = []
        if self.context != "local":
            views.append(self.whole(both))  # (B, C, 1, 1)
        if self.context != "global":
            views.append(self.local(both))  # (B, 1, h, w)
        weight, rest = weights(views, self.gate)
        return mix(one, other, weight, rest), weight.expand_as(one)


def weights(views: list[Tensor], gate: str) -> tuple[Tensor, Tensor]:
    """Return the weights of both branches from the logits of the views, which broadcast together."""
    if gate == "convex":
        weight = reduce(torch.add, views).sigmoid()
        return weight, 1 - weight
    attention = reduce(torch.add, [view.sigmoid() for view in views])
    if gate == "t1":
        return attention.sigmoid(), (1 - attention).sigmoid()
    return attention, 1 - attention


def mix(one: Tensor, other: Tensor, weight: Tensor, rest: Tensor) -> Tensor:
    """Return the weighted sum of both maps."""
    return weight * one + rest * other


class Vtff(nn.Module):
    """Normalized gray faces to VtffOutput.

    branches: one or two networks from faces to feature maps of each stage (see training/backbones.py). patterns: for
    each branch, whether its input are local binary patterns instead of the face. size: side of a face in pixels.
    enlarge: side that faces and patterns are enlarged to after computing the patterns, for branches that need more
    pixels; 0 leaves them. fusion: of two branches, "asf" (with gate and context, see Fusion), "sum", "concat" (and a
    1x1 convolution) or "scalar", one learned weight. depth: layers of the encoder; 0 pools the fused map instead.
    width, heads, hidden: of the encoder, its heads and the middle of its MLPs.
    """

    def __init__(
        self,
        branches: list[nn.Module],
        patterns: tuple[bool, ...],
        *,
        size: int = 48,
        enlarge: int = 0,
        fusion: str = "asf",
        gate: str = "convex",
        context: str = "both",
        width: int = 128,
        heads: int = 4,
        depth: int = 4,
        hidden: int = 512,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.branches, self.patterns, self.enlarge = nn.ModuleList(branches), patterns, enlarge
        side = enlarge or size
        with torch.no_grad():
            maps = [branch.eval()(torch.zeros(1, 1, side, side))[-1].shape for branch in branches]
        for branch in branches:
            branch.train()
        if len(set(maps)) != 1:
            raise InputError(f"the branches must end in maps of one shape, but end in {[tuple(m[1:]) for m in maps]}")
        _, channels, height, across = maps[0]
        self.fusion = _fusion(fusion, channels, gate, context) if len(branches) == 2 else None
        if depth:
            self.project: nn.Module = nn.Linear(channels, width)
            self.cls = nn.Parameter(torch.zeros(1, 1, width))
            self.position = nn.Parameter(torch.zeros(1, height * across + 1, width))
            nn.init.trunc_normal_(self.cls, std=0.02)
            nn.init.trunc_normal_(self.position, std=0.02)
        self.dropout = nn.Dropout(dropout)
        ratio = hidden / width
        self.encoder = nn.ModuleList(Block(width, heads, ratio, qkv_bias=True, proj_drop=dropout) for _ in range(depth))
        plain_attention(self.encoder)
        last = width if depth else channels
        self.norm = nn.LayerNorm(last) if depth else nn.Identity()
        self.expression = nn.Linear(last, len(Expression))

    def forward(self, faces: Tensor, erased: Tensor | None = None) -> VtffOutput:
        """(B, 1, S, S) -> VtffOutput.   erased: (B, 1, S, S) bool, pixels of noise, whose patterns are set to 0."""
        maps = [
            branch(_enlarged(self.seen(faces, pattern, erased), self.enlarge))[-1]
            for branch, pattern in zip(self.branches, self.patterns, strict=True)
        ]
        fused, gate = self.fusion(*maps) if self.fusion is not None else (maps[0], None)  # (B, C, h, w)
        if not len(self.encoder):
            pooled = self.dropout(fused.mean(dim=(2, 3)))  # (B, C)
            return VtffOutput(self.expression(pooled), [fused], gate, None)
        words = self.project(fused.flatten(2).transpose(1, 2))  # (B, P, D)
        words = torch.cat([self.cls.expand(words.shape[0], -1, -1), words], dim=1)  # (B, 1 + P, D)
        words = self.dropout(words + self.position)
        for layer in self.encoder[:-1]:
            words = layer(words)
        read = self.norm(self.encoder[-1](words)[:, 0])  # (B, D)
        return VtffOutput(self.expression(read), [fused], gate, words)

    def looks(self, answers: VtffOutput) -> Tensor:
        """(B, h, w) attention of the class token to each word in the last layer, averaged over heads.

        Without an encoder, the mean of the fused channels, clipped at 0.
        """
        if answers.words is None:
            return answers.features[-1].mean(dim=1).clamp(min=0)
        layer: Any = self.encoder[-1]
        attention, (batch, count, _) = layer.attn, answers.words.shape
        both = attention.qkv(layer.norm1(answers.words)).reshape(batch, count, 3, attention.num_heads, -1)
        query, keys = both[:, 0, 0], both[:, 1:, 1]  # (B, J, D/J), (B, P, J, D/J)
        scores: Tensor = torch.einsum("bjd,bpjd->bjp", query, keys) * attention.scale
        return scores.softmax(dim=-1).mean(dim=1).reshape(batch, *answers.features[-1].shape[2:])

    @staticmethod
    def seen(faces: Tensor, pattern: bool, erased: Tensor | None = None) -> Tensor:
        """Return the normalized input of a branch for (B, 1 or 3, S, S) normalized faces; patterns are of gray ones."""
        if not pattern:
            return faces
        # From whole gray levels, as in a picture: an interpolated face has no equal neighbours, a picture has many.
        codes = lbp(((luma(faces.float()) * STD + MEAN) * 255).round())
        if erased is not None:
            codes = codes.masked_fill(erased, 0)
        return (codes / 255 - LBP_MEAN) / LBP_STD


class _Sum(nn.Module):
    def forward(self, one: Tensor, other: Tensor) -> tuple[Tensor, None]:
        return one + other, None


class _Concat(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, one: Tensor, other: Tensor) -> tuple[Tensor, None]:
        return self.project(torch.cat([one, other], dim=1)), None


class _Scalar(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.balance = nn.Parameter(torch.zeros(1))

    def forward(self, one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        weight = self.balance.sigmoid()
        return mix(one, other, weight, 1 - weight), weight.expand_as(one)


def _fusion(fusion: str, channels: int, gate: str, context: str) -> nn.Module:
    _one_of("fusion", fusion, FUSIONS)
    if fusion == "asf":
        return Fusion(channels, gate=gate, context=context)
    return {"sum": _Sum(), "concat": _Concat(channels), "scalar": _Scalar()}[fusion]


def _view(channels: int, narrow: int, outputs: int, between: type[nn.Module]) -> list[nn.Module]:
    return [
        nn.Conv2d(channels, narrow, 1),
        nn.BatchNorm2d(narrow),
        between(),
        nn.Conv2d(narrow, outputs, 1),
        nn.BatchNorm2d(outputs),
    ]


def _enlarged(faces: Tensor, side: int) -> Tensor:
    if not side:
        return faces
    return F.interpolate(faces, size=(side, side), mode="bilinear", align_corners=False)


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InputError(f"{name} is one of {', '.join(allowed)}, not {value!r}")


def with_face_weights(branch: nn.Module, path: Path) -> None:
    """Load the weights of a face-recognition network into a branch, in place.

    path: see training/backbones.load_tensors. Prefixes such as "module." and the classifier are dropped. Raise
    InputError if a tensor is missing or has another shape.
    """
    given = load_tensors(path)
    matched = {}
    for name, tensor in branch.state_dict().items():
        plain = name.removeprefix("network.")
        key = next((key for key in given if key == plain or key.endswith(f".{plain}")), None)
        if key is None and plain.endswith("num_batches_tracked"):  # missing in older files, and not needed
            matched[name] = tensor
        elif key is None or given[key].shape != tensor.shape:
            came = "nothing" if key is None else f"shape {tuple(given[key].shape)}"
            raise InputError(f"{path}: for {plain} of shape {tuple(tensor.shape)} it has {came}; other architecture?")
        else:
            matched[name] = given[key]
    branch.load_state_dict(matched)
