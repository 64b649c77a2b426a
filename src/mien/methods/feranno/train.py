"""FERAnno's head as a method: what `mien train feranno` and `mien export feranno` use. Needs torch.

What the generator sees in each face is computed once, in a few views of it, and kept; the head learns the votes of the
annotators from it. Generated faces have no place in its training.

Letters: B faces, V views of a face, F features, M maps, C channels, 36 = 6 x 6 places.
"""

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from safetensors import safe_open
from torch import Tensor, nn

from mien.core.zoo import load
from mien.datasets import Sample
from mien.errors import InputError
from mien.export.runs import settings_of, with_weights
from mien.facs.vocabulary import Expression
from mien.methods.feranno.labeler import KIND, Seer
from mien.methods.synfer.flow.export import write
from mien.methods.synfer.flow.train import taken
from mien.training import augment
from mien.training.faces import balanced, held_out, tensor
from mien.training.loop import Batch, Schedule, fit


@dataclass(frozen=True)
class Settings(Schedule):
    """Everything that a run of FERAnno's head depends on, besides the data.

    generator: of which it reads the features, a name or an ONNX file; units: the model that tells the generator action
    units.   views: of each face: as it is, flipped, and others turned, scaled and shifted by up to so much.
    channels, heads: of both branches.   rebalance: a face is drawn with probability proportional to n ** -rebalance of
    its class; more than 0 moves the answers away from the votes, towards rare classes.
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
# A file of a run with the hashes of the generator and of the model of action units that its features come from.
SEEN_WITH = "seen_with.json"
# Faces that the generator is shown before their features are stored.
_TOGETHER = 64


class Answers(NamedTuple):
    """logits: (B, 8) in Expression order."""

    logits: Tensor


class Branch(nn.Module):
    """One kind of what the generator saw, to tokens: one convolution over all its levels, two residual blocks."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.scale, self.project = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, channels, 1)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(),
                nn.Conv2d(channels, channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(channels),
            )
            for _ in range(2)
        )

    def forward(self, seen: Tensor) -> Tensor:
        """(B, inputs, 6, 6) -> (B, 36, C)."""
        x = self.project(self.scale(seen))
        for block in self.blocks:
            x = F.relu(x + block(x))
        tokens: Tensor = x.flatten(2).transpose(1, 2)
        return tokens


