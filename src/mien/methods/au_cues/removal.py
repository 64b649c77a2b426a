"""What a network loses when what it looks at is blurred: deletion and insertion, after Petsiuk et al., 2018 ("RISE").

Letters: N faces, B of them at a time, S the side of a face, h and w the size of a look, R resamples.
"""

from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mien.evaluation.intervals import bootstrap, percentile_interval
from mien.evaluation.result import Result
from mien.methods.au_cues.loss import reduced
from mien.methods.au_cues.model import ReaderOutput
from mien.training.faces import normalize

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]
# Deletion and insertion go in these shares of the pixels, between nothing and everything.
SHARES = tuple(k / 10 for k in range(1, 10))
# Removing the most attended 20 % should cost so many times what removing as many pixels elsewhere does.
TOP, TIMES = 0.2, 1.5
# The deviation of the Gaussian that removes, as a share of the side: on FERPlus nothing is left to tell faces apart.
BLUR = 1 / 8
_PART = 64


def enlarged(look: Tensor, side: int) -> Tensor:
    """(B, h, w) -> (B, side, side), bilinear, each value where the loss that taught it has it."""
    return reduced(look, (side, side))


class Removed(NamedTuple):
    """Whether the answer was right with parts of the faces blurred: (N, ...) bool or the share of draws.

    deleted: (N, shares), without the most attended pixels.   inserted: (N, shares), with these alone.
    blurred: (N,), without any.   moved: (N,), the TOP mask elsewhere, mean over draws.   other: (N,), another face's.
    """

    deleted: Bools
    inserted: Bools
    blurred: Bools
    moved: Floats
    other: Bools


def removals(
    network: nn.Module, crops: Tensor, labels: NDArray[np.integer], look: Tensor, draws: int = 5, seed: int = 0
) -> Removed:
    """Ask the network again and again about faces of which a part is blurred.

    crops: (N, 1, S, S) uint8.   look: (N, h, w), which says what is attended.
    """
    count, side = len(crops), crops.shape[-1]
    rng = np.random.default_rng(seed)
    tie_order = torch.from_numpy(rng.permutation(side * side))
    shifts = torch.from_numpy(rng.integers(0, side, (draws, count, 2)))
    # In a random circle each face has the mask of the next, never its own.
    circle = rng.permutation(count)
    neighbour = np.empty(count, int)
    neighbour[circle] = np.roll(circle, 1)

    parts = []
    for start in range(0, count, _PART):
        rows = slice(start, start + _PART)
        sharp, truth = crops[rows], torch.from_numpy(labels[rows])
        soft = blurred(sharp)
        rank = ranks(enlarged(look[rows], side), tie_order)
        tops = [most_attended(rank, share) for share in SHARES]
        top = most_attended(rank, TOP)
        moved = [rolled(top, shift[rows]) for shift in shifts]
        other = most_attended(ranks(enlarged(look[neighbour[rows]], side), tie_order), TOP)
        parts.append(
            Removed(
                np.stack([_right(network, pieced(mask, soft, sharp), truth) for mask in tops], axis=1),
                np.stack([_right(network, pieced(mask, sharp, soft), truth) for mask in tops], axis=1),
                _right(network, soft, truth),
                np.mean([_right(network, pieced(mask, soft, sharp), truth) for mask in moved], axis=0),
                _right(network, pieced(other, soft, sharp), truth),
            )
        )
    return Removed(*(np.concatenate(field) for field in zip(*parts, strict=True)))


@torch.no_grad()
def _right(network: nn.Module, crops: Tensor, labels: Tensor) -> Bools:
    answers: ReaderOutput = network(normalize(crops))
    return np.asarray(answers.logits.argmax(dim=1) == labels)


def pieced(masks: Tensor, inside: Tensor, outside: Tensor) -> Tensor:
    """(B, 1, S, S) faces from two, one where the (B, S, S) masks are true and the other elsewhere."""
    return torch.where(masks[:, None], inside, outside)


def blurred(crops: Tensor) -> Tensor:
    """(B, 1, S, S) uint8 faces through a Gaussian so wide that only light and shade remain."""
    sigma = BLUR * crops.shape[-1]
    soft = [cv2.GaussianBlur(face[0], (0, 0), sigma, borderType=cv2.BORDER_REPLICATE) for face in crops.numpy()]
    return torch.from_numpy(np.stack(soft))[:, None]


