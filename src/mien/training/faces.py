"""What the training of every method on faces has in common: crops, soft votes, augmentation, a teacher, recalls.

A network's answer has at least `logits`, (B, 8) in Expression order.

Letters: B faces of a batch, N faces of the data, S the side of a face in pixels.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import SpooledTemporaryFile, gettempdir
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, distributed, nn
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

from mien.core.align import crop
from mien.core.contract import Classifier, softmax
from mien.core.zoo import load
from mien.datasets import Sample
from mien.errors import InputError
from mien.evaluation.protocols import Selection, select
from mien.progress import shown
from mien.training import augment
from mien.training.loop import Batch, Schedule, Step, descend, fit
from mien.training.photographs import photograph
from mien.training.run import Run

# Of the FERPlus training faces, after scaling to 0..1.
MEAN, STD = 0.508, 0.255
_LUMA = (0.299, 0.587, 0.114)
# Crops of more bytes are not kept in memory.
_IN_MEMORY = 512 << 20


@dataclass(frozen=True)
class FaceSettings(Schedule):
    """Settings of every method that trains on faces; a method's own settings extend it.

    batch_size: faces in a batch, on each device.
    size: side of a face in pixels.
    channels: 1 for gray faces, 3 for faces in colour, which networks from elsewhere take; mien's own small ones do not.
    degrees: largest rotation of a face; half of the faces are also flipped.
    scale: largest change of a face's size, as a fraction.
    shift: largest shift of a face, as a fraction of its side.
    contrast: largest change of contrast, as a fraction.
    brightness: largest change of brightness, of a range of 0 to 1.
    soften_share: share of faces that are blurred to half their resolution.
    erase_share: share of faces with a rectangle of noise over them (random erasing).
    photograph_share: share of faces that are degraded as photographs may be: noise, blur, shadows, compression.
    mixup_alpha: parameter of the beta distribution that mixup draws its weights from.
    mixup_share: share of each batch that is blended by mixup.
    rebalance: draw each face with probability proportional to n ** -rebalance, where n counts the faces of its class: 0
    as they come, 0.5 square-root sampling (Mahajan et al., 2018), 1 all classes alike.
    teachers: models or ONNX files whose mean answer is mixed into the targets (distillation, Hinton et al., 2015);
    empty for none.
    teacher_weight: weight of the teachers' answers in the targets, 0 to 1.
    workers: processes that read faces ahead.
    """

    batch_size: int = 128
    size: int = 48
    channels: int = 1
    degrees: float = 15.0
    scale: float = 0.15
    shift: float = 0.12
    contrast: float = 0.3
    brightness: float = 0.15
    soften_share: float = 0.1
    erase_share: float = 0.3
    photograph_share: float = 0.0
    mixup_alpha: float = 0.4
    mixup_share: float = 0.5
    rebalance: float = 0.5
    teachers: tuple[str, ...] = ()
    teacher_weight: float = 0.5
    workers: int = 0


class AugmentedBatch(NamedTuple):
    """A batch as the network sees it.

    images: (B, C, S, S), normalized.   targets: (B, 8), each sums to 1.   matrix: (B, 2, 3), how the faces were moved.
    blended: how many of the first faces are two blended.   erased: (B, 1, S, S) bool, where noise was painted.
    """

    images: Tensor
    targets: Tensor
    matrix: Tensor
    blended: int
    erased: Tensor


Loss = Callable[[nn.Module, AugmentedBatch, Batch], Tensor]


def cross_entropy(network: nn.Module, seen: AugmentedBatch, lessons: Batch) -> Tensor:
    """Against the vote distribution; the loss of a method without lessons of its own."""
    return F.cross_entropy(network(seen.images).logits.float(), seen.targets)


def faces_of(
    dataset: Sequence[Sample],
    size: int,
    prepare: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None = None,
    *,
    channels: int = 1,
) -> Selection:
    """The faces of a data set that train, cropped; see `cropped`.   prepare: how, if not by `crop`.

    channels: as in FaceSettings.   Raise InputError when none is left.
    """
    return cropped(dataset, prepare or (lambda image: crop(image, size, channels)), "soft-votes", "train on")


def held_out(
    dataset: Sequence[Sample],
    size: int,
    purpose: str = "measure accuracy on",
    prepare: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None = None,
    *,
    channels: int = 1,
) -> Selection:
    """The faces of a data set that a network is measured on (strict majority, without duplicates), as in `faces_of`.

    purpose: what the error says that no face is left to do.
    """
    prepare = prepare or (lambda image: crop(image, size, channels))
    return cropped(dataset, prepare, "majority", purpose, duplicates=False)


def cropped(
    dataset: Sequence[Sample],
    prepare: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
    protocol: str,
    purpose: str,
    *,
    duplicates: bool = True,
) -> Selection:
    """Select faces and keep their crops as one array: in memory, or mapped from a temporary file if above 512 MB.

    prepare: a picture to its crop, all of one shape.   purpose: what the faces are for, for the error.
    protocol, duplicates: see `select`. The file lies in the folder that TMPDIR names and is gone when the process ends.
    Raise InputError when no face is left, or no room for the file.
    """
    shape: tuple[int, ...] = ()
    nothing = np.empty(0, np.uint8)

    def keep(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        nonlocal shape
        crop = prepare(image)
        shape = crop.shape
        file.write(crop.tobytes())
        return nothing

    try:
        with SpooledTemporaryFile(_IN_MEMORY) as file:
            chosen = select(dataset, protocol, duplicates=duplicates, prepare=keep).needed(purpose)
            pictures = _array(file, (len(chosen.samples), *shape))
    except OSError as error:
        raise InputError(
            f"the crops do not fit into {gettempdir()} ({error.strerror}); set TMPDIR to a folder with room for "
            f"{len(dataset) * math.prod(shape) / 1e9:.1f} GB"
        ) from error
    return replace(chosen, samples=Cropped(chosen.samples, pictures))


class Cropped(list[Sample]):
    """Samples whose pictures are the rows of one array, `pictures`; a list made of some of them is a plain list.

    pictures: (N, S, S) or (N, S, S, 3) uint8.
    """

    def __init__(self, samples: Sequence[Sample], pictures: NDArray[np.uint8]) -> None:
        super().__init__(replace(one, image=picture) for one, picture in zip(samples, pictures, strict=True))
        self.pictures = pictures


def _array(file: SpooledTemporaryFile[bytes], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return what was written as an array of this shape, mapped from the file if it was too large for memory."""
    if file.tell() > _IN_MEMORY:
        file.flush()
        # Copy on write, for PyTorch wants arrays that can be written.
        return np.memmap(file, np.uint8, "c", shape=shape)
    file.seek(0)
    return np.frombuffer(bytearray(file.read()), np.uint8).reshape(shape)


