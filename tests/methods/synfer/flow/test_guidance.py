from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from mien.errors import InputError
from mien.facs.units import VECTOR
from mien.facs.vocabulary import Expression
from mien.methods.synfer.flow.guidance import Guidance, Guided, moved_estimate, moved_tokens
from mien.methods.synfer.flow.sample import About, Conditions, Plan, branches, noise, weighted
from tests.methods.synfer import toy
from tests.methods.synfer.flow.test_model import tiny

SIDE = 24
ABOUT = About(SIDE, toy.WORDS[:10], toy.about().bank, toy.about().shares)
PLAN = Plan(steps=5)


class Guide(nn.Module):
    """A classifier and an estimator of action units, drawn at random."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.expression, self.units = nn.Linear(SIDE * SIDE, 8), nn.Linear(SIDE * SIDE, VECTOR)

    def forward(self, faces):
        flat = faces.flatten(1)
        return SimpleNamespace(logits=self.expression(flat), action_units=self.units(flat).sigmoid())


def told(count: int = 2) -> Conditions:
    empty = Conditions.nothing(count)
    label = np.tile(np.eye(8, dtype=np.float32)[Expression.FEAR], (count, 1))
    words = empty.words.copy()
    words[:, :2] = [2, 5]
    return Conditions(label, words, empty.units + np.float32(0.5), empty.known + 1)


def guided(**options) -> Guided:
    guide = Guide()
    return Guided(tiny(), ABOUT, Guidance(**options), guide, guide)


def test_tokens_of_each_face_move_down_its_loss_by_one_step_over_all_of_them():
    torch.manual_seed(0)
    tokens, target = torch.randn(3, 4, 5), torch.randn(3, 4, 5)

    def loss(values):
        return (values - target).square().sum(dim=(1, 2))

    after = moved_tokens(tokens, loss, 0.1)
    torch.testing.assert_close((after - tokens).flatten(1).norm(dim=1), torch.full((3,), 0.1))
    assert (loss(after) < loss(tokens)).all()
    # A face moves as it would alone.
    alone = moved_tokens(tokens[1:2], lambda values: (values - target[1:2]).square().sum(dim=(1, 2)), 0.1)
    torch.testing.assert_close(after[1:2], alone)


def test_a_clean_estimate_moves_down_its_loss_by_a_share_of_its_norm():
    torch.manual_seed(0)
    estimate = torch.randn(2, 1, 6, 6)
    after = moved_estimate(estimate, lambda faces: faces.mean(dim=(1, 2, 3)), 0.01)
    torch.testing.assert_close(
        (after - estimate).flatten(1).norm(dim=1), 0.01 * estimate.flatten(1).norm(dim=1), atol=1e-5, rtol=1e-4
    )
    assert (after.mean(dim=(1, 2, 3)) < estimate.mean(dim=(1, 2, 3))).all()


def test_where_the_loss_is_flat_nothing_moves():
    tokens = torch.randn(2, 3, 4)
    assert torch.equal(moved_tokens(tokens, lambda values: 0 * values.sum(dim=(1, 2)), 0.1), tokens)


@pytest.mark.parametrize("mode", ["tokens", "estimate"])
def test_one_guided_step_lowers_the_loss_of_the_face_that_the_flow_is_heading_for(mode):
    conditions, x, t = told(), noise(0, range(2), SIDE), 0.4
    plan = Plan(text_scale=1, unit_scale=1)  # the fully told velocity alone
    losses = []
    for share in (0.0, 0.4):
        model = guided(mode=mode, share=share, token_step=0.5)
        estimate = torch.from_numpy(x - t * model.field(conditions, plan)(x, t))
        parts = (torch.from_numpy(part) for part in (conditions.label, conditions.units, conditions.known))
        losses.append(model.loss(estimate, *parts))
    assert (losses[1] < losses[0]).all()


def test_moved_tokens_stay_moved_for_the_steps_that_follow():
    field = guided(mode="tokens", share=0.4, token_step=0.5).field(told(), PLAN)
    x = noise(0, range(2), SIDE)
    first, second = field(x, 0.4), field(x, 0.4)
    assert np.abs(first - second).max() > 0


def test_only_the_last_share_of_the_steps_is_guided():
    x, plain, model = noise(0, range(2), SIDE), guided(share=0.0), guided(mode="estimate", share=0.4)
    same = {t: np.array_equal(*(m.field(told(), PLAN)(x, t) for m in (plain, model))) for t in (1.0, 0.6, 0.4, 0.2)}
    assert same == {1.0: True, 0.6: True, 0.4: False, 0.2: False}


def test_without_guidance_the_velocity_is_composed_as_everywhere():
    network, conditions, x = tiny(), told(), noise(0, range(2), SIDE)
    parts = []
    for branch in branches(PLAN):
        given = [torch.from_numpy(part) for part in conditions.only(branch.text, branch.units)]
        with torch.no_grad():
            parts.append(network(torch.from_numpy(x), torch.full((2,), 0.6), *given).velocity.numpy())
    velocity = Guided(network, ABOUT, Guidance(share=0)).field(conditions, PLAN)(x, 0.6)
    np.testing.assert_allclose(velocity, weighted(branches(PLAN), parts), atol=1e-5)


def test_a_face_that_is_told_nothing_is_taken_back_to_noise_unguided():
    untold = Plan(text_scale=0, unit_scale=0)
    x, plain, model = noise(0, range(2), SIDE), guided(share=0.0), guided(mode="estimate", share=1.0)
    assert np.array_equal(*(m.field(Conditions.nothing(2), untold)(x, 0.2) for m in (plain, model)))


def test_only_what_is_told_counts_in_the_loss():
    model, estimate = guided(), torch.randn(2, 1, SIDE, SIDE)
    label, units, known = torch.zeros(2, 8), torch.rand(2, VECTOR), torch.zeros(2, VECTOR)
    assert model.loss(estimate, label, units, known).tolist() == [0, 0]
    known[0, 3] = 1
    unit_loss = model.loss(estimate, label, units, known)
    faces = Guide()(((estimate + 1) / 2 - 0.508) / 0.255)
    off = nn.functional.huber_loss(faces.action_units[0, 3], units[0, 3], delta=0.1)
    assert unit_loss.tolist() == pytest.approx([0.5 * off.item(), 0])
    label[1, 6] = 1
    assert model.loss(estimate, label, units, known)[1].item() == pytest.approx(
        -faces.logits[1].log_softmax(dim=0)[6].item(), rel=1e-5
    )


def test_what_can_be_moved_is_named():
    with pytest.raises(InputError, match="tokens or estimate"):
        Guidance(mode="pixels")
