"""Self-supervised learning: SimSiam on photographs, generated faces or both, then one layer on labelled photographs.

Chen and He, CVPR 2021, https://arxiv.org/abs/2011.10566.

Letters: B faces of a batch, N faces of the data, S the side of a face, F features.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from mien.errors import InputError
from mien.evaluation.protocols import Selection
from mien.evaluation.result import Result
from mien.methods.synfer.downstream.encoder import (
    Encoder,
    Faces,
    Settings,
    counted,
    drawn,
    features,
    first,
    given_of,
    table,
    together,
)
from mien.training.experiment import evaluated, run_arms
from mien.training.faces import augmented, tensor
from mien.training.loop import Batch, fit

ARMS = {
    "real": "photographs, without labels",
    "synthetic": "as many generated faces, without labels",
    "both": "photographs and as many generated faces, without labels",
    "none": "an encoder that was not trained",
}


@dataclass(frozen=True)
class SimSiamSettings(Settings):
    """Settings of a self-supervised run: stronger augmentation than with labels, and no mixup.

    hidden: width of the projection; the predictor's bottleneck has a quarter of it.
    """

    epochs: int = 40
    degrees: float = 20.0
    scale: float = 0.25
    contrast: float = 0.5
    brightness: float = 0.25
    soften_share: float = 0.3
    mixup_share: float = 0.0
    hidden: int = 256


class SimSiam(nn.Module):
    """Predict each of two views of a face from the other."""

    def __init__(self, settings: SimSiamSettings) -> None:
        super().__init__()
        self.encoder = Encoder(settings.widths)
        wide, narrow = settings.hidden, settings.hidden // 4
        self.project = nn.Sequential(
            nn.Linear(self.encoder.features, wide, bias=False),
            nn.BatchNorm1d(wide),
            nn.ReLU(),
            nn.Linear(wide, wide, bias=False),
            nn.BatchNorm1d(wide, affine=False),
        )
        self.predict = nn.Sequential(
            nn.Linear(wide, narrow, bias=False), nn.BatchNorm1d(narrow), nn.ReLU(), nn.Linear(narrow, wide)
        )

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """Two views, (B, 1, S, S) each, normalized -> the loss, at best -1."""
        projected = [self.project(self.encoder(view)) for view in (one, other)]
        predicted = [self.predict(z) for z in projected]
        # Without stopping the gradient, all faces collapse to one point.
        pairs = zip(predicted, (z.detach() for z in reversed(projected)), strict=True)
        return -torch.stack([F.cosine_similarity(p, z).mean() for p, z in pairs]).mean()


def pretrain(faces: Selection, settings: SimSiamSettings, folder: Path, draws: int) -> Encoder:
    """Train an encoder without labels; it is also saved in the folder.

    draws: faces per epoch.
    """
    batches = drawn(TensorDataset(tensor(faces)), draws, settings.batch_size)

    def loss(network: nn.Module, batch: Batch) -> Tensor:
        nothing = torch.zeros(len(batch[0]), 8)
        one, other = (augmented(batch[0], nothing, settings).images for _ in range(2))
        return network(one, other)  # type: ignore[no-any-return]

    torch.manual_seed(settings.seed)
    trained = fit(SimSiam(settings), batches, loss, settings, folder, resume=True)
    assert isinstance(trained, SimSiam)
    return trained.encoder


def probe(learn: Tensor, targets: Tensor, measure: Tensor, decay: float = 1e-4) -> NDArray[np.float32]:
    """(M, 8) logits of one layer trained on (N, F) features with (N, 8) soft targets, for (M, F) features."""
    mean, std = learn.mean(dim=0), learn.std(dim=0).clamp(min=1e-6)
    learn, measure = (learn - mean) / std, (measure - mean) / std
    weights = torch.zeros(learn.shape[1] + 1, targets.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(learn @ weights[:-1] + weights[-1], targets) + decay * weights[:-1].square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return (measure @ weights[:-1] + weights[-1]).detach().numpy()


def chosen_faces(faces: Faces, arm: str) -> Selection:
    """Return the faces of an arm, generated ones whatever their vote; "none" is not trained."""
    if arm in ("real", "none"):
        return faces.photographs
    if faces.asked is None:
        raise InputError("this arm learns from generated faces; give --synthetic")
    generated = first(faces.asked, len(faces.photographs.samples))
    return generated if arm == "synthetic" else together(faces.photographs, generated)


def run(
    faces: Faces,
    settings: SimSiamSettings,
    folder: Path,
    arms: Sequence[str],
    seeds: Sequence[int],
    given: Mapping[str, Any],
) -> Result:
    """Pretrain each arm with each seed without labels, then train one layer on the photographs' votes.

    given: further conditions of the runs, such as the names of the data.
    """
    learn, targets = tensor(faces.photographs), torch.from_numpy(faces.photographs.targets)

    def prepare(arm: str) -> Selection:
        return chosen_faces(faces, arm)

    def measure(arm: str, chosen: Selection, seed: int, place: Path) -> Result:
        trained = arm != "none"
        own = replace(settings, seed=seed, epochs=settings.epochs if trained else 0)
        encoder = pretrain(chosen, own, place, len(learn))
        answers = probe(features(encoder, learn), targets, features(encoder, tensor(faces.valid)))
        return counted(chosen.samples if trained else []) | evaluated(faces.valid, answers)

    run_arms(ARMS, arms, seeds, folder, given_of(settings, given), prepare, measure)
    return table(ARMS, folder)
