"""The embedded generator: a U-Net that predicts the flow from noise to a face, conditioned on expression, words and
AUs.

Letters: B faces, S the side of a face, C channels, h and w the size of a layer, P = h w positions, W words, K = 24
action units and asymmetries, D the width of a token, H heads, d the width of a head.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.facs.units import VECTOR
from mien.facs.vocabulary import Expression
from mien.methods.synfer.flow.captions import LONGEST, PADDING

# Squares of this side become channels before the first layer: the finest level has half the resolution.
SHUFFLE = 2
# Number of frequencies in the embedding of time.
_FREQUENCIES = 32
# Side of the feature and attention maps for FERAnno.
LOOK = 6


class FlowOutput(NamedTuple):
    """Output of the network for B noisy faces.

    velocity: (B, 1, S, S), change per unit of time towards noise.   features: (B, F, 6, 6), of the decoder, finest
    level first, averaged down.   maps: (B, M, 6, 6), attention of each position to each action unit, for each attentive
    level and head.
    """

    velocity: Tensor
    features: Tensor
    maps: Tensor


class Norm(nn.GroupNorm):
    """Group normalization in single precision: PyTorch's CPU kernel for bfloat16 with channels last is five times
    slower.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        return super().forward(x.float())


class FilmBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut, scaled and shifted between them by the time (FiLM)."""

    def __init__(self, inputs: int, channels: int, time: int, dropout: float) -> None:
        super().__init__()
        self.before, self.between = _norm(inputs), _norm(channels)
        self.first, self.second = nn.Conv2d(inputs, channels, 3, padding=1), nn.Conv2d(channels, channels, 3, padding=1)
        self.film = nn.Linear(time, 2 * channels)
        self.dropout = nn.Dropout(dropout)
        self.shortcut = nn.Identity() if inputs == channels else nn.Conv2d(inputs, channels, 1)
        _to_nothing(self.second)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """(B, inputs, h, w) and (B, T) -> (B, C, h, w)."""
        scale, shift = self.film(time)[:, :, None, None].chunk(2, dim=1)  # (B, C, 1, 1) each
        inner = self.first(F.silu(self.before(x)))
        inner = F.silu(self.between(inner) * (1 + scale) + shift)
        result: Tensor = self.shortcut(x) + self.second(self.dropout(inner))
        return result


class Itself(nn.Module):
    """Self-attention of tokens, with a residual connection."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads, self.norm = heads, nn.LayerNorm(channels)
        self.asked, self.seen = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        _to_nothing(self.seen)

    def forward(self, x: Tensor, there: Tensor | None = None) -> Tensor:
        """(B, P, C), and a mask of existing tokens, (B, P) bool -> (B, P, C)."""
        q, k, v = (_split(part, self.heads) for part in self.asked(self.norm(x)).chunk(3, dim=-1))  # (B, H, P, d)
        return x + self.seen(_joined(_weights(q, k, there) @ v))  # type: ignore[no-any-return]


