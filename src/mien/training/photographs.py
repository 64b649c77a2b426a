"""Gray faces as photographs may show them: small, compressed, noisy, badly lit. FER2013's faces are more of a kind.

Letters: B faces, S the side of a face. Pictures are floats in 0..1.
"""

import math

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

# Of the faces that are changed at all, the share that each change befalls.
_SOFT, _COMPRESSED, _NOISY, _GAMMA, _SHADED = 0.4, 0.4, 0.3, 0.5, 0.4


def photograph(images: Tensor, *, share: float) -> Tensor:
    """Change a share of the (B, 1, S, S) faces, each in other ways."""
    count = len(images)
    chosen = torch.rand(count) < share

    def some(part: float) -> Tensor:
        return (chosen & (torch.rand(count) < part)).view(-1, 1, 1, 1)

    images = torch.where(some(_SHADED), shaded(images), images)
    gamma = torch.empty(count, 1, 1, 1).uniform_(math.log(0.6), math.log(1.7)).exp()
    images = torch.where(some(_GAMMA), images.clamp(min=1e-3) ** gamma, images)
    images = soft(images, some(_SOFT).flatten())
    noise = torch.randn_like(images) * torch.empty(count, 1, 1, 1).uniform_(0.01, 0.07)
    images = torch.where(some(_NOISY), (images + noise).clamp(0, 1), images)
    return compressed(images, some(_COMPRESSED).flatten())


def shaded(images: Tensor) -> Tensor:
    """Lit from one side: the light falls off along a random direction, by up to a half either way."""
    count, side = len(images), images.shape[-1]
    line = (torch.arange(side) + 0.5) / side * 2 - 1
    angle, slope = torch.rand(count, 1, 1) * 2 * math.pi, torch.rand(count, 1, 1) * 0.5
    fall = 1 + slope * (line[None, None, :] * angle.cos() + line[None, :, None] * angle.sin())  # (B, S, S)
    return (images * fall[:, None]).clamp(0, 1)


def soft(images: Tensor, which: Tensor) -> Tensor:
    """Reduce the faces that are meant, (B,) bool, to 40 to 90 % of their pixels, and enlarge them again."""
    images, side = images.clone(), images.shape[-1]
    for i in torch.nonzero(which).flatten().tolist():
        size = int(side * (0.4 + 0.5 * torch.rand(()).item()))
        small = F.interpolate(images[i : i + 1], (size, size), mode="area")
        images[i : i + 1] = F.interpolate(small, (side, side), mode="bilinear", align_corners=False)
    return images


def compressed(images: Tensor, which: Tensor) -> Tensor:
    """Write the faces that are meant, (B,) bool, as JPEG of quality 30 to 95, and read them again."""
    images = images.clone()
    for i in torch.nonzero(which).flatten().tolist():
        quality = int(30 + 65 * torch.rand(()).item())
        levels = (images[i] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        # OpenCV puts blue first; gray is alike either way.
        _, data = cv2.imencode(".jpg", levels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        read = np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), np.float32).reshape(levels.shape) / 255
        images[i] = torch.from_numpy(read[..., ::-1].copy()).permute(2, 0, 1)
    return images