def fit_faces(
    network: nn.Module,
    faces: Selection,
    settings: FaceSettings,
    folder: Path,
    *,
    loss: Loss = cross_entropy,
    lessons: Batch = (),
    valid: Sequence[Sample] | None = None,
    resume: bool = False,
    step: Step = descend,
    draws: int | None = None,
    rates: Mapping[str, float] | None = None,
) -> Any:
    """Train on augmented faces; return what `fit` returns; the folder receives what `fit` leaves, and the priors.

    draws: see `balanced`.   rates: see `fit`.
    lessons: more to learn of each face, (N, ...) tensors whose rows the loss is given.
    valid: faces for the accuracy in the log (strict majority, without duplicates); logged only.
    """
    checks = None if valid is None else held_out(valid, settings.size, channels=settings.channels)
    teachers = [Teacher(model, settings.size) for model in settings.teachers]

    def loss_of(network: nn.Module, batch: Batch) -> Tensor:
        seen = augmented(batch[0], batch[1], settings)
        if teachers:
            taught = torch.stack([teacher(seen.images) for teacher in teachers]).mean(dim=0)  # (B, 8)
            targets = torch.lerp(seen.targets, taught, settings.teacher_weight)
            seen = seen._replace(targets=targets)
        return loss(network, seen, batch[2:])

    trained = fit(
        network,
        loader(faces, settings, lessons, draws),
        loss_of,
        settings,
        folder,
        resume=resume,
        step=step,
        rates=rates,
        after_epoch=lambda network: {} if checks is None else recalls(network, checks),
    )
    Run(folder).keep_priors(priors(faces, settings))
    return trained


