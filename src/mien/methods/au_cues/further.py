"""What the reader learns besides a batch of voted faces: units from pairs, how readable a face is, words from units.

Letters: N faces of the data, P pairs, R worn and C dialled faces of a step, S the side of a face.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mien.facs.head import load
from mien.facs.vocabulary import ActionUnit, Expression
from mien.methods.au_cues.model import ReaderOutput
from mien.training import augment, readability, unit_pairs
from mien.training.faces import FaceSettings, normalize
from mien.training.unit_pairs import UnitPairs

_UNITS = [int(unit) for unit in ActionUnit]
# A dose of 1 is to move the logit of its unit by this much, in everybody: from "absent" at rest to "moderate".
SLOPE = 3.5
# The logit of every unit on a face that people call neutral, an intensity of .02.
REST = -3.9
# Of the worn faces of a step, this part are faces that people voted unknown or not a face, as they are.
_VOTED = 0.25
# Units that make a word of a calm face (EMFACS, as far as the head has them); a dimple alone is none. A smile needs no
# such lesson: dialled, it is read already.
COMBINATIONS: tuple[tuple[Expression, tuple[int, ...]], ...] = (
    (Expression.SURPRISE, (1, 2, 5)),
    (Expression.SADNESS, (1, 4, 15)),
    (Expression.ANGER, (4, 5, 7, 24)),
    (Expression.DISGUST, (9, 10, 17)),
    (Expression.FEAR, (1, 2, 4, 5, 20)),
    (Expression.NEUTRAL, (14,)),
)
# A face with all of a word's units at dose 1 is called so by this share of people, the rest vote as they did. Higher
# shares cost accuracy on photographs.
_MOVED = 0.4
_DOSES = (0.3, 1.0)


class Pool(NamedTuple):
    """Faces to draw further views from.

    images: (N, 1, S, S) uint8.   readable: (N,).   ahead: rows that look ahead and have landmarks.
    calm: those of them that most people call neutral.   targets: (N, 8) shares of votes.
    landmarks: (N, 68, 2).   unread: (M, 1, S, S) uint8, faces led by "unknown" or "not a face".   unread_share: (M,).
    """

    images: Tensor
    readable: Tensor
    ahead: Tensor
    calm: Tensor
    targets: Tensor
    landmarks: Tensor
    unread: Tensor
    unread_share: Tensor


class Views(NamedTuple):
    """What a step shows besides its batch.

    images: (2 P + R + C, 1, S, S), normalized: the first views, the second, the worn, the dialled.
    wanted: (R,) readability.   targets: (C, 8) shares of votes for the dialled.
    """

    images: Tensor
    pairs: UnitPairs
    wanted: Tensor
    targets: Tensor


def draw(pool: Pool, settings: FaceSettings, pairs: int, worn: int, combinations: int = 0) -> Views:
    """Views of a step.   pairs, worn, combinations: how many of each."""

    def movement(count: int) -> Tensor:
        return augment.movement(
            count, degrees=settings.degrees, scale=settings.scale, shift=settings.shift, device=pool.images.device
        )

    rows = pool.ahead[torch.randint(max(len(pool.ahead), 1), (pairs,))]
    drawn = unit_pairs.draw(pool.images[rows].float() / 255, pool.landmarks[rows], movement(pairs))
    # Both views of a pair are lit alike, or light would be what they differ in.
    lit = augment.light(torch.cat([drawn.first, drawn.second], dim=3), contrast=settings.contrast, brightness=0.1)
    first, second = lit.chunk(2, dim=3)

    voted = min(round(_VOTED * worn), len(pool.unread))
    some, others = torch.randint(len(pool.images), (worn - voted,)), torch.randperm(len(pool.unread))[:voted]
    views, factor = readability.worn(pool.images[some].float() / 255)
    views = torch.cat([views, pool.unread[others].float() / 255])
    views = augment.light(augment.move(views, movement(worn)), contrast=settings.contrast, brightness=0.1)
    wanted = torch.cat([pool.readable[some] * factor, pool.unread_share[others]])
    calm = pool.calm[torch.randint(max(len(pool.calm), 1), (combinations,))]
    dialled, targets = dialled_faces(pool.images[calm].float() / 255, pool.landmarks[calm], movement(combinations))
    dialled = augment.light(dialled, contrast=settings.contrast, brightness=settings.brightness)
    targets = targets + (1 - targets.sum(dim=1, keepdim=True)) * pool.targets[calm]
    return Views(normalize(torch.cat([first, second, views, dialled])), drawn, wanted, targets)


def dialled_faces(images: Tensor, landmarks: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Calm faces made to show a random word, (C, 1, S, S), and the share of people who say it now, (C, 8) with one
    value above 0 each.

    images: (C, 1, S, S), 0 to 1.   landmarks: (C, 68, 2).   matrix: (C, 2, 3), as of augment.movement.
    """
    count, units = len(images), load().units.tolist()
    which = torch.randint(len(COMBINATIONS), (count,)).tolist()
    dose = torch.empty(count).uniform_(*_DOSES)
    doses, targets = torch.zeros(count, len(units)), torch.zeros(count, len(Expression))
    for row, number in enumerate(which):
        word, together = COMBINATIONS[number]
        doses[row, [units.index(unit) for unit in together]] = dose[row]
        targets[row, word] = _MOVED * dose[row]
    return unit_pairs.combined(images, landmarks, matrix, doses), targets


