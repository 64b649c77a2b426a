"""How many people could read a face, as a target: the votes for "unknown" and "not a face", and faces made unreadable.

Letters: B faces, N faces of the data, S the side of a face.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from mien.evaluation.protocols import CLASSES

# Reduced to so many pixels or fewer a face is unreadable, to so many or more it is as readable as it was.
UNREADABLE, READABLE = 6, 16
_LEAST, _MOST = 3, 40
# Of the worn faces, these are no faces any more: their patches are shuffled.
_SHUFFLED = 0.15


def readable_share(votes: NDArray[np.integer]) -> NDArray[np.float32]:
    """(N,) share of the people who named one of the eight expressions, 0 to 1.   votes: (N, 10), as they were cast."""
    total = np.maximum(votes.sum(axis=1), 1)
    return np.asarray(votes[:, :CLASSES].sum(axis=1) / total, np.float32)


def worn(images: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 1, S, S) faces, each reduced to another number of pixels and enlarged again, some of them cut and shuffled.

    Also returns (B,) by what their readability is to be multiplied, 0 to 1.
    """
    count, side = len(images), images.shape[-1]
    sizes = torch.empty(count).uniform_(math.log(_LEAST), math.log(_MOST)).exp().round().int().tolist()
    views = []
    for image, size in zip(images, sizes, strict=True):
        small = F.interpolate(image[None], (size, size), mode="area")
        views.append(F.interpolate(small, (side, side), mode="bilinear", align_corners=False))
    factor = ((torch.tensor(sizes, dtype=torch.float32) - UNREADABLE) / (READABLE - UNREADABLE)).clamp(0, 1)
    shuffled = torch.rand(count) < _SHUFFLED
    faces = torch.cat(views) if views else images
    return torch.where(shuffled[:, None, None, None], _shuffle(images), faces), torch.where(shuffled, 0.0, factor)


def _shuffle(images: Tensor) -> Tensor:
    """Cut each picture into a grid of patches and lay them in another order."""
    side = images.shape[-1] // 4 * 4
    patch = side // 4
    cut = F.unfold(images[..., :side, :side], patch, stride=patch)  # (B, patch patch, 16)
    mixed = F.fold(cut[:, :, torch.randperm(cut.shape[2])], (side, side), patch, stride=patch)
    return F.interpolate(mixed, images.shape[-2:], mode="bilinear", align_corners=False)


def loss(answered: Tensor, wanted: Tensor) -> Tensor:
    """(B,) cross-entropy of answered and wanted shares, 0 to 1."""
    given = answered.float().clamp(1e-4, 1 - 1e-4)
    return -(wanted * given.log() + (1 - wanted) * (1 - given).log())
