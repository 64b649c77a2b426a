"""FERAnno's head: the generator's features of a face to its expression.

Letters: B faces, F features, M maps, C channels, 36 = 6 x 6 positions.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.facs.vocabulary import Expression


class HeadOutput(NamedTuple):
    """logits: (B, 8) in Expression order."""

    logits: Tensor


class FeatureBranch(nn.Module):
    """One kind of the generator's features to tokens: a convolution over all levels and two residual blocks."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.scale, self.project = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, channels, 1)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(),
                nn.Conv2d(channels, channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(channels),
            )
            for _ in range(2)
        )

    def forward(self, seen: Tensor) -> Tensor:
        """(B, inputs, 6, 6) -> (B, 36, C)."""
        x = self.project(self.scale(seen))
        for block in self.blocks:
            x = F.relu(x + block(x))
        tokens: Tensor = x.flatten(2).transpose(1, 2)
        return tokens


class Look(nn.Module):
    """Cross-attention to the other branch, added and normalized."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads, self.norm = heads, nn.LayerNorm(channels)
        self.query, self.other = nn.Linear(channels, channels), nn.Linear(channels, 2 * channels)
        self.seen = nn.Linear(channels, channels)

    def forward(self, tokens: Tensor, others: Tensor) -> Tensor:
        """(B, 36, C) and (B, 36, C) -> (B, 36, C)."""
        q, k, v = (
            part.reshape(*part.shape[:2], self.heads, -1).transpose(1, 2)
            for part in (self.query(tokens), *self.other(others).chunk(2, dim=-1))
        )
        seen = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        result: Tensor = self.norm(tokens + self.seen(seen))
        return result


class Head(nn.Module):
    """Features and maps of a face to its expression: two branches with cross-attention, their means, one layer."""

    def __init__(self, features: int, maps: int, *, channels: int = 96, heads: int = 4, dropout: float = 0.2) -> None:
        super().__init__()
        self.features, self.maps = FeatureBranch(features, channels), FeatureBranch(maps, channels)
        self.at_maps, self.at_features = Look(channels, heads), Look(channels, heads)
        self.dropout = nn.Dropout(dropout)
        self.expression = nn.Linear(2 * channels, len(Expression))

    def forward(self, features: Tensor, maps: Tensor) -> HeadOutput:
        """(B, F, 6, 6) and (B, M, 6, 6) -> HeadOutput."""
        f, m = self.features(features), self.maps(maps)
        pooled = torch.cat([self.at_maps(f, m).mean(dim=1), self.at_features(m, f).mean(dim=1)], dim=1)  # (B, 2C)
        return HeadOutput(self.expression(self.dropout(pooled)))
