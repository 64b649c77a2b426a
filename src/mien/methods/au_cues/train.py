"""Train the reader on soft votes: cross-entropy against what ten annotators said, not against one label."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

from mien.align import align, to_crop_frame
from mien.datasets import Sample
from mien.datasets.pseudo_labels import PseudoLabels
from mien.detect import whole_picture
from mien.errors import InputError
from mien.evaluation.protocols import Selection, select
from mien.methods.au_cues.loss import alignment_loss, attention
from mien.methods.au_cues.maps import class_map
from mien.methods.au_cues.model import Reader
from mien.training import augment
from mien.training.loop import Batch, Schedule, fit
from mien.vocabulary import Expression

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
    attention_weight: the paper's lambda; above 0 the attention of attention_stages (numbers from 1) is taught to match
    the AU map that codebook and symmetric describe (see maps.py), which takes pseudo-labels.
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
    attention_weight: float = 0.0
    attention_stages: tuple[int, ...] = (4,)
    codebook: str = "paper_code"
    symmetric: bool = False


def build(settings: Settings) -> Reader:
    """An untrained reader of this size."""
    return Reader(settings.widths, settings.blocks, settings.dropout, settings.stochastic_depth)


def train(
    dataset: Sequence[Sample],
    settings: Settings,
    folder: Path,
    *,
    valid: Sequence[Sample] | None = None,
    labels: PseudoLabels | None = None,
    resume: bool = False,
) -> Reader:
    """Train a reader; the trained network is also left in folder/model.safetensors.

    valid: faces for the accuracy in the log (strict majority, without duplicates); nothing is chosen by it.
    labels: a teacher's landmarks for the dataset, needed when attention_weight is above 0.
    """
    torch.manual_seed(settings.seed)
    shapes: list[tuple[int, ...]] = []

    def prepare(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        shapes.append(image.shape)
        return crop(image)

    faces = select(dataset, "soft-votes", prepare=prepare)
    if not faces.samples:
        raise InputError(f"no face is left to train on; dropped: {faces.dropped or 'none, the data are empty'}")
    maps = None
    if settings.attention_weight > 0:
        if labels is None:
            raise InputError("attention_weight above 0 needs landmarks; give the file that `mien pseudo-label` wrote")
        maps = au_maps(faces, shapes, labels, settings)
    model = build(settings)
    checks = None if valid is None else select(valid, duplicates=False, prepare=crop)
    if checks is not None and not checks.samples:
        raise InputError(f"no face is left to measure accuracy on; dropped: {checks.dropped}")
    trained = fit(
        model,
        loader(faces, settings, maps),
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


def au_maps(
    faces: Selection, shapes: Sequence[tuple[int, ...]], labels: PseudoLabels, settings: Settings
) -> tuple[Tensor, Tensor]:
    """The AU maps of all faces, (N, 1, 48, 48) uint8, and which faces have one, (N,) bool.

    shapes: of the pictures before they were cropped.   InputError when a face is not among the labels.
    """
    row = {source: i for i, source in enumerate(labels.source)}
    maps, has_map = np.zeros((len(shapes), SIZE, SIZE), np.uint8), np.zeros(len(shapes), bool)
    for i, (sample, shape) in enumerate(zip(faces.samples, shapes, strict=True)):
        if sample.source not in row:
            raise InputError(
                f"the pseudo-labels have no row for {sample.source!r}; theirs begin with {labels.source[:1]}: "
                "they were made of other data"
            )
        if not labels.found[row[sample.source]]:
            continue
        frame = to_crop_frame(whole_picture(np.empty(shape, np.uint8))[0])
        landmarks = labels.landmarks[row[sample.source]] @ frame[:, :2].T + frame[:, 2]
        drawn = class_map(landmarks, Expression(faces.labels[i]), settings.codebook, symmetric=settings.symmetric)
        if drawn is not None:
            maps[i] = np.round(255 * cv2.resize(drawn, (SIZE, SIZE), interpolation=cv2.INTER_AREA))
            has_map[i] = True
    return torch.from_numpy(maps)[:, None], torch.from_numpy(has_map)


def loader(faces: Selection, settings: Settings, maps: tuple[Tensor, Tensor] | None = None) -> DataLoader[Batch]:
    """Batches of (B, 1, 48, 48) uint8 faces and (B, 8) targets, and of maps if there are any (see au_maps).

    Rare classes come up as `rebalance` says.
    """
    data = TensorDataset(tensor(faces), torch.from_numpy(faces.targets), *(maps or ()))
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
    """Cross-entropy of augmented faces against the vote distribution, and the alignment loss if it has a weight."""
    images, targets = batch[0].float() / 255, batch[1]
    matrix = augment.movement(
        len(images), degrees=settings.degrees, scale=settings.scale, shift=settings.shift, device=images.device
    )
    images = augment.move(images, matrix)
    images = augment.light(images, contrast=settings.contrast, brightness=settings.brightness)
    images = augment.soften(images, share=settings.soften_share)
    images = augment.erase(images, share=settings.erase_share)
    mixed = bool(torch.rand(()) < settings.mixup_share)
    if mixed:
        images, targets = augment.mixup(images, targets, alpha=settings.mixup_alpha)
    images = normalize(images).contiguous(memory_format=torch.channels_last)
    if settings.attention_weight == 0:
        return F.cross_entropy(network(images).float(), targets)
    logits, features = network(images, settings.attention_stages)
    au_map = augment.move(batch[2].float() / 255, matrix, mode="nearest")[:, 0]  # (B, 48, 48)
    # Two faces blended into one have no one map.
    has_map = batch[3] & (not mixed)
    align_loss = alignment_loss([attention(f.float()) for f in features], au_map, has_map)
    return F.cross_entropy(logits.float(), targets) + settings.attention_weight * align_loss


@torch.no_grad()
def recalls(network: nn.Module, faces: Selection) -> dict[str, float]:
    """Accuracy and mean per-class recall, as fractions, for the log."""
    network.eval()
    predicted = torch.cat([network(normalize(part)).argmax(1) for part in torch.split(tensor(faces), 256)]).numpy()
    right = predicted == faces.labels
    recall = [right[faces.labels == c].mean() for c in np.unique(faces.labels)]
    return {"accuracy": float(right.mean()), "mean_recall": float(np.mean(recall))}
