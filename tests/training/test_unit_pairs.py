import torch

from mien.facs.head import load
from mien.facs.landmarks import mean_face
from mien.training import augment
from mien.training.unit_pairs import ALONG, cameras, draw, warp

STILL = torch.tensor([[[1.0, 0, 0], [0, 1.0, 0]]])
LANDMARKS = torch.from_numpy(mean_face()).float()[None]


def picture(seed: int = 0, side: int = 32) -> torch.Tensor:
    coarse = torch.rand(1, 1, 6, 6, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear")


def test_every_unit_says_what_it_brings_along():
    assert set(ALONG) == set(load().units.tolist())


def test_a_camera_finds_again_how_the_head_was_turned_and_scaled():
    rest = torch.from_numpy(load().rest[:68])
    camera = torch.tensor([[[0.4, 0.02, 0.05, 0.5], [0.02, -0.4, 0.03, 0.45]]])
    seen = rest @ camera[0, :, :3].T + camera[0, :, 3]
    assert torch.allclose(cameras(rest, seen[None])[0, :, [0, 1, 3]], camera[0, :, [0, 1, 3]], atol=0.02)


def test_points_that_stay_leave_the_face_to_the_movement_alone():
    matrix = augment.movement(1, degrees=20, scale=0.2, shift=0.1, device=torch.device("cpu"))
    reach = torch.tensor([0.2])
    moved = warp(picture(), matrix, LANDMARKS, torch.zeros_like(LANDMARKS), reach)
    assert torch.allclose(moved, augment.move(picture(), matrix), atol=1e-5)


def test_the_skin_goes_where_its_point_goes():
    dot = torch.zeros(1, 1, 64, 64)
    dot[..., 30:34, 30:34] = 1
    point, shift = torch.tensor([[[0.5, 0.5]]]), torch.tensor([[[0.1, -0.05]]])
    moved = warp(dot, STILL, point, shift, torch.tensor([0.3]))[0, 0]
    y, x = torch.meshgrid(torch.arange(64) + 0.5, torch.arange(64) + 0.5, indexing="ij")
    assert abs((moved * x).sum() / moved.sum() / 64 - 0.6) < 0.015
    assert abs((moved * y).sum() / moved.sum() / 64 - 0.45) < 0.015


def test_a_pair_says_by_how_much_its_unit_differs_and_a_sham_by_nothing():
    torch.manual_seed(0)
    count = 64
    faces, landmarks = picture().expand(count, -1, -1, -1), LANDMARKS.expand(count, -1, -1)
    pairs = draw(faces, landmarks, STILL.expand(count, -1, -1))
    sham = pairs.unit == 0
    assert 0 < sham.sum() < count / 2
    assert (pairs.more[sham] == 0).all()
    assert (pairs.more[~sham].abs() >= 0.2).all()
    assert set(pairs.unit[~sham].tolist()) <= set(load().units.tolist())
    change = (pairs.second - pairs.first).abs().flatten(1).mean(dim=1)
    assert (change > 0).all()
    assert pairs.first.min() >= 0
    assert pairs.second.max() <= 1
