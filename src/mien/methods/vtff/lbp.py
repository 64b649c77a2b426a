"""Local binary patterns: which of a pixel's eight neighbours are at least as light as the pixel."""

import torch
from torch import Tensor
from torch.nn.functional import pad

# Row and column of each neighbour, in the order of the bits: from the right, counterclockwise.
RING = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))


def lbp(gray: Tensor) -> Tensor:
    """LBP of radius 1 and 8 neighbours: (B, 1, H, W) gray, on any scale -> (B, 1, H, W) codes from 0 to 255.

    Codes do not change with brightness or contrast, but do with flips, rotation and scaling: apply those first. The
    border is replicated. (Ojala, Pietikäinen and Mäenpää, 2002, without uniform patterns.)
    """
    height, width = gray.shape[2:]
    wide = pad(gray, (1, 1, 1, 1), mode="replicate")
    codes = torch.zeros_like(gray)
    for bit, (down, right) in enumerate(RING):
        neighbor = wide[:, :, 1 + down : 1 + down + height, 1 + right : 1 + right + width]
        codes = codes + (neighbor >= gray).to(gray.dtype) * 2**bit
    return codes
