"""The losses of the embedded model: those of the face encoder in stage 0, and those of the text after it.

Letters: B faces or conversations, T tokens, V words.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.methods.expllm.small.tokenizer import Tokenizer
from mien.training import action_units, augment
from mien.training.faces import AugmentedBatch
from mien.training.loop import Batch


def vision_loss(network: nn.Module, seen: AugmentedBatch, taught: Batch, spread: Tensor, weight: float) -> Tensor:
    """Cross-entropy against the votes, and the distance of the action units from the teacher's, where it has any.

    taught: (B, 24) of the faces before they were moved, and (B,) bool.   spread: (24,) of each unit over the faces.
    """
    answers = network(seen.images)
    total = F.cross_entropy(answers.logits.float(), seen.targets)
    return total + weight * unit_loss(answers.action_units, seen, taught, spread)


def unit_loss(answered: Tensor, seen: AugmentedBatch, taught: Batch, spread: Tensor) -> Tensor:
    """Return the distance of (B, 24) action units from the teacher's, over detected faces that are not blended."""
    units, detected = taught
    off = action_units.off(answered, action_units.mirrored(units, augment.flipped(seen.matrix)), spread)  # (B, 24)
    known = detected.float() * (torch.arange(len(detected), device=detected.device) >= seen.blended)
    return (off.mean(dim=1) * known).sum() / known.sum().clamp(min=1)


def losses(logits: Tensor, tokens: Tensor, answered: Tensor, slot: Tensor, votes: Tensor, first: int) -> Tensor:
    """(B,) the mean over each conversation's own answer, so that a label weighs as much as a chain of thought.

    logits: (B, T, V).   tokens: (B, T).   answered: (B, T) bool.   votes: (B, 8).   first: the first label token.
    slot: (B,) where the cross-entropy is against the votes instead of the token, over all words; 0 for nowhere.
    """
    chances = logits[:, :-1].float().log_softmax(dim=-1)  # (B, T-1, V)
    off = -chances.gather(2, tokens[:, 1:, None])[..., 0]  # (B, T-1)
    before = (slot - 1).clamp(min=0)
    rows = torch.arange(len(slot), device=slot.device)
    soft = -(votes * chances[rows, before, first : first + votes.shape[1]]).sum(dim=-1)  # (B,)
    voted = (torch.arange(off.shape[1], device=slot.device) == before[:, None]) & (slot > 0)[:, None]
    off = torch.where(voted, soft[:, None], off)
    mine = answered[:, 1:].float()
    return (off * mine).sum(dim=1) / mine.sum(dim=1).clamp(min=1)


def mirrored(tokens: Tensor, tokenizer: Tokenizer) -> Tensor:
    """The same conversations about the mirror image: left is right."""
    left, right = tokenizer["left"], tokenizer["right"]
    return torch.where(tokens == left, right, torch.where(tokens == right, left, tokens))
