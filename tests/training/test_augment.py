import pytest
import torch

from mien.training import augment

SIDE = 32


def move(images, **limits):
    return augment.move(images, augment.movement(len(images), **limits, device=images.device))


def pictures(count: int = 16, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def blob(count: int, x: float = 0.0, y: float = 0.0, width: float = 0.1) -> torch.Tensor:
    """A soft white spot at x, y (-0.5 to 0.5 from the centre, as shares of the side) on black."""
    at = (torch.arange(SIDE) + 0.5) / SIDE - 0.5
    spot = torch.exp(-((at[None, :] - x) ** 2 + (at[:, None] - y) ** 2) / (2 * width**2))
    return spot.expand(count, 1, SIDE, SIDE).clone()


def centers(images: torch.Tensor) -> torch.Tensor:
    """(B, 2) where the light is, x and y from the centre as shares of the side."""
    at = (torch.arange(SIDE) + 0.5) / SIDE - 0.5
    weight = images[:, 0] / images.sum(dim=(1, 2, 3))[:, None, None]
    return torch.stack([(weight.sum(1) * at).sum(1), (weight.sum(2) * at).sum(1)], 1)


def spread(images: torch.Tensor) -> torch.Tensor:
    """(B,) the root mean square distance of the light from its centre, in one direction."""
    at = (torch.arange(SIDE) + 0.5) / SIDE - 0.5
    weight = images[:, 0].sum(1) / images.sum(dim=(1, 2, 3))[:, None]
    mean = (weight * at).sum(1, keepdim=True)
    return (weight * (at - mean) ** 2).sum(1).sqrt()


STEPS = {
    "move": lambda images: move(images, degrees=15, scale=0.15, shift=0.12),
    "light": lambda images: augment.light(images, contrast=0.3, brightness=0.15),
    "soften": lambda images: augment.soften(images, share=0.5),
    "erase": lambda images: augment.erase(images, share=0.5)[0],
    "mixup": lambda images: augment.mixup(images, torch.eye(len(images)), alpha=0.4)[0],
}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_the_same_seed_gives_the_same_pictures_and_another_one_others(step):
    torch.manual_seed(3)
    first = step(pictures())
    torch.manual_seed(3)
    again = step(pictures())
    torch.manual_seed(4)
    other = step(pictures())
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_shape_and_range_stay_and_the_pictures_given_are_not_written_to(step):
    given = pictures()
    before = given.clone()
    after = step(given)
    assert after.shape == given.shape
    assert after.min() >= -1e-6
    assert after.max() <= 1 + 1e-6
    assert torch.equal(given, before)


def test_without_turn_scale_and_shift_every_face_is_itself_or_its_mirror_image():
    torch.manual_seed(0)
    images = pictures(64)
    moved = move(images, degrees=0, scale=0, shift=0)
    itself = ((moved - images).abs().amax(dim=(1, 2, 3)) < 1e-4).tolist()
    mirrored = ((moved - images.flip(3)).abs().amax(dim=(1, 2, 3)) < 1e-4).tolist()
    assert [a != b for a, b in zip(itself, mirrored, strict=True)] == [True] * 64
    assert 16 < sum(mirrored) < 48


def test_a_shift_moves_by_up_to_its_share_of_the_width_in_all_directions():
    torch.manual_seed(0)
    moved = centers(move(blob(400, width=0.04), degrees=0, scale=0, shift=0.25))
    assert moved.abs().max() < 0.255
    assert (moved.amax(0) > 0.2).all()
    assert (moved.amin(0) < -0.2).all()


def test_a_scale_changes_the_size_by_up_to_its_share_and_nothing_else():
    torch.manual_seed(0)
    given = blob(400, width=0.08)
    moved = move(given, degrees=0, scale=0.3, shift=0)
    sizes = spread(moved) / spread(given)
    assert 0.68 < sizes.min() < 0.75
    assert 1.25 < sizes.max() < 1.33  # pixels blur the spot a little
    assert centers(moved).abs().max() < 1e-3


def test_a_turn_goes_round_the_centre_by_up_to_its_degrees_both_ways():
    torch.manual_seed(0)
    x, y = centers(move(blob(400, y=-0.3, width=0.04), degrees=30, scale=0, shift=0)).T
    assert torch.hypot(x, y).sub(0.3).abs().max() < 0.01
    angles = torch.rad2deg(torch.atan2(x, -y))
    assert -30.5 < angles.min() < -27
    assert 27 < angles.max() < 30.5


def test_a_flip_and_a_turn_together_are_still_a_rigid_motion():
    ends = []
    for x, y in ((-0.2, 0.0), (0.2, 0.1)):
        torch.manual_seed(5)  # so that both are moved alike
        ends.append(centers(move(blob(200, x=x, y=y, width=0.04), degrees=30, scale=0, shift=0.05)))
    distance = (ends[0] - ends[1]).norm(dim=1)
    assert (distance - (0.4**2 + 0.1**2) ** 0.5).abs().max() < 0.01


def test_what_comes_in_from_outside_repeats_the_border():
    torch.manual_seed(0)
    gray = torch.full((8, 1, SIDE, SIDE), 0.5)
    assert torch.allclose(move(gray, degrees=45, scale=0.3, shift=0.3), gray, atol=1e-5)


def test_light_without_contrast_and_brightness_changes_nothing():
    images = pictures()
    assert torch.allclose(augment.light(images, contrast=0, brightness=0), images, atol=1e-6)


def test_contrast_stretches_about_the_mean_and_brightness_moves_it():
    torch.manual_seed(0)
    images = 0.4 + 0.2 * pictures(200)
    stretched = augment.light(images, contrast=0.3, brightness=0)
    assert torch.allclose(stretched.mean(dim=(1, 2, 3)), images.mean(dim=(1, 2, 3)), atol=1e-5)
    gain = stretched.std(dim=(1, 2, 3)) / images.std(dim=(1, 2, 3))
    assert 0.7 - 1e-4 < gain.min() < 0.75
    assert 1.25 < gain.max() < 1.3 + 1e-4
    lifted = augment.light(images, contrast=0, brightness=0.1)
    lift = (lifted - images).mean(dim=(1, 2, 3))
    assert torch.allclose(lifted, images + lift.view(-1, 1, 1, 1), atol=1e-5)
    assert 0.08 < lift.abs().max() < 0.1 + 1e-5


def test_softening_halves_the_resolution_of_its_share_of_the_faces():
    stripes = (torch.arange(SIDE) % 2).float().expand(200, 1, SIDE, SIDE)
    torch.manual_seed(0)
    softened = augment.soften(stripes, share=0.3)
    flat = torch.isclose(softened, torch.tensor(0.5), atol=1e-6).all(dim=3).all(dim=2)[:, 0]
    assert torch.equal(softened[~flat], stripes[~flat])
    assert 0.2 < flat.float().mean() < 0.4


def test_softening_leaves_what_is_smooth_already():
    smooth = blob(4, width=0.25)
    assert (augment.soften(smooth, share=1) - smooth).abs().max() < 0.02


def test_a_share_of_nothing_changes_nothing():
    assert torch.equal(augment.soften(pictures(), share=0), pictures())
    images, where = augment.erase(pictures(), share=0)
    assert torch.equal(images, pictures())
    assert not where.any()


def test_erasing_says_where_it_painted():
    torch.manual_seed(1)
    images, where = augment.erase(torch.full((20, 1, SIDE, SIDE), 2.0), share=0.5)
    assert torch.equal(where, images != 2)
    assert 5 <= where.any(dim=(1, 2, 3)).sum() <= 15


def test_erasing_changes_one_rectangle_and_nothing_around_it():
    torch.manual_seed(0)
    images = torch.full((200, 1, SIDE, SIDE), 2.0)  # a value that the noise never takes
    changed = (augment.erase(images, share=1)[0] != 2)[:, 0]
    rows, columns = changed.any(2), changed.any(1)
    assert torch.equal(changed, rows[:, :, None] & columns[:, None, :])
    for along in (rows, columns):
        steps = along.int().diff(dim=1).abs().sum(1)
        assert steps.max() <= 2  # one stretch, not several
    assert changed.any(2).any(1).float().mean() > 0.95


def test_an_erased_rectangle_covers_no_more_than_the_area_asked_for():
    torch.manual_seed(0)
    images = torch.full((300, 1, SIDE, SIDE), 2.0)
    part = (augment.erase(images, share=1, area=(0.02, 0.2))[0] != 2).float().mean(dim=(1, 2, 3))
    assert 0.12 < part.max() < 0.2 + 2 / SIDE


def test_erasing_takes_its_share_of_the_faces():
    torch.manual_seed(0)
    images = torch.full((400, 1, SIDE, SIDE), 2.0)
    touched = (augment.erase(images, share=0.3)[0] != 2).any(dim=(1, 2, 3))
    assert 0.2 < touched.float().mean() < 0.4


def test_mixup_blends_a_picture_exactly_as_it_blends_the_target():
    torch.manual_seed(1)
    targets = torch.eye(8)
    images = targets.view(8, 8, 1, 1).expand(8, 8, 4, 4)  # every picture spells out its target
    mixed, blended = augment.mixup(images, targets, alpha=0.4)
    assert torch.allclose(mixed[:, :, 0, 0], blended)
    assert torch.allclose(mixed[:, :, 3, 3], blended)
    assert not torch.equal(blended, targets)


def test_mixup_keeps_the_sum_of_every_target_and_of_every_class():
    targets = torch.rand(16, 8, generator=torch.Generator().manual_seed(0)).softmax(1)
    for seed in range(20):
        torch.manual_seed(seed)
        _, blended = augment.mixup(pictures(16), targets, alpha=0.4)
        assert torch.allclose(blended.sum(1), torch.ones(16), atol=1e-5)
        assert torch.allclose(blended.sum(0), targets.sum(0), atol=1e-5)


def test_a_map_moves_with_its_picture_and_keeps_its_values():
    matrix = augment.movement(64, degrees=20, scale=0.2, shift=0.1, device=torch.device("cpu"))
    spots = blob(64, width=0.1)
    pictures, maps = augment.move(spots, matrix), augment.move((spots > 0.5).float(), matrix, mode="nearest")
    assert set(maps.unique().tolist()) == {0.0, 1.0}
    assert torch.allclose(centers(pictures), centers(maps), atol=0.05)


@pytest.mark.parametrize("at", [(0.1, -0.15), (-0.2, 0.05)])
def test_points_move_with_their_picture(at):
    torch.manual_seed(0)
    matrix = augment.movement(24, degrees=30, scale=0.2, shift=0.1, device=torch.device("cpu"))
    light = centers(augment.move(blob(24, *at, width=0.03), matrix))
    points = augment.move_points((torch.tensor(at) + 0.5).expand(24, 1, 2), matrix)[:, 0] - 0.5
    assert torch.allclose(points, light, atol=0.02)


def test_a_movement_says_whether_it_flips_and_how_far_it_turns():
    torch.manual_seed(1)
    matrix = augment.movement(400, degrees=25, scale=0.2, shift=0.1, device=torch.device("cpu"))
    assert augment.flipped(matrix).float().mean() == pytest.approx(0.5, abs=0.1)
    turns = augment.turn(matrix).rad2deg()
    assert 20 < turns.abs().max() <= 25
    # A spot right of the middle rises when the picture turns counterclockwise; y counts down.
    still = torch.zeros(400, 2, 3)
    still[:, :, :2] = matrix[:, :, :2]
    heights = augment.move_points(torch.tensor([[0.9, 0.5]]).expand(400, 1, 2), still)[:, 0, 1] - 0.5
    sides = torch.where(augment.flipped(matrix), -1.0, 1.0)
    level = torch.tensor([[0.5, 0.1]]).expand(400, 1, 2)
    crown = augment.move_points(level, still)[:, 0, 0] - 0.5  # the crown of the head goes to the left
    assert ((heights < 0) == (turns > 0)).all()
    assert ((crown * sides < 0) == (turns > 0)).all()
