import copy

import pytest
import torch
from lightning.fabric import Fabric
from torch import nn

from mien.methods.se_swin.sam import Sam, climbed
from mien.training.loop import descend


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.GELU(), nn.Dropout(0.3), nn.Linear(16, 2))


def loss_of(model: nn.Module):
    points = torch.randn(32, 6, generator=torch.Generator().manual_seed(1))
    return lambda: nn.functional.cross_entropy(model(points), (points[:, 0] > 0).long())


def stepped(step, model: nn.Module, learning_rate: float = 0.1, clip: float = 0.0) -> tuple[nn.Module, float]:
    """The network after one step of plain gradient descent by `step`, and the loss that it returns."""
    fabric = Fabric(accelerator="cpu", devices=1)
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate)
    wrapped, optimizer = fabric.setup(model, optimizer)
    torch.manual_seed(5)
    loss = loss_of(wrapped)

    def backward() -> torch.Tensor:
        value = loss()
        fabric.backward(value)
        return value

    return model, step(backward, fabric, wrapped, optimizer, clip).item()


def gradients(model: nn.Module) -> list[torch.Tensor]:
    torch.manual_seed(5)
    model.zero_grad()
    loss_of(model)().backward()
    return [p.grad.clone() for p in model.parameters()]


def test_the_weights_move_by_rho_along_the_gradient_of_all_of_them():
    model = network()
    before, found = copy.deepcopy(model), gradients(model)
    with climbed(model, 0.05) as distance:
        moves = [now.detach() - was for now, was in zip(model.parameters(), before.parameters(), strict=True)]
    assert distance == pytest.approx(0.05, abs=1e-5)
    norm = torch.cat([g.flatten() for g in found]).norm()
    for move, gradient in zip(moves, found, strict=True):
        torch.testing.assert_close(move, 0.05 * gradient / norm, atol=1e-6, rtol=1e-4)


def test_the_adaptive_move_is_measured_in_units_of_each_weight():
    model = network()
    before, found = copy.deepcopy(model), gradients(model)
    weights = [p.detach() for p in before.parameters()]
    norm = torch.cat([(w.abs() * g).flatten() for w, g in zip(weights, found, strict=True)]).norm()
    with climbed(model, 0.5, adaptive=True):
        for now, was, gradient in zip(model.parameters(), weights, found, strict=True):
            torch.testing.assert_close(now.detach() - was, 0.5 * was**2 * gradient / norm, atol=1e-6, rtol=1e-4)


def test_afterwards_the_weights_are_what_they_were_to_the_bit():
    for adaptive in (False, True):
        model, _ = stepped(Sam(0.3, adaptive), network(), learning_rate=0.0)
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), network().parameters(), strict=True))


def test_the_weights_are_restored_when_the_second_loss_fails():
    model = network()
    gradients(model)
    with pytest.raises(ValueError, match="second"), climbed(model, 0.3):
        raise ValueError("second")
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), network().parameters(), strict=True))


def test_the_step_is_down_the_gradient_of_the_moved_weights_with_the_same_units_dropped():
    moved = network()
    gradients(moved)
    with climbed(moved, 0.3):
        second = gradients(moved)
    model, _ = stepped(Sam(0.3), network())
    for now, was, gradient in zip(model.parameters(), network().parameters(), second, strict=True):
        torch.testing.assert_close(now, was - 0.1 * gradient)


def test_the_loss_given_is_that_of_the_weights_as_they_are():
    assert stepped(Sam(0.3), network())[1] == stepped(descend, network())[1]


def test_with_rho_next_to_nothing_the_step_is_the_plain_one():
    one, other = stepped(Sam(1e-7), network())[0], stepped(descend, network())[0]
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


def test_clipping_shortens_the_second_gradient_and_keeps_its_direction():
    free, clipped = stepped(Sam(0.1), network())[0], stepped(Sam(0.1), network(), clip=0.01)[0]
    start = torch.cat([p.detach().flatten() for p in network().parameters()])
    one, other = (torch.cat([p.detach().flatten() for p in m.parameters()]) - start for m in (free, clipped))
    assert other.norm() == pytest.approx(0.1 * 0.01, rel=1e-3)
    assert torch.cosine_similarity(one, other, dim=0) > 0.9999