class Teacher:
    """A model file that answers the faces a network is shown.

    model: as in mien.core.zoo.load.   size: of the faces; InputError when the model wants another.
    """

    def __init__(self, model: str, size: int) -> None:
        self._classify = Classifier(load(model), threads=torch.get_num_threads())
        wanted = self._classify.contract.size
        if wanted != size:
            raise InputError(f"the teacher {model} reads faces of {wanted} pixels, but size is {size}")

    def __call__(self, images: Tensor) -> Tensor:
        """(B, 1 or 3, S, S), normalized -> (B, 8) probabilities."""
        levels = ((images * STD + MEAN) * 255).round().clamp(0, 255)
        in_color = self._classify.contract.channels == 3
        shown = levels.expand(-1, 3, -1, -1).permute(0, 2, 3, 1) if in_color else luma(levels)[:, 0]
        crops = shown.to(torch.uint8).cpu().numpy()
        return torch.from_numpy(softmax(self._classify.logits(crops))).to(images.device)


def augmented(images: Tensor, targets: Tensor, settings: FaceSettings) -> AugmentedBatch:
    """(B, C, S, S) uint8 faces and (B, 8) targets, moved, lit, softened, erased, blended and normalized."""
    matrix = augment.movement(
        len(images), degrees=settings.degrees, scale=settings.scale, shift=settings.shift, device=images.device
    )
    images = augment.move(images.float() / 255, matrix)
    images = augment.light(images, contrast=settings.contrast, brightness=settings.brightness)
    images = augment.soften(images, share=settings.soften_share)
    if settings.photograph_share:
        images = photograph(images, share=settings.photograph_share)
    images, erased = augment.erase(images, share=settings.erase_share)
    blended = round(settings.mixup_share * len(images))
    if blended:
        first, mixture = augment.mixup(images[:blended], targets[:blended], alpha=settings.mixup_alpha)
        images, targets = torch.cat([first, images[blended:]]), torch.cat([mixture, targets[blended:]])
    images = normalize(images).contiguous(memory_format=torch.channels_last)
    return AugmentedBatch(images, targets, matrix, blended, erased)


def draw_weights(labels: NDArray[np.int64], rebalance: float) -> NDArray[np.float64]:
    """(N,) how often each face of these classes is drawn, relative to the others; see FaceSettings."""
    return np.bincount(labels, minlength=8)[labels].astype(float) ** -rebalance


def priors(faces: Selection, settings: FaceSettings) -> dict[str, list[float]]:
    """The mean target of the faces as they are ("natural") and as they are drawn ("drawn"), 8 shares each."""
    weights = draw_weights(faces.labels, settings.rebalance)
    return {
        "natural": faces.targets.mean(axis=0, dtype=np.float64).tolist(),
        "drawn": np.average(faces.targets, axis=0, weights=weights).tolist(),
    }


def loader(
    faces: Selection, settings: FaceSettings, lessons: Batch = (), draws: int | None = None
) -> DataLoader[Batch]:
    """Batches of (B, C, S, S) uint8 faces and (B, 8) targets, then the rows of the lessons.   draws: see `balanced`."""
    rows = (tensor(faces), torch.from_numpy(faces.targets), *lessons)
    return balanced(rows, faces.labels, settings.rebalance, settings.batch_size, draws, settings.workers)


