"""SE-Swin: a Swin transformer (Liu et al., 2021, through timm) whose channels pass a squeeze-and-excitation gate.

Letters: B faces, S the side of a face, C channels, h and w the size of a stage's map.
"""

import math
from pathlib import Path
from typing import Any, NamedTuple, cast

import timm
import torch
import torch.nn.functional as F
from timm.models.swin_transformer import SwinTransformer, WindowAttention
from torch import Tensor, nn

from mien.errors import InputError
from mien.facs.vocabulary import Expression
from mien.hub import asking_the_hub
from mien.training.backbones import load_tensors, plain_attention

GATES = ("none", "head", "stages", "constant")
TINY = "swin_tiny_patch4_window7_224"
# Name of a table of relative positions in a Swin's weights; its size depends on the window.
_TABLE = "relative_position_bias_table"


class SwinOutput(NamedTuple):
    """Output of the network for B faces.

    logits: (B, 8) in Expression order.   features: the last map alone, (B, C, h, w), normalized and gated. gate: (B,
    C), factor of each channel of the last map; None without a gate there.
    """

    logits: Tensor
    features: list[Tensor]
    gate: Tensor | None


class Gate(nn.Module):
    """Squeeze-and-excitation (Hu et al., 2018) on maps with channels last: (B, h, w, C) -> one factor per channel.

    Twice a sigmoid, with weights initialized to zero: every channel starts with a factor of 1.
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        narrow = max(1, channels // reduction)
        self.squeeze = nn.Linear(channels, narrow, bias=False)
        self.excite = nn.Linear(narrow, channels, bias=False)
        nn.init.zeros_(self.excite.weight)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, h, w, C) -> (B, C), between 0 and 2."""
        factors: Tensor = 2 * self.excite(self.squeeze(maps.mean(dim=(1, 2))).relu()).sigmoid()
        return factors


class Constant(nn.Module):
    """Control for Gate: learned factors that do not depend on the face."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.factors = nn.Parameter(torch.ones(channels))

    def forward(self, maps: Tensor) -> Tensor:
        """(B, h, w, C) -> (B, C)."""
        return self.factors.expand(maps.shape[0], -1)


class SeSwin(nn.Module):
    """Normalized gray faces to SwinOutput.

    swin: a Swin transformer of timm without a head, for one or three channels. se: place of the gate: "head" (between
    the last normalization and pooling), "stages" (after each stage, before its patches are merged), "none", or
    "constant", the control at the head.
    """

    def __init__(self, swin: Any, se: str = "head", reduction: int = 8) -> None:
        super().__init__()
        if se not in GATES:
            raise InputError(f"se is one of {', '.join(GATES)}, not {se!r}")
        self.swin = swin
        plain_attention(swin)
        widths = [int(info["num_chs"]) for info in swin.feature_info]
        channels = widths[-1]
        heads = {"head": Gate(channels, reduction), "constant": Constant(channels)}
        self.gate = heads.get(se)
        gated = widths if se == "stages" else []
        self.stage_gates = nn.ModuleList(Gate(width, reduction) for width in gated)
        self.expression = nn.Linear(channels, len(Expression))

    def forward(self, faces: Tensor) -> SwinOutput:
        """(B, 1, S, S) -> SwinOutput."""
        swin = self.swin
        x = swin.patch_embed(faces.expand(-1, swin.patch_embed.proj.in_channels, -1, -1))  # (B, h, w, C)
        for i, stage in enumerate(swin.layers):
            x = stage(x)
            if len(self.stage_gates):
                x = x * self.stage_gates[i](x)[:, None, None]
        x = swin.norm(x)
        factors = None if self.gate is None else self.gate(x)
        if factors is not None:
            x = x * factors[:, None, None]
        maps = x.permute(0, 3, 1, 2)  # (B, C, h, w)
        return SwinOutput(self.expression(maps.mean(dim=(2, 3))), [maps], factors)

    def looks(self, answers: SwinOutput) -> Tensor:
        """(B, h, w) contribution of each position to the answer's logit: the class-activation map, clipped at 0."""
        rows = self.expression.weight[answers.logits.argmax(dim=1)]  # (B, C)
        return torch.einsum("bc,bchw->bhw", rows, answers.features[-1]).clamp(min=0)


