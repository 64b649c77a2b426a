import numpy as np
import pytest
import torch

from mien.methods.vtff.lbp import lbp
from tests.helpers import noise


def levels(*shape: int, seed: int = 0) -> torch.Tensor:
    """Pictures of whole gray levels, with many equal neighbours."""
    return torch.from_numpy(noise(*shape, seed=seed) // 16).float()


def test_the_codes_of_a_hand_worked_picture():
    picture = torch.tensor([[[[9.0, 1, 1], [1, 5, 5], [1, 1, 7]]]])
    # Around the 5 in the middle, counterclockwise from the right: 5 1 1 9 1 1 1 7; at least 5 are bits 0, 3 and 7.
    assert lbp(picture)[0, 0, 1, 1] == 2**0 + 2**3 + 2**7


def test_a_picture_without_structure_has_the_code_of_all_neighbours():
    assert (lbp(torch.full((2, 1, 5, 7), 3.0)) == 255).all()


def test_each_code_is_the_plain_formula():
    picture = levels(12, 10)
    wide = np.pad(picture.numpy(), 1, mode="edge")
    ring = [(0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1)]
    codes = [
        [sum(2**p for p, (y, x) in enumerate(ring) if wide[r + 1 + y, c + 1 + x] >= picture[r, c]) for c in range(10)]
        for r in range(12)
    ]
    np.testing.assert_array_equal(lbp(picture[None, None])[0, 0], codes)


@pytest.mark.parametrize(("gain", "lift"), [(2.0, 0.0), (0.5, 40.0), (3.5, -7.0)])
def test_light_and_contrast_leave_the_codes(gain, lift):
    pictures = levels(3, 1, 16, 16)
    assert torch.equal(lbp(gain * pictures + lift), lbp(pictures))


def test_a_flipped_picture_has_other_codes_than_the_flipped_codes():
    pictures = levels(1, 1, 16, 16)
    assert not torch.equal(lbp(pictures.flip(3)), lbp(pictures).flip(3))
