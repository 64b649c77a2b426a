"""The alignment loss: attention and AU map should point the same way (Belharbi et al., 2024).

Letters: B faces, C channels, h and w the size of a layer, H and W the size of a map.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def attention(features: Tensor) -> Tensor:
    """(B, C, h, w) features after a ReLU -> (B, h, w): the plain mean over channels, as in the paper."""
    return features.mean(dim=1)


def alignment_loss(attentions: Sequence[Tensor], au_map: Tensor, has_map: Tensor) -> Tensor:
    """1 - cosine of attention and AU map, 0 when they agree up to a factor; the mean over layers and faces with a map.

    attentions: a (B, h, w) for each aligned layer.   au_map: (B, H, W), 0 to 1.   has_map: (B,) bool.
    """
    if not has_map.any():
        # Still part of the graph, so that a batch full of neutrals trains like any other.
        return sum((layer.sum() for layer in attentions), start=au_map.new_zeros(())) * 0
    losses = [1 - cosine(layer, reduced(au_map, layer.shape[-2:])) for layer in attentions]  # each (B,)
    # Averaged over the faces that have a map, or many neutrals in a batch would quietly weaken the cue.
    return sum((loss[has_map].mean() for loss in losses), start=au_map.new_zeros(())) / len(losses)


def cosine(attention: Tensor, au_map: Tensor) -> Tensor:
    """(B, h, w) twice -> (B,)."""
    return F.cosine_similarity(attention.flatten(1), au_map.flatten(1), dim=1, eps=1e-8)


def reduced(au_map: Tensor, size: Sequence[int]) -> Tensor:
    """(B, H, W) -> (B, h, w): bilinear with antialiasing, kept within the map's own smallest and largest value."""
    if tuple(au_map.shape[-2:]) == tuple(size):
        return au_map
    small = F.interpolate(au_map[:, None], tuple(size), mode="bilinear", antialias=True, align_corners=True)[:, 0]
    low, high = au_map.amin(dim=(1, 2), keepdim=True), au_map.amax(dim=(1, 2), keepdim=True)
    return small.clamp(low, high)


def in_place(cells: int, side: int) -> Tensor:
    """(h, h), which times a column of h cells of attention puts it where it belongs on a face of S pixels.

    `reduced` is as published, and PyTorch's antialiased resize spaces cells from the corner, not from the middle of the
    first: cell i of 12 is taught the map around pixel 4.3 (i + 1/2), not 4 (i + 1/2), of 48. The network learns that,
    so that its attention shows up to two pixels too far up and left.
    """
    lines = torch.eye(side)[:, None, :].expand(-1, side, -1)  # (S, S, S): a white column at each x
    weights = reduced(lines, (cells, cells))[:, 0].T.numpy()  # (h, S)
    taught_at = weights @ np.arange(side) / weights.sum(axis=1)
    belongs_at = (np.arange(cells) + 0.5) * side / cells - 0.5
    columns = [np.interp(belongs_at, taught_at, unit) for unit in np.eye(cells)]
    return torch.from_numpy(np.stack(columns, axis=1)).float()