def balanced(
    rows: Batch,
    labels: NDArray[np.int64],
    rebalance: float,
    batch_size: int,
    draws: int | None = None,
    workers: int = 0,
) -> DataLoader[Batch]:
    """Batches of the rows of N faces, (N, ...) tensors; rare classes come up as `rebalance` says.

    draws: how many faces an epoch draws, with replacement; left out, N.   workers: processes that read ahead.
    """
    return weighted(rows, draw_weights(labels, rebalance), batch_size, draws, workers)


def weighted(
    rows: Batch, weights: NDArray[np.float64], batch_size: int, draws: int | None = None, workers: int = 0
) -> DataLoader[Batch]:
    """Batches of the rows of N faces, drawn with these (N,) weights; the rest as in `balanced`."""
    data = TensorDataset(*rows)
    draws = len(data) if draws is None else draws
    sampler = WeightedRandomSampler(weights.tolist(), draws)
    return DataLoader(data, batch_size=batch_size, sampler=sampler, drop_last=draws > batch_size, num_workers=workers)


def tensor(faces: Selection) -> Tensor:
    """The crops of all samples as one (N, 1, S, S) or (N, 3, S, S) uint8 tensor; no copy if they are one array."""
    samples = faces.samples
    pictures = samples.pictures if isinstance(samples, Cropped) else np.stack([sample.image for sample in samples])
    return planes(pictures)


def planes(crops: NDArray[np.uint8]) -> Tensor:
    """(N, S, S) gray or (N, S, S, 3) RGB crops as (N, 1, S, S) or (N, 3, S, S), without a copy."""
    whole = torch.from_numpy(crops)
    return whole[:, None] if whole.ndim == 3 else whole.permute(0, 3, 1, 2)


def luma(faces: Tensor) -> Tensor:
    """(B, 1 or 3, S, S) -> (B, 1, S, S), by the luma of ITU-R BT.601, as gray crops are made."""
    return faces if faces.shape[1] == 1 else torch.einsum("bchw,c->bhw", faces, faces.new_tensor(_LUMA))[:, None]


def check_gray(backbone: str, channels: int) -> None:
    """Raise InputError if a backbone that takes gray faces alone is to be trained in colour."""
    if channels != 1:
        raise InputError(f"the backbone {backbone} takes gray faces; set channels to 1 or name a backbone of timm")


def normalize(images: Tensor) -> Tensor:
    """0..255 or 0..1 gray to zero mean and unit deviation over the training faces."""
    scaled = images.float() / 255 if images.dtype == torch.uint8 else images
    return (scaled - MEAN) / STD


@torch.no_grad()
def answer(network: nn.Module, images: Tensor) -> Iterator[Any]:
    """What a network says of (N, C, S, S) uint8 crops, in parts of 256, on the device that it is on."""
    network.eval()
    device = next((parameter.device for parameter in network.parameters()), images.device)
    parts = torch.split(images, 256)
    for part in shown(parts, "answering faces", len(parts)):
        yield network(normalize(part.to(device)))


def logits(network: nn.Module, faces: Selection) -> NDArray[np.float32]:
    """(N, 8) of the crops. Where several devices train, each answers a part of them and all return the whole."""
    many = distributed.is_available() and distributed.is_initialized()
    rank, size = (distributed.get_rank(), distributed.get_world_size()) if many else (0, 1)
    own = torch.tensor_split(tensor(faces), size)[rank]
    answered = torch.cat([answers.logits for answers in answer(network, own)]).float().cpu()
    parts: list[Any] = [answered]
    if many:
        parts = [None] * size
        distributed.all_gather_object(parts, answered)
    return torch.cat(parts).numpy()


def recalls(network: nn.Module, faces: Selection) -> dict[str, float]:
    """Accuracy and mean per-class recall, as fractions, for the log."""
    right = logits(network, faces).argmax(axis=1) == faces.labels
    recall = [right[faces.labels == c].mean() for c in np.unique(faces.labels)]
    return {"accuracy": float(right.mean()), "mean_recall": float(np.mean(recall))}
