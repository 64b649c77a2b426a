"""Sharpness-aware minimization: descend the gradient at the point nearby with the highest loss.

Foret et al., ICLR 2021, https://arxiv.org/abs/2010.01412; its adaptive variant, ASAM, Kwon et al., ICML 2021,
https://arxiv.org/abs/2102.11600.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from mien.training.loop import descend


class Sam:
    """A step of mien.training.loop.fit that evaluates the loss twice.

    rho: radius of the perturbation, in the norm of all weights together.   adaptive: ASAM, which scales each weight's
    perturbation by its size and needs a rho about ten times as large.   after: first steps without perturbation. Both
    evaluations use the same random numbers, hence the same faces and dropout. The network must have no batch
    normalization, whose statistics would be updated twice.
    """

    def __init__(self, rho: float, adaptive: bool = False, after: int = 0) -> None:
        self.rho, self.adaptive, self.after = rho, adaptive, after

    def __call__(
        self, backward: Callable[[], Tensor], fabric: Fabric, model: nn.Module, optimizer: Any, clip: float
    ) -> Tensor:
        """Take one step; return the loss at the unperturbed weights."""
        if _steps(optimizer) < self.after:
            return descend(backward, fabric, model, optimizer, clip)
        draws = torch.get_rng_state()
        optimizer.zero_grad()
        loss = backward()
        with climbed(model, self.rho, self.adaptive):
            torch.set_rng_state(draws)
            optimizer.zero_grad()
            backward()
        if clip:
            fabric.clip_gradients(model, optimizer, max_norm=clip, error_if_nonfinite=False)
        optimizer.step()
        return loss


def _steps(optimizer: Any) -> int:
    """Return the number of AdamW's steps, including those before a resumption."""
    states: list[dict[str, Any]] = list(optimizer.state.values())
    return int(states[0].get("step", 0)) if states else 0


@contextmanager
def climbed(model: nn.Module, rho: float, adaptive: bool = False) -> Iterator[float]:
    """Context in which the weights are moved up their gradient by rho; afterwards they are restored exactly.

    Yields the norm of the move: rho, or 0 without a gradient; with `adaptive` it varies.
    """
    moving = [p for p in model.parameters() if p.grad is not None]
    before = [p.detach().clone() for p in moving]
    with torch.no_grad():
        gradients = [p.grad for p in moving if p.grad is not None]
        scaled = [w.abs() * g if adaptive else g for w, g in zip(before, gradients, strict=True)]
        norm = torch.stack([g.norm() for g in scaled]).norm() + 1e-12
        moves = [rho / norm * (w.square() * g if adaptive else g) for w, g in zip(before, gradients, strict=True)]
        for parameter, move in zip(moving, moves, strict=True):
            parameter.add_(move)
    try:
        yield float(torch.stack([move.norm() for move in moves]).norm())
    finally:
        with torch.no_grad():
            for parameter, kept in zip(moving, before, strict=True):
                parameter.copy_(kept)
