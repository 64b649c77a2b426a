"""Semantic guidance: classifiers read the predicted face and steer it towards the conditions.

The paper moves the text tokens ("tokens"); moving the clean estimate itself ("estimate") is ours. Both descend the
loss: the paper's formula has the opposite sign, which would ascend. Needs torch.

Letters: B faces, S the side of a face, W words, D the width of a token, K action units.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.errors import InputError
from mien.methods.synfer.flow.model import Generator
from mien.methods.synfer.flow.sample import About, Conditions, Field, Floats, Plan, branches, weighted
from mien.training.faces import normalize

MODES = ("tokens", "estimate")
# (B, 1, S, S) clean faces from -1 to 1 to (B,) losses.
Loss = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Guidance:
    """Strength of guidance.

    mode: "tokens" or "estimate".   share: fraction of the steps, from the end, that are guided; earlier there is no
    face.
    token_step: length of a step of a face's text tokens, over all of them (L2). estimate_step: length of a step of the
    clean estimate, as a share of its norm.   unit_weight: of action units in the loss.
    """

    mode: str = "tokens"
    share: float = 0.4
    token_step: float = 0.1
    estimate_step: float = 0.01
    unit_weight: float = 0.5

    def __post_init__(self) -> None:
        if self.mode not in MODES or not 0 <= self.share <= 1:
            raise InputError(
                f"guidance moves {' or '.join(MODES)} in a share of the steps, but got {self.mode!r} and {self.share}"
            )


class Guided:
    """A generator steered by classifiers; at least one is needed.

    network: of a finished run, in evaluation mode.   about: its description. expression: classifier of normalized faces
    with logits.   units: network with action_units.
    """

    def __init__(
        self,
        network: Generator,
        about: About,
        guidance: Guidance,
        expression: nn.Module | None = None,
        units: nn.Module | None = None,
    ) -> None:
        self.about = about
        self._network, self._guidance, self._expression, self._units = network, guidance, expression, units
        for module in (network, expression, units):
            if module is not None:
                module.eval().requires_grad_(False)

    def field(self, conditions: Conditions, plan: Plan) -> Field:
        """Return the velocity under these conditions, guided in the last steps if any condition applies."""
        chosen = branches(plan)
        steered = plan.text_scale != 0 or plan.unit_scale != 0
        wanted, empty = (_tensors(c) for c in (conditions, Conditions.nothing(len(conditions.label))))
        read = self._network.read
        text, there = read(*wanted[:2])  # (B, 1 + W, D)
        untold = read(*empty[:2])
        tokens, free = self._network.unit_tokens(*wanted[2:]), self._network.unit_tokens(*empty[2:])

        def aim(estimate: Tensor) -> Tensor:
            return self.loss(estimate, *(wanted[i] for i in (0, 2, 3)))

        def flow(x: Tensor, t: Tensor, words: Tensor) -> Tensor:
            velocity: Tensor = self._network.flow(x, t, words, there, tokens).velocity
            return velocity

        def velocity(given: Floats, now: float) -> Floats:
            nonlocal text
            x, t = torch.from_numpy(given), torch.full((len(given),), now)
            # Round: times of equal steps are not exact multiples.
            late = steered and round(now, 4) <= self._guidance.share
            if late and self._guidance.mode == "tokens":
                text = moved_tokens(text, lambda words: aim(x - now * flow(x, t, words)), self._guidance.token_step)
            with torch.no_grad():
                parts = [
                    self._network.flow(
                        x, t, *((text, there) if branch.text else untold), tokens if branch.units else free
                    ).velocity.numpy()
                    for branch in chosen
                ]
            v = weighted(chosen, parts)
            if late and self._guidance.mode == "estimate":
                better = moved_estimate(x - now * torch.from_numpy(v), aim, self._guidance.estimate_step)
                v = ((x - better) / now).numpy()
            return v

        return velocity

    def loss(self, estimate: Tensor, label: Tensor, units: Tensor, known: Tensor) -> Tensor:
        """(B,) cross-entropy of the requested expression, and Huber loss of the requested action units.

        estimate: (B, 1, S, S), -1 to 1.   label: (B, 8), all 0 if none is requested.   units, known: (B, K).
        """
        faces, total = normalize((estimate + 1) / 2), torch.zeros(len(estimate))
        if self._expression is not None:
            total = total - (label * self._expression(faces).logits.log_softmax(dim=1)).sum(dim=1)
        if self._units is not None:
            off = F.huber_loss(self._units(faces).action_units, units, reduction="none", delta=0.1) * known
            total = total + self._guidance.unit_weight * off.sum(dim=1) / known.sum(dim=1).clamp(min=1)
        return total


def moved_tokens(tokens: Tensor, loss: Loss, step: float) -> Tensor:
    """(B, 1 + W, D) tokens, each face's moved down its loss by one step of this length over all of them.

    A step per token would move padding as far as the words that matter.
    """
    return tokens - step * _direction(tokens, loss)


def moved_estimate(estimate: Tensor, loss: Loss, step: float) -> Tensor:
    """(B, 1, S, S) faces, each moved down its loss by this share of its norm."""
    size: Tensor = estimate.flatten(1).norm(dim=1)[:, None, None, None]
    return estimate - step * size * _direction(estimate, loss)


def _direction(values: Tensor, loss: Loss) -> Tensor:
    """Return the gradient of each face's loss at length 1; 0 if the loss is flat."""
    with torch.enable_grad():
        values = values.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(values).sum(), values)
    length: Tensor = gradient.flatten(1).norm(dim=1).clamp(min=1e-12)
    return gradient / length.view(-1, *[1] * (values.ndim - 1))


def _tensors(conditions: Conditions) -> list[Tensor]:
    return [torch.from_numpy(part) for part in conditions]