def ranks(look: Tensor, tie_order: Tensor) -> Tensor:
    """(B, S, S) -> (B, S, S): 0 for the most attended pixel, then 1, and so on.

    tie_order: (S S,), a permutation by which equal pixels come: in reading order a look that is 0 in many places would
    favour the forehead.
    """
    shuffled = look.flatten(1)[:, tie_order]
    order = tie_order[shuffled.argsort(dim=1, descending=True, stable=True)]  # (B, S S), pixels as they come
    rank = torch.empty_like(order).scatter_(1, order, torch.arange(order.shape[1]).expand_as(order))
    return rank.view(look.shape)


def most_attended(rank: Tensor, share: float) -> Tensor:
    """(B, S, S) ranks -> (B, S, S) bool: this share of the pixels."""
    return rank < round(share * rank.shape[1] * rank.shape[2])


def rolled(masks: Tensor, shift: Tensor) -> Tensor:
    """(B, S, S) masks moved by (B, 2) pixels down and right; what leaves at one side comes in at the other."""
    side = masks.shape[-1]
    y = (torch.arange(side) - shift[:, :1]) % side  # (B, S), where each row comes from
    x = (torch.arange(side) - shift[:, 1:]) % side
    return masks[torch.arange(len(masks))[:, None, None], y[:, :, None], x[:, None, :]]


def drops(
    right: Floats | Bools, removed: Floats | Bools, control: Floats | Bools, resamples: int = 2000, seed: int = 0
) -> Result:
    """How much accuracy falls without what is attended, against how much it falls without as much elsewhere.

    Each (N,), whether, or how often, the answer was right.   ratio: of the two falls, None where the control did not
    fall.   excess: the fall less TIMES the control's; above 0 the ratio is above TIMES, and its interval always exists.
    """
    tally = np.stack([right, removed, control], axis=1).astype(float)

    def falls(accuracy: Floats) -> dict[str, Floats]:
        drop, other = accuracy[:, 0] - accuracy[:, 1], accuracy[:, 0] - accuracy[:, 2]
        ratio = np.divide(drop, other, out=np.where(drop > 0, np.inf, np.nan), where=other > 0)
        return {"drop": drop, "control_drop": other, "ratio": ratio, "excess": drop - TIMES * other}

    whole, many = falls(tally.mean(axis=0)[None]), falls(bootstrap(tally, resamples, seed) / len(tally))
    measured = {name: interval(whole[name][0], many[name]) for name in whole}
    return {**measured, "times": TIMES, "accepted": bool(whole["excess"][0] >= 0 < whole["drop"][0])}


def removal_scores(right: Bools, removed: Removed, resamples: int, seed: int) -> Result:
    """One look's curves from nothing to everything, their areas, and what the most attended pixels are worth."""
    ends = right[:, None], removed.blurred[:, None]
    deletion = np.concatenate([ends[0], removed.deleted, ends[1]], axis=1)
    insertion = np.concatenate([ends[1], removed.inserted, ends[0]], axis=1)
    at_top = removed.deleted[:, SHARES.index(TOP)]
    return {
        "deletion": _curve(deletion, resamples, seed),
        "insertion": _curve(insertion, resamples, seed),
        "top": {
            "share": TOP,
            "accuracy": float(at_top.mean()),
            "against_moved_mask": drops(right, at_top, removed.moved, resamples, seed),
            "against_mask_of_another_face": drops(right, at_top, removed.other, resamples, seed),
        },
    }


def _curve(right: Bools, resamples: int, seed: int) -> Result:
    """(N, shares + 2) -> accuracy at each share, and the area under it, which for shares at equal steps is a mean."""
    shares = (0.0, *SHARES, 1.0)
    whole, many = right.mean(axis=0), bootstrap(right.astype(float), resamples, seed) / len(right)
    area, areas = ((values[..., 1:] + values[..., :-1]).mean(axis=-1) / 2 for values in (whole, many))
    points = [{"share": share, **interval(whole[i], many[:, i])} for i, share in enumerate(shares)]
    return {"points": points, "area": interval(area, areas)}


def interval(value: Any, values: Floats) -> dict[str, float | None]:
    """Return a number with its 95 % interval from resampled values; None for what is not finite."""
    with np.errstate(invalid="ignore"):  # between two infinite ratios
        low, high = percentile_interval(values)
    numbers = {"value": float(value), "low": float(low), "high": float(high)}
    return {name: number if np.isfinite(number) else None for name, number in numbers.items()}