class Inner(nn.Module):
    """Feed-forward layers of each token, with a residual connection."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.first, self.second = nn.Linear(channels, 2 * channels), nn.Linear(2 * channels, channels)
        _to_nothing(self.second)

    def forward(self, x: Tensor) -> Tensor:
        """(B, P, C) -> (B, P, C)."""
        return x + self.second(F.gelu(self.first(self.norm(x))))  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Self-attention of positions, then decoupled cross-attention to text and to action units with one query.

    Keys and values of the action units are an adapter: trained after the text, and without effect until then.
    """

    def __init__(self, channels: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.itself, self.inner = heads, Itself(channels, heads), Inner(channels)
        self.norm = nn.LayerNorm(channels)
        self.query, self.told = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.text_keys, self.text_values = nn.Linear(width, channels), nn.Linear(width, channels)
        self.unit_keys, self.unit_values = nn.Linear(width, channels), nn.Linear(width, channels, bias=False)
        _to_nothing(self.told)
        _to_nothing(self.unit_values)

    def forward(self, x: Tensor, text: Tensor, there: Tensor, units: Tensor) -> tuple[Tensor, Tensor]:
        """Apply self-attention, cross-attention and the feed-forward layers.

        x: (B, C, h, w).   text: (B, 1 + W, D), of which `there` exist, (B, 1 + W).   units: (B, K, D). Returns x and
        the maps of attention to action units, (B, HK, h, w).
        """
        size = x.shape
        x = self.itself(x.flatten(2).transpose(1, 2))  # (B, P, C)
        q = _split(self.query(self.norm(x)), self.heads)  # (B, H, P, d)
        k, v = (_split(layer(text), self.heads) for layer in (self.text_keys, self.text_values))  # (B, H, 1 + W, d)
        seen = _weights(q, k, there) @ v
        k, v = (_split(layer(units), self.heads) for layer in (self.unit_keys, self.unit_values))  # (B, H, K, d)
        weights = _weights(q, k)  # (B, H, P, K)
        x = self.inner(x + self.told(_joined(seen + weights @ v)))
        maps = weights.transpose(-1, -2).reshape(size[0], -1, *size[2:])
        return x.transpose(1, 2).reshape(size), maps


class Layer(nn.Module):
    """A transformer layer: self-attention and feed-forward."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.itself, self.inner = Itself(channels, heads), Inner(channels)

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        """(B, P, C), and a mask of existing tokens, (B, P) bool -> (B, P, C)."""
        result: Tensor = self.inner(self.itself(x, there))
        return result


class ResolutionLevel(nn.Module):
    """Blocks of one resolution, each followed by attention if the level has any."""

    def __init__(self, blocks: list[FilmBlock], attentions: list[Attention]) -> None:
        super().__init__()
        self.blocks, self.attentions = nn.ModuleList(blocks), nn.ModuleList(attentions)

    def forward(
        self, x: Tensor, time: Tensor, condition: tuple[Tensor, Tensor, Tensor], beside: list[Tensor]
    ) -> tuple[list[Tensor], Tensor | None]:
        """Return x after each block, and the maps of the last attention.

        condition: inputs of Attention besides x.   beside: joined to the input of each block; empty for none.
        """
        steps, maps = [], None
        for i, block in enumerate(self.blocks):
            x = block(torch.cat([x, beside[i]], dim=1) if beside else x, time)
            if self.attentions:
                x, maps = self.attentions[i](x, *condition)
            steps.append(x)
        return steps, maps


class Grow(nn.Module):
    """Upsample to twice the height and width."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.smooth = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, 2h, 2w)."""
        result: Tensor = self.smooth(F.interpolate(x, scale_factor=2.0))
        return result


class Generator(nn.Module):
    """Noisy faces, a time, an expression, a caption and action units to the velocity of the flow.

    words: size of the vocabulary.   channels: of each level, finest first; each has half the size of the one before.
    attended: number of coarsest levels with attention.   blocks: of each level, down and up. width: of tokens.   heads:
    of all attention.   depth: layers of the text encoder.
    """

    def __init__(
        self,
        words: int,
        *,
        channels: tuple[int, ...] = (32, 64, 128),
        attended: int = 2,
        blocks: int = 2,
        width: int = 128,
        heads: int = 4,
        depth: int = 2,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        time = 2 * width
        self.clock = nn.Sequential(nn.Linear(2 * _FREQUENCIES, time), nn.SiLU(), nn.Linear(time, time), nn.SiLU())
        self.expressions = nn.Embedding(len(Expression) + 1, width)  # the last one: unknown
        self.words = nn.Embedding(words + 1, width, padding_idx=PADDING)
        self.position = nn.Parameter(torch.randn(1 + LONGEST, width) * 0.02)
        self.reading = nn.ModuleList(Layer(width, heads) for _ in range(depth))
        self.read_norm = nn.LayerNorm(width)
        # Tokens of each action unit: at rest, change with intensity, and unknown.
        self.unit_rest = nn.Embedding(VECTOR + 1, width)
        self.unit_move = nn.Embedding(VECTOR, width)

        def level(inputs: list[int], outputs: int, depth_of: int) -> ResolutionLevel:
            attentive = depth_of >= len(channels) - attended
            return ResolutionLevel(
                [FilmBlock(i, outputs, time, dropout) for i in inputs],
                [Attention(outputs, width, heads) for _ in inputs if attentive],
            )

        self.stem = nn.Conv2d(SHUFFLE**2, channels[0], 3, padding=1)
        self.blocks, kept, before = blocks, list[int](), channels[0]
        self.down, self.shrink = nn.ModuleList(), nn.ModuleList()
        for i, outputs in enumerate(channels):
            self.down.append(level([before] + [outputs] * (blocks - 1), outputs, i))
            kept += [outputs] * blocks
            last = i == len(channels) - 1
            self.shrink.append(nn.Identity() if last else nn.Conv2d(outputs, outputs, 3, stride=2, padding=1))
            before = outputs
        self.middle = level([before], before, len(channels) - 1)
        self.up, self.grow = nn.ModuleList(), nn.ModuleList()
        for i, outputs in reversed(list(enumerate(channels))):
            inputs = [before] + [outputs] * (blocks - 1)
            self.up.append(level([width_of + kept.pop() for width_of in inputs], outputs, i))
            self.grow.append(Grow(outputs) if i else nn.Identity())
            before = outputs
        self.last = nn.Sequential(_norm(before), nn.SiLU(), nn.Conv2d(before, SHUFFLE**2, 3, padding=1))
        _to_nothing(self.last[-1])

    def forward(self, x: Tensor, t: Tensor, label: Tensor, words: Tensor, units: Tensor, known: Tensor) -> FlowOutput:
        """Return the velocity of noisy faces under conditions.

        x: (B, 1, S, S), about -1 to 1 without noise.   t: (B,), 0 the face, 1 noise. label: (B, 8) shares of the
        expressions; all 0 for none.   words: (B, W) numbers of words or PADDING. units: (B, K) action units and
        asymmetries.   known: (B, K), 1 for given ones, 0 for others.
        """
        text, there = self.read(label, words)
        return self.flow(x, t, text, there, self.unit_tokens(units, known))

    def read(self, label: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 8) and (B, W) -> tokens of the expression and the words, (B, 1 + W, D), and a mask of existing ones,
        bool.
        """
        shares = torch.cat([label, 1 - label.sum(dim=1, keepdim=True)], dim=1)  # (B, 9)
        tokens = torch.cat([(shares @ self.expressions.weight)[:, None], self.words(words)], dim=1) + self.position
        there = torch.cat([torch.ones_like(words[:, :1]), words], dim=1) != PADDING
        for layer in self.reading:
            tokens = layer(tokens, there)
        return self.read_norm(tokens), there

    def unit_tokens(self, units: Tensor, known: Tensor) -> Tensor:
        """(B, K) and (B, K) -> (B, K, D)."""
        tokens = self.unit_rest.weight[:-1] + units[..., None] * self.unit_move.weight
        return torch.where(known[..., None] > 0, tokens, self.unit_rest.weight[-1])

    def flow(self, x: Tensor, t: Tensor, text: Tensor, there: Tensor, units: Tensor) -> FlowOutput:
        """As `forward`, from tokens."""
        time, condition = self.clock(waves(t)), (text, there, units)
        x = self.stem(F.pixel_unshuffle(x, SHUFFLE))  # (B, C, S/2, S/2)
        kept: list[Tensor] = []
        for level, shrink in zip(self.down, self.shrink, strict=True):
            steps, _ = level(x, time, condition, [])
            kept += steps
            x = shrink(steps[-1])
        steps, _ = self.middle(x, time, condition, [])
        x = steps[-1]
        features: list[Tensor] = []
        looks: list[Tensor] = []
        for level, grow in zip(self.up, self.grow, strict=True):
            steps, maps = level(x, time, condition, [kept.pop() for _ in range(self.blocks)])
            features.insert(0, _reduced(steps[-1]))
            if maps is not None:
                looks.insert(0, _reduced(maps))
            x = grow(steps[-1])
        velocity = F.pixel_shuffle(self.last(x), SHUFFLE)
        return FlowOutput(velocity, torch.cat(features, dim=1), torch.cat(looks, dim=1))


def waves(t: Tensor) -> Tensor:
    """(B,) times from 0 to 1 -> (B, 2 * frequencies) sines and cosines; the slowest covers a tenth of a turn."""
    rates = torch.logspace(-1, 2, _FREQUENCIES, device=t.device, dtype=t.dtype) * (2 * math.pi)
    angles = t[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def is_adapter(name: str) -> bool:
    """Whether a parameter of the generator belongs to its action units: tokens, keys and values."""
    return "unit_" in name


def _norm(channels: int) -> Norm:
    return Norm(max(1, channels // 8), channels)


def _to_nothing(layer: nn.Module) -> None:
    """Initialize to 0, so that a block starts as the identity."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def _split(x: Tensor, heads: int) -> Tensor:
    """(B, P, C) -> (B, H, P, d)."""
    return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)


def _weights(q: Tensor, k: Tensor, there: Tensor | None = None) -> Tensor:
    """(B, H, P, d) queries and (B, H, W, d) keys, masked by `there`, (B, W) -> (B, H, P, W) attention.

    For a few dozen tokens this is faster on a CPU than the fused kernel, whose bfloat16 gradient takes half a step.
    """
    scores = q @ (k * k.shape[-1] ** -0.5).transpose(-1, -2)
    if there is not None:
        scores = scores.masked_fill(~there[:, None, None], -math.inf)
    weights: Tensor = scores.softmax(dim=-1)
    return weights


def _joined(x: Tensor) -> Tensor:
    """(B, H, P, d) -> (B, P, C)."""
    return x.transpose(1, 2).flatten(2)


def _reduced(x: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, C, 6, 6), averaged; h and w are multiples of 6."""
    return F.avg_pool2d(x, x.shape[-1] // LOOK) if x.shape[-1] > LOOK else x
