"""Train FERAnno's head.

The generator's features of each face are computed once, in a few views, and stored; the head learns the annotators'
votes from them. Generated faces are not used for training.

Letters: B faces, V views of a face, F features, M maps.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from mien.core.contract import Classifier, network_of
from mien.core.zoo import load
from mien.datasets import Sample
from mien.errors import InputError
from mien.methods.feranno.labeler import Seer
from mien.methods.feranno.model import Head
from mien.methods.synfer.flow.train import taken
from mien.progress import shown
from mien.training import augment
from mien.training.faces import balanced, held_out, tensor
from mien.training.loop import Batch, Schedule, fit
from mien.training.run import Run


@dataclass(frozen=True)
class Settings(Schedule):
    """Settings of a run of FERAnno's head.

    batch_size: faces in a step.
    generator: generator whose features the head reads, a name or an ONNX file.
    units: model that measures the action units the generator is conditioned on, a name or an ONNX file.
    views: versions of each face: as it is, flipped, and others rotated, scaled and shifted at random.
    degrees: largest rotation of a view.
    scale: largest change of a view's size, as a fraction.
    shift: largest shift of a view, as a fraction of its side.
    channels: channels of both branches.
    heads: attention heads of both branches.
    dropout: dropout of both branches.
    rebalance: draw each face with probability proportional to n ** -rebalance, where n counts the faces of its class;
    above 0 the answers move from the shares of votes towards rare classes.
    """

    epochs: int = 30
    learning_rate: float = 1e-3
    batch_size: int = 128
    generator: str = "synfer"
    units: str = "reader"
    views: int = 4
    degrees: float = 10.0
    scale: float = 0.1
    shift: float = 0.06
    channels: int = 96
    heads: int = 4
    dropout: float = 0.2
    rebalance: float = 0.0


PRESETS = {"small": Settings()}
# File in a run's folder with the hashes of the generator and the model of action units.
SEEN_WITH = "seen_with.json"
# Faces in a batch of the generator.
_TOGETHER = 64


class GeneratorFeatures(NamedTuple):
    """Features of N faces in V views, in half precision.

    features: (N, V, F, 6, 6).   maps: (N, V, M, 6, 6).
    """

    features: Tensor
    maps: Tensor


def seen(seer: Seer, crops: Tensor, settings: Settings, views: int) -> GeneratorFeatures:
    """Return the features of (N, 1, S, S) uint8 faces in settings.views views of each."""
    torch.manual_seed(settings.seed)
    starts = range(0, len(crops), _TOGETHER)
    stored: GeneratorFeatures | None = None
    for start in shown(starts, "reading features", len(starts)):
        some = slice(start, start + _TOGETHER)
        for number in range(views):
            both = [torch.from_numpy(part) for part in seer(view(crops[some], number, settings))]
            # Gigabytes for a whole data set: fill in place instead of concatenating.
            stored = stored or GeneratorFeatures(
                *(torch.empty(len(crops), views, *p.shape[1:], dtype=torch.float16) for p in both)
            )
            for there, part in zip(stored, both, strict=True):
                there[some, number] = part
    assert stored is not None, "a data set without faces is refused before"
    return stored


def view(crops: Tensor, number: int, settings: Settings) -> NDArray[np.uint8]:
    """(N, 1, S, S) uint8 faces as they are (0), flipped (1), or moved at random -> (N, S, S)."""
    if number == 0:
        return crops[:, 0].numpy()
    if number == 1:
        return crops[:, 0].flip(2).numpy()
    matrix = augment.movement(
        len(crops), degrees=settings.degrees, scale=settings.scale, shift=settings.shift, device=crops.device
    )
    levels = augment.move(crops.float(), matrix)[:, 0].round().clamp(0, 255)
    return levels.to(torch.uint8).numpy()


def train(
    dataset: Sequence[Sample],
    settings: Settings,
    folder: Path,
    *,
    valid: Sequence[Sample] | None = None,
    resume: bool = False,
) -> Head:
    """Train the head; the folder receives the run, see mien.training.run, and SEEN_WITH.

    valid: faces for the accuracy in the log (strict majority, without duplicates); logged only. Raise InputError if a
    face was generated, or if a resumed run used another generator.
    """
    used = {"generator": _hash(settings.generator), "units": _network(settings.units)}
    run = Run(folder)
    if resume and (folder / SEEN_WITH).is_file() and run.read_json(SEEN_WITH) != used:
        raise InputError(
            f"{folder} was begun with another {settings.generator} or {settings.units}, whose features were others; "
            "resume with the same files, or begin anew in another folder"
        )
    seer = Seer(settings.generator, settings.units)
    size = seer.generator.about.size
    faces = taken(dataset, size)
    learned = seen(seer, tensor(faces), settings, settings.views)
    checks = None
    if valid is not None:
        chosen = held_out(valid, size)
        checks = (seen(seer, tensor(chosen), settings, 1), torch.from_numpy(chosen.labels))
    torch.manual_seed(settings.seed)
    rows = (*learned, torch.from_numpy(faces.targets))
    run.write_json(SEEN_WITH, used)
    trained = fit(
        build(settings, learned),
        balanced(rows, faces.labels, settings.rebalance, settings.batch_size),
        loss,
        settings,
        folder,
        resume=resume,
        after_epoch=lambda head: {} if checks is None else {"accuracy": accuracy(head, *checks)},
    )
    assert isinstance(trained, Head)
    run.keep_data(dataset)
    return trained


def build(settings: Settings, learned: GeneratorFeatures) -> Head:
    """Return an untrained head for such features."""
    features, maps = learned.features.shape[2], learned.maps.shape[2]
    return Head(features, maps, channels=settings.channels, heads=settings.heads, dropout=settings.dropout)


def loss(head: nn.Module, batch: Batch) -> Tensor:
    """KL(q || p) of one random view of each face against the vote distribution."""
    features, maps, targets = batch
    rows, drawn = torch.arange(len(targets)), torch.randint(features.shape[1], (len(targets),))
    logits = head(features[rows, drawn].float(), maps[rows, drawn].float()).logits.float()
    return F.kl_div(logits.log_softmax(dim=1), targets, reduction="batchmean")


@torch.no_grad()
def accuracy(head: nn.Module, faces: GeneratorFeatures, labels: Tensor) -> float:
    """Share of faces whose first view has the label as most probable expression."""
    answers = head(faces.features[:, 0].float(), faces.maps[:, 0].float()).logits
    return float((answers.argmax(dim=1) == labels).float().mean())


def _network(model: str) -> str:
    data = load(model)
    return network_of(data, Classifier(data).contract)


def _hash(model: str) -> str:
    return hashlib.sha256(load(model)).hexdigest()
