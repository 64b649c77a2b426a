"""Train the reader on soft votes: cross-entropy against what ten annotators said, not against one label."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

from mien.align import align
from mien.datasets import Sample
from mien.detect import whole_picture
from mien.errors import InputError
from mien.evaluation.protocols import Selection, select
from mien.methods.au_cues.model import Reader
from mien.training import augment
from mien.training.loop import Batch, Schedule, fit

# Of the FERPlus training faces, after scaling to 0..1.
MEAN, STD = 0.508, 0.255
SIZE = 48
# The file of a run that keeps what share each class has among the faces, and among the faces as drawn.
PRIORS = "priors.json"


@dataclass(frozen=True)
class Settings(Schedule):
    """Everything that a run of the reader depends on, besides the data.

    rebalance: a face is drawn with probability proportional to n ** -rebalance, n being how many training faces share
    its class: 0 as they come, 0.5 square-root sampling (Mahajan et al., 2018), 1 all classes alike.
    """

    batch_size: int = 128
    widths: tuple[int, ...] = (32, 64, 128, 256)
    blocks: tuple[int, ...] = (1, 2, 3, 2)
    dropout: float = 0.2
    stochastic_depth: float = 0.1
    degrees: float = 15.0
    scale: float = 0.15
    shift: float = 0.12
    contrast: float = 0.3
    brightness: float = 0.15
    soften_share: float = 0.1
    erase_share: float = 0.3
    mixup_alpha: float = 0.4
    mixup_share: float = 0.5
    rebalance: float = 0.5


def build(settings: Settings) -> Reader:
    """An untrained reader of this size."""
    return Reader(settings.widths, settings.blocks, settings.dropout, settings.stochastic_depth)


def train(
    dataset: Sequence[Sample],
    settings: Settings,
    folder: Path,
    *,
    valid: Sequence[Sample] | None = None,
    resume: bool = False,
) -> Reader:
    """Train a reader; the trained network is also left in folder/model.safetensors.

    valid: faces for the accuracy in the log (strict majority, without duplicates); nothing is chosen by it.
    """
    torch.manual_seed(settings.seed)
    faces = select(dataset, "soft-votes", prepare=crop)
    if not faces.samples:
        raise InputError(f"no face is left to train on; dropped: {faces.dropped or 'none, the data are empty'}")
    model = build(settings)
    checks = None if valid is None else select(valid, duplicates=False, prepare=crop)
    if checks is not None and not checks.samples:
        raise InputError(f"no face is left to measure accuracy on; dropped: {checks.dropped}")
    trained = fit(
        model,
        loader(faces, settings),
        lambda network, batch: loss(network, batch, settings),
        settings,
        folder,
        resume=resume,
        after_epoch=lambda network: {} if checks is None else recalls(network, checks),
    )
    assert isinstance(trained, Reader)
    (folder / PRIORS).write_text(json.dumps(priors(faces, settings)) + "\n")
    return trained


def draw_weights(faces: Selection, settings: Settings) -> NDArray[np.float64]:
    """(N,) how often each face is drawn, relative to the others."""
    counts = np.bincount(faces.labels, minlength=8)
    return counts[faces.labels].astype(float) ** -settings.rebalance


def priors(faces: Selection, settings: Settings) -> dict[str, list[float]]:
    """The mean target of the faces as they are ("natural") and as they are drawn ("drawn"), 8 shares each."""
    weights = draw_weights(faces, settings)
    return {
        "natural": faces.targets.mean(axis=0, dtype=np.float64).tolist(),
        "drawn": np.average(faces.targets, axis=0, weights=weights).tolist(),
    }


def loader(faces: Selection, settings: Settings) -> DataLoader[Batch]:
    """Batches of (B, 1, 48, 48) uint8 faces and (B, 8) targets; rare classes come up as `rebalance` says."""
    data = TensorDataset(tensor(faces), torch.from_numpy(faces.targets))
    sampler = WeightedRandomSampler(draw_weights(faces, settings).tolist(), len(data))
    return DataLoader(data, batch_size=settings.batch_size, sampler=sampler, drop_last=len(data) > settings.batch_size)


def crop(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture that is one face already, as the (48, 48) gray crop that the network sees."""
    return np.asarray(align(image, whole_picture(image), SIZE)[0])


def tensor(faces: Selection) -> Tensor:
    """The crops of all samples as one (N, 1, 48, 48) uint8 tensor."""
    return torch.from_numpy(np.stack([sample.image for sample in faces.samples]))[:, None]


def normalize(images: Tensor) -> Tensor:
    """0..255 or 0..1 gray to zero mean and unit deviation over the training faces."""
    scaled = images.float() / 255 if images.dtype == torch.uint8 else images
    return (scaled - MEAN) / STD


def loss(network: nn.Module, batch: Batch, settings: Settings) -> Tensor:
    """Cross-entropy of augmented faces against the vote distribution."""
    images, targets = batch[0].float() / 255, batch[1]
    images = augment.move(images, degrees=settings.degrees, scale=settings.scale, shift=settings.shift)
    images = augment.light(images, contrast=settings.contrast, brightness=settings.brightness)
    images = augment.soften(images, share=settings.soften_share)
    images = augment.erase(images, share=settings.erase_share)
    if torch.rand(()) < settings.mixup_share:
        images, targets = augment.mixup(images, targets, alpha=settings.mixup_alpha)
    images = normalize(images).contiguous(memory_format=torch.channels_last)
    return F.cross_entropy(network(images).float(), targets)


@torch.no_grad()
def recalls(network: nn.Module, faces: Selection) -> dict[str, float]:
    """Accuracy and mean per-class recall, as fractions, for the log."""
    network.eval()
    predicted = torch.cat([network(normalize(part)).argmax(1) for part in torch.split(tensor(faces), 256)]).numpy()
    right = predicted == faces.labels
    recall = [right[faces.labels == c].mean() for c in np.unique(faces.labels)]
    return {"accuracy": float(right.mean()), "mean_recall": float(np.mean(recall))}
