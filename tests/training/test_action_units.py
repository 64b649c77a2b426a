"""Learning action units: their ranges, their mirror images, and how far answers are off."""

import pytest
import torch

from mien.training import action_units


def test_intensities_lie_between_0_and_1_and_differences_of_sides_between_minus_1_and_1():
    low, none, high = action_units.bounded(torch.tensor([-50.0, 0.0, 50.0])[:, None].expand(3, 24))
    assert low.tolist() == pytest.approx([0] * 21 + [-1] * 3, abs=1e-6)
    assert none.tolist() == pytest.approx([0.5] * 21 + [0] * 3)
    assert high.tolist() == pytest.approx([1] * 24)


def test_in_the_mirror_only_the_differences_of_sides_change():
    units = torch.linspace(0.1, 0.9, 24).repeat(2, 1)
    still, turned = action_units.mirrored(units, torch.tensor([False, True]))
    assert torch.equal(still, units[0])
    assert torch.equal(turned[:21], units[1, :21])
    assert torch.equal(turned[21:], -units[1, 21:])


def test_the_spread_is_of_the_faces_that_were_found_and_never_next_to_nothing():
    units = torch.zeros(3, 24)
    units[0, 0], units[2, 0] = 0.4, torch.nan
    spread = action_units.spread(units, torch.tensor([True, True, False]))
    assert spread[0].item() == pytest.approx(0.4 / 2**0.5)
    assert spread[1:].tolist() == pytest.approx([0.02] * 23)
    assert action_units.spread(units, torch.tensor([True, False, False])).tolist() == [1] * 24


def test_an_error_counts_by_the_spread_of_its_unit():
    taught, spread = torch.zeros(1, 24), torch.ones(24)
    spread[1] = 0.5
    # Huber with delta 0.1 of an error of 0.4 is 0.1 * (0.4 - 0.05), of 0.1 it is 0.1 squared by half.
    off = action_units.off(torch.tensor([[0.4, 0.4, 0.1, *[0.0] * 21]]), taught, spread)
    assert off[0, :4].tolist() == pytest.approx([0.035, 0.07, 0.005, 0])
