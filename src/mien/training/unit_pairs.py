"""Pairs of views of a face that differ by a known dose of one action unit, and shams that differ in no unit.

No photograph says how strong its units are, but of a face warped by a morphable head (mien.facs.head) it is known by
how much one unit is stronger than in the same face warped otherwise. A dose of 1 is about the strongest a person makes.
A sham is warped as heads differ, or blurred, or lit otherwise: nothing that a unit may answer to.

Letters: B faces, P points, U units, S the side of a face.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mien.facs.head import REACH, load
from mien.training import augment

# Doses: the first view's largest, and how much more the second view has.
_FIRST, _MORE = 0.5, (0.4, 1.0)
# Units that are also dialled the other way, as in a brow that comes down where AU1 would raise it; in this share.
_BOTH_WAYS, _BACKWARDS = frozenset({1, 2, 4, 12, 15}), 0.25
# Of all pairs, these are shams; of AU4's pairs, these have furrows painted between the brows.
_SHAMS, _FURROWS = 0.25, 0.5
# Units that a unit of the head brings along: its pairs say nothing of them.
ALONG: dict[int, tuple[int, ...]] = {
    1: (5,), 2: (5,), 4: (7, 9), 5: (43, 7), 6: (7, 43, 12, 10), 7: (6, 43), 9: (4, 10, 6, 7, 25), 10: (25, 9, 16),
    12: (14, 6, 20, 25, 28), 14: (12, 20, 24, 28), 15: (17, 14, 20), 17: (24, 15, 28, 16, 18), 18: (22, 24, 28, 17),
    20: (14, 12, 25, 15), 24: (28, 17, 14, 18), 43: (5, 7, 6),
}  # fmt: skip
_BLINK = (7, 43)


class UnitPairs(NamedTuple):
    """Two views of each face.

    first, second: (B, 1, S, S), 0 to 1.   unit: (B,) FACS number, 0 for a sham.
    more: (B,) by how much the dose of the second is above that of the first.
    """

    first: Tensor
    second: Tensor
    unit: Tensor
    more: Tensor


def draw(images: Tensor, landmarks: Tensor, matrix: Tensor) -> UnitPairs:
    """A pair of each face, both views moved alike by the matrices of `augment.movement`.

    images: (B, 1, S, S), 0 to 1.   landmarks: (B, 68, 2), shares of the side, of faces that look ahead, more or less.
    """
    shapes, count = load(), len(images)
    points, flat = _placed(landmarks)
    which = torch.randint(len(shapes.units), (count,))
    unit = torch.from_numpy(shapes.units)[which]
    sham = torch.rand(count) < _SHAMS
    backwards = torch.tensor([int(u) in _BOTH_WAYS for u in unit], dtype=torch.bool) & (torch.rand(count) < _BACKWARDS)
    sign = torch.where(backwards, -0.6, 1.0)
    low = torch.rand(count) * _FIRST * sign
    high = low + torch.empty(count).uniform_(*_MORE) * sign
    move = torch.from_numpy(shapes.moves)[which] * _openness(landmarks, unit)[:, None, None]  # (B, P, 3)
    head = _another_head(torch.from_numpy(shapes.identities), count)  # (B, P, 3)
    one = (torch.where(sham, 0.0, low)[:, None, None] * move) @ flat
    other = (torch.where(sham[:, None, None], head, high[:, None, None] * move)) @ flat
    reach = REACH * _between_eyes(landmarks)
    furrowed = (unit == 4) & ~sham & (torch.rand(count) < _FURROWS)
    depth = torch.rand(count) * 0.4 * furrowed
    first = _furrow(warp(images, matrix, points, one, reach), landmarks, matrix, depth * low.clamp(min=0))
    second = _furrow(warp(images, matrix, points, other, reach), landmarks, matrix, depth * high.clamp(min=0))
    second = torch.where(sham[:, None, None, None], _disturbed(second), second)
    return UnitPairs(first, second, torch.where(sham, 0, unit), torch.where(sham, 0.0, high - low))


def combined(images: Tensor, landmarks: Tensor, matrix: Tensor, doses: Tensor) -> Tensor:
    """Faces with several units dialled at once, then moved by the matrices of `augment.movement`: (B, 1, S, S).

    images, landmarks: as in `draw`.   doses: (B, U), in the order of the units of mien.facs.head.load().
    """
    shapes = load()
    points, flat = _placed(landmarks)
    units = torch.from_numpy(shapes.units)
    travel = torch.stack([_openness(landmarks, unit.expand(len(images))) for unit in units], dim=1)  # (B, U)
    move = torch.einsum("bu,upk->bpk", doses * travel, torch.from_numpy(shapes.moves))  # (B, P, 3)
    warped = warp(images, matrix, points, move @ flat, REACH * _between_eyes(landmarks))
    drawn = torch.rand(len(images)) < _FURROWS
    depth = torch.rand(len(images)) * 0.4 * drawn * doses[:, units == 4].sum(dim=1).clamp(0, 1)
    return _furrow(warped, landmarks, matrix, depth)


def _placed(landmarks: Tensor) -> tuple[Tensor, Tensor]:
    """Where the head's points lie in each picture, (B, P, 2), and what takes its movements there, (B, 3, 2)."""
    rest = torch.from_numpy(load().rest)
    camera = cameras(rest[:68], landmarks)  # (B, 2, 4)
    points = rest @ camera[:, :, :3].mT + camera[:, None, :, 3]
    points[:, :68] = landmarks
    return points, camera[:, :, :3].mT


