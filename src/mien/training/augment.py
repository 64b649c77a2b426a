"""Image augmentation for a whole batch of gray faces at once, where per-image pipelines would starve two cores.

Letters: B faces, C channels (1), H and W pixels, K classes. Pictures are floats in 0..1.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def _uniform(n: int, limit: float, device: torch.device) -> Tensor:
    return (torch.rand(n, device=device) * 2 - 1) * limit


def movement(count: int, *, degrees: float, scale: float, shift: float, device: torch.device) -> Tensor:
    """(count, 2, 3) matrices that flip half of the faces and turn, scale and shift each by a uniform draw.

    degrees, scale, shift: largest turn, largest change of size (0.15: 0.85 to 1.15) and largest shift as a share of the
    width. The matrices take output to input coordinates, both from -1 to 1.
    """
    angle = _uniform(count, math.radians(degrees), device)
    size = 1 / (1 + _uniform(count, scale, device))
    flip = torch.where(torch.rand(count, device=device) < 0.5, -1.0, 1.0)
    matrix = torch.zeros(count, 2, 3, device=device)  # (B, 2, 3)
    matrix[:, 0, 0] = angle.cos() * size * flip
    matrix[:, 0, 1] = -angle.sin() * size
    matrix[:, 1, 0] = angle.sin() * size * flip
    matrix[:, 1, 1] = angle.cos() * size
    matrix[:, :, 2] = torch.stack([_uniform(count, 2 * shift, device), _uniform(count, 2 * shift, device)], 1)
    return matrix


def move(images: Tensor, matrix: Tensor, mode: str = "bilinear") -> Tensor:
    """Move (B, C, H, W) pictures by the matrices of `movement`; what comes in from outside repeats the border.

    mode: "bilinear" for pictures, "nearest" for maps that go with them.
    """
    if not len(images):
        return images
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)  # (B, H, W, 2)
    return F.grid_sample(images, grid, mode=mode, padding_mode="border", align_corners=False)


def move_points(points: Tensor, matrix: Tensor) -> Tensor:
    """Where `move` puts (B, P, 2) points of a picture, both as shares of its sides, x then y."""
    moved: Tensor = torch.linalg.solve(matrix[:, :, :2], (2 * points - 1 - matrix[:, None, :, 2]).mT).mT
    return (moved + 1) / 2


def flipped(matrix: Tensor) -> Tensor:
    """(B,) bool: whether each matrix of `movement` flips its picture."""
    flips: Tensor = torch.linalg.det(matrix[:, :, :2]) < 0
    return flips


def turn(matrix: Tensor) -> Tensor:
    """(B,) radians by which each matrix of `movement` turns its picture counterclockwise, before it flips it."""
    return torch.atan2(matrix[:, 1, 0] * torch.where(flipped(matrix), -1.0, 1.0), matrix[:, 1, 1])


def light(images: Tensor, *, contrast: float, brightness: float) -> Tensor:
    """Scale each picture about its own mean by 1 +- contrast and lift it by +- brightness; result stays in 0..1."""
    count = len(images)
    gain = 1 + _uniform(count, contrast, images.device).view(-1, 1, 1, 1)
    lift = _uniform(count, brightness, images.device).view(-1, 1, 1, 1)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return ((images - mean) * gain + mean + lift).clamp(0, 1)


def soften(images: Tensor, *, share: float) -> Tensor:
    """Halve the resolution of a share of the faces and enlarge them again: photographs hold soft faces too."""
    low = F.interpolate(F.avg_pool2d(images, 2), scale_factor=2, mode="bilinear", align_corners=False)
    chosen = torch.rand(len(images), 1, 1, 1, device=images.device) < share
    return torch.where(chosen, low, images)


def erase(images: Tensor, *, share: float, area: tuple[float, float] = (0.02, 0.2)) -> tuple[Tensor, Tensor]:
    """Paint a rectangle of noise over a share of the faces (random erasing, Zhong et al., 2020; aspect 0.3 to 3.3).

    Also returns where, (B, 1, H, W) bool.
    """
    count, _, height, width = images.shape
    device = images.device
    part = torch.empty(count, device=device).uniform_(*area) * height * width
    aspect = torch.empty(count, device=device).uniform_(math.log(0.3), math.log(3.3)).exp()
    half_h, half_w = (part * aspect).sqrt() / 2, (part / aspect).sqrt() / 2  # (B,)
    y, x = torch.rand(count, device=device) * height, torch.rand(count, device=device) * width
    rows = (torch.arange(height, device=device) - y[:, None]).abs() < half_h[:, None]  # (B, H)
    columns = (torch.arange(width, device=device) - x[:, None]).abs() < half_w[:, None]  # (B, W)
    chosen = torch.rand(count, device=device) < share
    box = (rows[:, :, None] & columns[:, None, :] & chosen[:, None, None])[:, None]  # (B, 1, H, W)
    return torch.where(box, torch.rand_like(images), images), box


def mixup(images: Tensor, targets: Tensor, *, alpha: float) -> tuple[Tensor, Tensor]:
    """Blend every face with another of the batch and its target alike (mixup, Zhang et al., 2018).

    targets: (B, K) distributions.   alpha: both parameters of the Beta distribution the one weight is drawn from.
    """
    weight = torch.distributions.Beta(alpha, alpha).sample().to(images.device)
    other = torch.randperm(len(images), device=images.device)
    return torch.lerp(images[other], images, weight), torch.lerp(targets[other], targets, weight)