@torch.no_grad()
def begin_locally(swin: Any) -> None:
    """Initialize attention like a convolution: each head attends to a neighbour in its own direction.

    Tables of relative positions start with a peak 1.5 positions away (after ConViT, d'Ascoli et al., 2021), values and
    projections with a product of 0.4 noise - 0.6 identity (mimetic initialization, Trockman and Kolter, 2023,
    https://arxiv.org/abs/2305.09828). The bias of the patches is random, because normalization would otherwise remove
    their brightness. With the usual initialization, a small Swin needs several times as many faces to learn more than
    the priors.
    """
    nn.init.normal_(swin.patch_embed.proj.bias, std=0.3)
    for layer in swin.modules():
        if isinstance(layer, WindowAttention):
            side, heads, width = layer.window_size[0], layer.num_heads, layer.dim
            steps = torch.arange(1 - side, side).float()
            offsets = torch.cartesian_prod(steps, steps)  # (places, 2)
            angles = (torch.arange(heads) / heads + torch.rand(1)) * 2 * math.pi
            hills = 1.5 * torch.stack([angles.sin(), angles.cos()], dim=1)  # (heads, 2)
            layer.relative_position_bias_table.copy_(-(offsets[:, None] - hills).square().sum(dim=2))
            left, values, right = torch.linalg.svd(
                0.4 * torch.randn(width, width) / width**0.5 - 0.6 * torch.eye(width)
            )
            layer.proj.weight.copy_(left * values.sqrt())
            layer.qkv.weight[2 * width :].copy_(values.sqrt()[:, None] * right)


def go_on_from(network: SeSwin, file: Path) -> None:
    """Load the weights of a run of the same network, trained on faces of any size, in place.

    Tables of relative positions are interpolated to the window. Raise InputError for weights of another network.
    """
    wanted, given = network.state_dict(), load_tensors(file)
    for name in wanted.keys() & given.keys():
        if name.endswith(_TABLE) and given[name].shape != wanted[name].shape:
            given[name] = _resized(given[name], wanted[name].shape[0])
    shapes = [{(name, value.shape) for name, value in weights.items()} for weights in (wanted, given)]
    other = {name for name, _ in shapes[0] ^ shapes[1]}
    if other:
        raise InputError(f"{file} is not of such a network: it differs in {', '.join(sorted(other)[:3])}")
    network.load_state_dict(given)


def _resized(table: Tensor, places: int) -> Tensor:
    """(n * n, H), of offsets in a square, to (places, H)."""
    n, side = math.isqrt(len(table)), math.isqrt(places)
    square = table.T.reshape(1, -1, n, n)
    return F.interpolate(square, (side, side), mode="bicubic", align_corners=True)[0].flatten(1).T


def swin_tiny(size: int, drop_path: float, weights: str = "") -> SwinTransformer:
    """Return Swin-T of timm for faces of this side.

    weights: a .safetensors or PyTorch file, or a hub id such as "timm/swin_tiny_patch4_window7_224.ms_in1k"; random by
    default.
    """
    options: dict[str, Any] = {"num_classes": 0, "img_size": size, "drop_path_rate": drop_path}
    create: Any = timm.create_model
    if weights and Path(weights).suffix not in (".safetensors", ".pth", ".pt", ".bin"):
        with asking_the_hub(weights):
            return cast(SwinTransformer, create(f"hf-hub:{weights}", pretrained=True, **options))
    swin: SwinTransformer = create(TINY, **options)
    if weights:
        given = {k: v for k, v in load_tensors(Path(weights)).items() if not k.startswith("head.")}
        wrong = swin.load_state_dict(given, strict=False)
        if wrong.missing_keys or wrong.unexpected_keys:
            raise InputError(
                f"{weights} is no Swin-T: missing {wrong.missing_keys[:3]}, unknown {wrong.unexpected_keys[:3]}"
            )
    return swin