def loss(answers: ReaderOutput, views: Views) -> tuple[Tensor, Tensor, Tensor]:
    """How far pairs and worn faces are off, two means, and the summed cross-entropy of the dialled faces.

    answers: of the images of the views.
    """
    count, nothing = len(views.pairs.unit), answers.logits.new_zeros((), dtype=torch.float32)
    by_pairs = by_worn = nothing
    end = 2 * count + len(views.wanted)
    if count and answers.action_units is not None:
        logits = intensity_logits(answers.action_units[: 2 * count])  # (2 P, 21)
        by_pairs = pair_loss(logits[:count], logits[count:], views.pairs)
    if len(views.wanted) and answers.readability is not None:
        by_worn = readability.loss(answers.readability[2 * count : end], views.wanted).mean()
    by_words = (
        F.cross_entropy(answers.logits[end:].float(), views.targets, reduction="sum") if len(views.targets) else nothing
    )
    return by_pairs, by_worn, by_words


def intensity_logits(units: Tensor) -> Tensor:
    """(B, 24) action units -> (B, 21) logits of the intensities."""
    return torch.logit(units[:, : len(_UNITS)].float().clamp(1e-4, 1 - 1e-4))


def pair_loss(first: Tensor, second: Tensor, pairs: UnitPairs) -> Tensor:
    """The dialled unit's logit moves by SLOPE times the dose, all others stay, but for those the head brings along.

    first, second: (P, 21) logits.
    """
    change = second - first
    wanted, counts = torch.zeros_like(change), torch.ones_like(change)
    for row, (unit, more) in enumerate(zip(pairs.unit.tolist(), pairs.more.tolist(), strict=True)):
        if unit:
            wanted[row, _UNITS.index(unit)] = SLOPE * more
            for other in unit_pairs.ALONG[unit]:
                counts[row, _UNITS.index(other)] = 0
            # One unit against twenty: what moves counts as much as what stays.
            counts[row, _UNITS.index(unit)] = 8
    off = F.huber_loss(change, wanted, reduction="none", delta=1.0)
    return (off * counts).sum() / counts.sum()


def rest_loss(units: Tensor, neutral: Tensor) -> Tensor:
    """How far the units of faces that people call neutral, (B,) bool, are from REST: what people differ in at rest."""
    if not neutral.any():
        return units.sum() * 0
    logits = intensity_logits(units[neutral])
    return F.huber_loss(logits, torch.full_like(logits, REST), delta=1.0)
