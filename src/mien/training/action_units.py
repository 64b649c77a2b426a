"""Learning action units from a teacher: how a network answers them, and how far its answers are off.

A vector of them has 24 values: intensities 0 to 1 in ActionUnit order, then the differences between the subject's left
and right side, -1 to 1, of ASYMMETRIES. Letters: B faces.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from mien.facs.units import VECTOR
from mien.facs.vocabulary import ASYMMETRIES

_SIDES = len(ASYMMETRIES)


def bounded(raw: Tensor) -> Tensor:
    """(B, 24) of any size -> (B, 24) action units in their ranges."""
    return torch.cat([raw[:, :-_SIDES].sigmoid(), raw[:, -_SIDES:].tanh()], dim=1)


def mirrored(units: Tensor, flipped: Tensor) -> Tensor:
    """(B, 24) of faces, some of which, (B,) bool, are flipped left to right."""
    sign = torch.ones_like(units)
    sign[:, -_SIDES:] = torch.where(flipped, -1.0, 1.0)[:, None]
    return units * sign


def spread(units: Tensor, detected: Tensor) -> Tensor:
    """Return (24,) the standard deviation of each unit over the detected faces, (B,) bool, at least 0.02.

    A unit that hardly moves on these faces must not outweigh all others. Ones for fewer than two faces.
    """
    return units[detected].std(dim=0).clamp(min=0.02) if detected.sum() > 1 else torch.ones(VECTOR)


def off(answered: Tensor, taught: Tensor, spread: Tensor) -> Tensor:
    """(B, 24) Huber distance of answered from taught action units, each as a share of its spread.

    So a rare unit counts like a common one.
    """
    return F.huber_loss(answered.float(), taught, reduction="none", delta=0.1) / spread.to(answered.device)
