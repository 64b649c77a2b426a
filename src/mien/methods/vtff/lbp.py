"""Local binary patterns: which of a pixel's eight neighbours are at least as light as the pixel itself."""

import torch
from torch import Tensor
from torch.nn.functional import pad

# Row and column of the neighbours in the order of their bits: from the right, counterclockwise.
RING = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))


def lbp(gray: Tensor) -> Tensor:
    """LBP of radius 1 and 8 neighbours: (B, 1, H, W) gray, on any scale -> (B, 1, H, W) codes from 0 to 255.

    A code does not change when a picture is made lighter or its contrast stretched. It is not the same for a picture
    that was flipped, turned or enlarged: do that first. Beyond the border the outermost pixels go on.
    (Ojala, Pietikäinen and Mäenpää, 2002, without its uniform patterns.)
    """
    height, width = gray.shape[2:]
    wide = pad(gray, (1, 1, 1, 1), mode="replicate")
    codes = torch.zeros_like(gray)
    for bit, (down, right) in enumerate(RING):
        neighbor = wide[:, :, 1 + down : 1 + down + height, 1 + right : 1 + right + width]
        codes = codes + (neighbor >= gray).to(gray.dtype) * 2**bit
    return codes
