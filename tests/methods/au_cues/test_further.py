import torch

from mien.facs.landmarks import mean_face
from mien.facs.units import VECTOR
from mien.facs.vocabulary import ActionUnit
from mien.methods.au_cues.further import REST, SLOPE, Pool, draw, intensity_logits, pair_loss, rest_loss
from mien.methods.au_cues.settings import Settings
from mien.training.unit_pairs import UnitPairs

UNITS = [int(unit) for unit in ActionUnit]
NONE = torch.zeros(1, 1, 4, 4)


def pair(unit: int, more: float) -> UnitPairs:
    return UnitPairs(NONE, NONE, torch.tensor([unit]), torch.tensor([more]))


def test_a_pair_costs_nothing_when_its_unit_moves_by_the_slope_and_all_else_stays():
    first, second = torch.zeros(1, 21), torch.zeros(1, 21)
    second[0, UNITS.index(4)] = SLOPE * 0.5
    assert pair_loss(first, second, pair(4, 0.5)) == 0
    assert pair_loss(first, second, pair(1, 0.5)) > 0
    second[0, UNITS.index(12)] = 1
    assert pair_loss(first, second, pair(4, 0.5)) > 0


def test_what_the_head_brings_along_costs_nothing():
    first, second = torch.zeros(1, 21), torch.zeros(1, 21)
    second[0, UNITS.index(9)], second[0, UNITS.index(4)] = SLOPE, 2.0
    assert pair_loss(first, second, pair(9, 1.0)) == 0


def test_in_a_sham_every_unit_is_to_stay():
    first, second = torch.zeros(1, 21), torch.zeros(1, 21)
    assert pair_loss(first, second, pair(0, 0.0)) == 0
    assert pair_loss(first, second + 0.5, pair(0, 0.0)) > 0


def test_only_faces_that_people_call_neutral_are_pulled_to_rest():
    at_rest = torch.full((2, VECTOR), torch.tensor(REST).sigmoid().item())
    at_rest[1] = 0.9
    assert rest_loss(at_rest, torch.tensor([True, False])) < 1e-6
    assert rest_loss(at_rest, torch.tensor([True, True])) > 1
    assert rest_loss(at_rest, torch.tensor([False, False])) == 0


def test_logits_of_intensities_are_those_that_the_sigmoid_takes():
    units = torch.rand(3, VECTOR) * 0.9 + 0.05
    assert torch.allclose(intensity_logits(units).sigmoid(), units[:, :21])


def test_a_step_shows_both_views_of_each_pair_and_then_the_worn_faces():
    torch.manual_seed(0)
    count, side = 6, 24
    landmarks = torch.from_numpy(mean_face()).float().expand(count, -1, -1)
    faces = torch.randint(0, 256, (count, 1, side, side), dtype=torch.uint8)
    pool = Pool(faces, torch.ones(count), torch.arange(count), landmarks, faces[:2], torch.tensor([0.2, 0.3]))
    views = draw(pool, Settings(size=side), pairs=3, worn=4)
    assert views.images.shape == (2 * 3 + 4, 1, side, side)
    assert views.wanted.shape == (4,)
    assert views.wanted[-1] in (0.2, 0.3)