class Look(nn.Module):
    """Tokens look at those of the other branch; what they see is added and normalized."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads, self.norm = heads, nn.LayerNorm(channels)
        self.query, self.other = nn.Linear(channels, channels), nn.Linear(channels, 2 * channels)
        self.seen = nn.Linear(channels, channels)

    def forward(self, tokens: Tensor, others: Tensor) -> Tensor:
        """(B, 36, C) and (B, 36, C) -> (B, 36, C)."""
        q, k, v = (
            part.reshape(*part.shape[:2], self.heads, -1).transpose(1, 2)
            for part in (self.query(tokens), *self.other(others).chunk(2, dim=-1))
        )
        seen = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        result: Tensor = self.norm(tokens + self.seen(seen))
        return result


class Head(nn.Module):
    """Features and maps of a face to its expression: two branches that look at each other, their means, one layer."""

    def __init__(self, features: int, maps: int, *, channels: int = 96, heads: int = 4, dropout: float = 0.2) -> None:
        super().__init__()
        self.features, self.maps = Branch(features, channels), Branch(maps, channels)
        self.at_maps, self.at_features = Look(channels, heads), Look(channels, heads)
        self.dropout = nn.Dropout(dropout)
        self.expression = nn.Linear(2 * channels, len(Expression))

    def forward(self, features: Tensor, maps: Tensor) -> Answers:
        """(B, F, 6, 6) and (B, M, 6, 6) -> Answers."""
        f, m = self.features(features), self.maps(maps)
        pooled = torch.cat([self.at_maps(f, m).mean(dim=1), self.at_features(m, f).mean(dim=1)], dim=1)  # (B, 2C)
        return Answers(self.expression(self.dropout(pooled)))


class Seen(NamedTuple):
    """What the generator saw in N faces, V views of each, in half precision.

    features: (N, V, F, 6, 6).   maps: (N, V, M, 6, 6).
    """

    features: Tensor
    maps: Tensor


def seen(seer: Seer, crops: Tensor, settings: Settings, views: int) -> Seen:
    """The features of (N, 1, S, S) uint8 faces, in so many views of each."""
    torch.manual_seed(settings.seed)
    starts = range(0, len(crops), _TOGETHER)
    found: Seen | None = None
    for start in track(starts, "Seeing", console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True):
        some = slice(start, start + _TOGETHER)
        for number in range(views):
            both = [torch.from_numpy(part) for part in seer(view(crops[some], number, settings))]
            # Gigabytes for a whole data set: they are filled in place rather than joined in the end.
            found = found or Seen(*(torch.empty(len(crops), views, *p.shape[1:], dtype=torch.float16) for p in both))
            for there, part in zip(found, both, strict=True):
                there[some, number] = part
    assert found is not None, "a data set without faces is refused before"
    return found


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
    """Train the head; it is also left in folder/model.safetensors, and what it sees with in folder/seen_with.json.

    valid: faces for the accuracy in the log (strict majority, without duplicates); nothing is chosen by it.
    InputError when a face was generated, or when a run goes on whose generator has become another.
    """
    used = {"generator": _hash(settings.generator), "units": _hash(settings.units)}
    kept = folder / SEEN_WITH
    if resume and kept.is_file() and json.loads(kept.read_text()) != used:
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
    folder.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(used) + "\n")
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
    return trained


def build(settings: Settings, learned: Seen) -> Head:
    """An untrained head for such features."""
    features, maps = learned.features.shape[2], learned.maps.shape[2]
    return Head(features, maps, channels=settings.channels, heads=settings.heads, dropout=settings.dropout)


def loss(head: nn.Module, batch: Batch) -> Tensor:
    """KL(q || p) of one view of each face, drawn anew, against the vote distribution."""
    features, maps, targets = batch
    rows, drawn = torch.arange(len(targets)), torch.randint(features.shape[1], (len(targets),))
    logits = head(features[rows, drawn].float(), maps[rows, drawn].float()).logits.float()
    return F.kl_div(logits.log_softmax(dim=1), targets, reduction="batchmean")


@torch.no_grad()
def accuracy(head: nn.Module, faces: Seen, labels: Tensor) -> float:
    """The share of faces, in their first view, whose most probable expression is the label."""
    answers = head(faces.features[:, 0].float(), faces.maps[:, 0].float()).logits
    return float((answers.argmax(dim=1) == labels).float().mean())


def load_run(run: Path) -> tuple[Head, Settings]:
    """The trained head of a run's folder, in evaluation mode, and the run's settings; InputError when not finished."""
    settings = Settings(**settings_of(run))
    shapes = torch.zeros(1, 1, 1, 6, 6)
    sizes = _inputs(run)
    learned = Seen(*(shapes.expand(1, 1, count, 6, 6) for count in sizes))
    return with_weights(build(settings, learned), run), settings


def _inputs(run: Path) -> tuple[int, int]:
    """How many features and maps the run's head reads."""
    with safe_open(run / "model.safetensors", "pt") as weights:
        features, maps = (weights.get_slice(f"{kind}.scale.weight").get_shape()[0] for kind in ("features", "maps"))
    return features, maps


def export(
    run: Path,
    output: Path,
    *,
    calibrate: Sequence[Sample] | None = None,
    accuracy_cost: float = 0.003,
    half: bool = True,
) -> dict[str, float]:
    """Write the run's head to an ONNX file; what it returns says how well the two agree (see export.write).

    calibrate, accuracy_cost: are for classifiers of faces; InputError when faces to calibrate on are given.
    """
    if calibrate is not None:
        raise InputError(
            "FERAnno learns the votes as they are, so there is nothing to calibrate; leave --calibrate out"
        )
    head, _ = load_run(run)
    draw = torch.Generator().manual_seed(0)
    example = tuple(torch.randn(16, count, 6, 6, generator=draw) for count in _inputs(run))
    meta = {
        "name": output.stem,
        "kind": KIND,
        "labels": ",".join(e.label for e in Expression),
        **json.loads((run / SEEN_WITH).read_text()),
    }
    return write(Named(head), example, ("features", "maps"), meta, output, half=half)


def _hash(model: str) -> str:
    return hashlib.sha256(load(model)).hexdigest()


class Named(nn.Module):
    """A head with its answers by name, as the outputs of its ONNX file."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: Tensor, maps: Tensor) -> dict[str, Tensor]:
        """(B, F, 6, 6) and (B, M, 6, 6) -> logits (B, 8)."""
        return {"logits": self.head(features, maps).logits}