def cameras(rest: Tensor, landmarks: Tensor) -> Tensor:
    """(B, 2, 4) affine cameras that take the (68, 3) points of the head closest to the landmarks, (B, 68, 2)."""
    inner = slice(17, 68)  # the jaw is what heads differ in most
    design = torch.cat([rest[inner], torch.ones(len(rest[inner]), 1)], dim=1)  # (51, 4)
    pull = 0.05 * torch.diag(torch.tensor([0.0, 0.0, 1.0, 0.0]))
    solved: Tensor = torch.linalg.solve(design.T @ design + pull, design.T @ landmarks[:, inner])  # (B, 4, 2)
    return solved.mT


def warp(images: Tensor, matrix: Tensor, points: Tensor, shift: Tensor, reach: Tensor) -> Tensor:
    """Move (B, P, 2) points of each picture by (B, P, 2) and its skin with them, then the whole by `augment` matrices.

    points, shift, reach: shares of the side; reach (B,) is how far a point's movement is felt.
    """
    if not len(images):
        return images
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)  # (B, S, S, 2), -1 to 1
    count, side = len(images), images.shape[-1]
    places = (grid.reshape(count, -1, 2) + 1) / 2  # (B, S S, 2)
    moved = points + shift
    kernel = _kernel(torch.cdist(moved, moved), reach) + 0.02 * torch.eye(points.shape[1])
    weights = torch.linalg.solve(kernel, shift)  # (B, P, 2)
    back = _kernel(torch.cdist(places, moved), reach) @ weights  # (B, S S, 2)
    source = (grid.reshape(count, -1, 2) - 2 * back).reshape(count, side, side, 2)
    return F.grid_sample(images, source, mode="bilinear", padding_mode="border", align_corners=False)


def _kernel(distance: Tensor, reach: Tensor) -> Tensor:
    # Matern's of order 3/2: smooth where points lie, and soon 0 away from them.
    scaled = distance * (3**0.5) / reach[:, None, None]
    return (1 + scaled) * torch.exp(-scaled)


def _openness(landmarks: Tensor, unit: Tensor) -> Tensor:
    """(B,) how far lids travel in a blink or a squint: as far as these eyes are open, 1 for the head's own; else 1."""
    upper, lower = landmarks[:, [37, 38, 43, 44], 1].mean(dim=1), landmarks[:, [41, 40, 47, 46], 1].mean(dim=1)
    opening = ((lower - upper) / _between_eyes(landmarks) / 0.1).clamp(0.5, 1.3)
    blinks = torch.tensor([int(u) in _BLINK for u in unit], dtype=torch.bool)
    return torch.where(blinks, opening, 1.0)


def _between_eyes(landmarks: Tensor) -> Tensor:
    distance: Tensor = (landmarks[:, 36] - landmarks[:, 45]).norm(dim=1)
    return distance.clamp(min=0.1)


def _another_head(identities: Tensor, count: int) -> Tensor:
    """(B, P, 3) how another head differs, the whole scaled down so that a warped face stays a likely one."""
    return torch.einsum("bi,ipk->bpk", torch.randn(count, len(identities)) * 0.5, identities)


def _disturbed(images: Tensor) -> Tensor:
    """Blurred a little, lit otherwise and noisy, each face by another amount."""
    count = len(images)
    soft = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)
    images = torch.lerp(images, soft, torch.rand(count, 1, 1, 1))
    images = augment.light(images, contrast=0.15, brightness=0.08)
    return (images + torch.randn_like(images) * 0.03 * torch.rand(count, 1, 1, 1)).clamp(0, 1)


def _furrow(images: Tensor, landmarks: Tensor, matrix: Tensor, depth: Tensor) -> Tensor:
    """Paint two upright furrows between the brows.   depth: (B,) share of the light that they take."""
    places = augment.move_points(landmarks[:, [21, 22]], matrix)  # (B, 2, 2)
    left, right = places.unbind(1)
    half = ((right - left).norm(dim=1) / 2).clamp(min=0.02)[:, None, None]
    axis = F.normalize(right - left, dim=1)  # (B, 2)
    side = images.shape[-1]
    line = (torch.arange(side) + 0.5) / side
    x = line[None, None, :] - (left + right)[:, 0, None, None] / 2
    y = line[None, :, None] - (left + right)[:, 1, None, None] / 2
    along = (x * axis[:, 0, None, None] + y * axis[:, 1, None, None]) / half
    down = (y * axis[:, 0, None, None] - x * axis[:, 1, None, None]) / half
    tall = torch.exp(-(((down - 0.2) / 0.9) ** 4))
    dark = sum(torch.exp(-(((along - at) / 0.16) ** 2)) for at in (-0.42, 0.42))
    light = sum(torch.exp(-(((along - at) / 0.2) ** 2)) for at in (-0.75, 0.0, 0.75))
    factor = 1 - depth[:, None, None] * tall * (dark - 0.35 * light)
    return (images * factor[:, None]).clamp(0, 1)
