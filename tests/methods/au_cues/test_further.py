import pytest
import torch

from mien.facs.head import load
from mien.facs.landmarks import mean_face
from mien.facs.units import VECTOR
from mien.facs.vocabulary import ActionUnit
from mien.methods.au_cues.further import (
    COMBINATIONS,
    REST,
    SLOPE,
    Pool,
    dialled_faces,
    draw,
    intensity_logits,
    loss,
    pair_loss,
    rest_loss,
)
from mien.methods.au_cues.model import ReaderOutput
from mien.methods.au_cues.settings import Settings
from mien.training import augment
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
    rows, votes = torch.arange(count), torch.full((count, 8), 1 / 8)
    unread = (faces[:2], torch.tensor([0.2, 0.3]))
    pool = Pool(faces, torch.ones(count), rows, rows, votes, landmarks, *unread)
    views = draw(pool, Settings(size=side), pairs=3, worn=4, combinations=2)
    assert views.images.shape == (2 * 3 + 4 + 2, 1, side, side)
    assert views.wanted.shape == (4,)
    assert views.targets.shape == (2, 8)
    assert torch.allclose(views.targets.sum(dim=1), torch.ones(2))
    assert views.wanted[-1] in (0.2, 0.3)


def test_a_combination_has_only_units_that_the_head_has():
    units = set(load().units.tolist())
    assert all(set(together) <= units for _, together in COMBINATIONS)


def test_a_dialled_face_is_moved_and_called_its_word_by_a_share_of_people_that_grows_with_the_dose():
    torch.manual_seed(0)
    count, side = 200, 24
    landmarks = torch.from_numpy(mean_face()).float().expand(count, -1, -1)
    face = torch.rand(1, 1, side, side).expand(count, -1, -1, -1)
    still = augment.movement(count, degrees=0, scale=0, shift=0, device=torch.device("cpu"))
    still[:, 0, 0] = 1  # not flipped
    images, targets = dialled_faces(face, landmarks, still)
    assert images.shape == face.shape
    assert ((images - face).abs().amax(dim=(1, 2, 3)) > 0.05).all()
    assert (targets > 0).sum(dim=1).tolist() == [1] * count
    assert 0.3 * 0.4 <= targets.sum(dim=1).min() < 0.2
    assert 0.35 < targets.sum(dim=1).max() <= 0.4
    words = {word for word, _ in COMBINATIONS}
    assert {int(c) for c in targets.argmax(dim=1)} == words


def test_dialled_faces_are_scored_against_their_own_words_and_the_other_views_are_not():
    torch.manual_seed(0)
    count, side = 4, 24
    landmarks = torch.from_numpy(mean_face()).float().expand(count, -1, -1)
    faces = torch.randint(0, 256, (count, 1, side, side), dtype=torch.uint8)
    rows, votes = torch.arange(count), torch.eye(8)[:1].expand(count, -1)
    pool = Pool(faces, torch.ones(count), rows, rows, votes, landmarks, faces[:1], torch.tensor([0.2]))
    views = draw(pool, Settings(size=side), pairs=1, worn=2, combinations=3)
    right = torch.cat([torch.zeros(4, 8), views.targets.clamp(min=1e-9).log()])
    least = -(views.targets * views.targets.clamp(min=1e-9).log()).sum()
    _, _, words = loss(ReaderOutput(right, []), views)
    assert torch.isclose(words, least, atol=1e-5)
    _, _, words = loss(ReaderOutput(torch.zeros(7, 8), []), views)
    assert words > least + 0.5


@pytest.mark.parametrize("counts", [(2, 0, 0), (0, 4, 0), (0, 0, 3)])
def test_a_step_may_show_one_kind_of_view_alone(counts):
    torch.manual_seed(0)
    count, side = 6, 24
    landmarks = torch.from_numpy(mean_face()).float().expand(count, -1, -1)
    faces = torch.randint(0, 256, (count, 1, side, side), dtype=torch.uint8)
    rows, votes = torch.arange(count), torch.full((count, 8), 1 / 8)
    pool = Pool(faces, torch.ones(count), rows, rows, votes, landmarks, faces[:2], torch.tensor([0.2, 0.3]))
    pairs, worn, combinations = counts
    views = draw(pool, Settings(size=side), pairs, worn, combinations)
    assert views.images.shape == (2 * pairs + worn + combinations, 1, side, side)
    assert [len(views.pairs.unit), len(views.wanted), len(views.targets)] == list(counts)
