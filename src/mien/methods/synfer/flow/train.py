"""Train the generator: first with expressions and captions, then its action units alone, then all of it.

Letters: B faces of a batch, N faces of the data, S the side of a face, V captions of a face, W words, K action units.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from mien.datasets import Sample
from mien.datasets.pseudo_labels import PseudoLabels
from mien.errors import InputError
from mien.evaluation.protocols import Selection
from mien.facs.observation import Observation, Pose
from mien.facs.units import VECTOR, ActionUnits
from mien.facs.vocabulary import ASYMMETRIES, ActionUnit, Expression
from mien.methods.synfer.flow import captions
from mien.methods.synfer.flow.model import Generator, is_adapter
from mien.methods.synfer.flow.sample import About
from mien.training.faces import draw_weights, faces_of, tensor, weighted
from mien.training.loop import Batch, Schedule, fit
from mien.training.run import Run

log = logging.getLogger(__name__)
# File in a run's folder with the generator's description, see sample.About.
ABOUT = "about.json"
# Faces with at least this target share enter the bank of an expression, up to this many.
_CLEAR, _BANK = 0.6, 64
# A unit counts as no rarer than this mean intensity; a face shows units from this sum above their means.
_RAREST, _SHOWN = 0.01, 0.1
# Times and number of faces of the validation loss.
_TIMES, _CHECKED = (0.1, 0.3, 0.5, 0.7, 0.9), 512


@dataclass(frozen=True)
class Settings(Schedule):
    """Settings of a run of the generator. Training has three stages, each with its own warm-up and cosine.

    epochs: passes of the last stage, which trains everything.
    text_epochs: passes of the first stage: expressions and captions, without action units.
    adapter_epochs: passes of the second stage: tokens, keys and values of the action units alone.
    batch_size: faces in a step.
    size: side of a face in pixels.
    channels: channels of each level of the U-Net.
    attended: number of coarsest levels that have attention.
    blocks: residual blocks in each level.
    width: width of a token of text or action units.
    heads: attention heads.
    depth: layers of the text encoder.
    dropout: dropout of the residual blocks.
    captions: captions written of each face, one long and the others short; each epoch draws one.
    shift: largest shift of a face in whole pixels; half of the faces are also flipped.
    rebalance: draw each face with probability proportional to n ** -rebalance, where n counts the faces of its class.
    unit_rebalance: draw faces with rare action units more often: each unit counts m ** -unit_rebalance, where m is its
    mean intensity; 0 for all alike.
    untold: share of faces trained without expression and caption.
    unmeasured: share of faces trained without action units.
    neither: share of faces trained without any condition.
    uncaptioned: share of the faces with text that are trained without the caption.
    unlabelled: share of the faces with text that are trained without the expression.
    partly: share of the faces with action units of which a random part is left out.
    """

    epochs: int = 8
    text_epochs: int = 28
    adapter_epochs: int = 4
    learning_rate: float = 2e-4
    weight_decay: float = 0.01
    clip: float = 1.0
    average: float = 0.9995
    batch_size: int = 64
    size: int = 48
    channels: tuple[int, ...] = (32, 64, 128)
    attended: int = 2
    blocks: int = 2
    width: int = 128
    heads: int = 4
    depth: int = 2
    dropout: float = 0.0
    captions: int = 3
    shift: int = 2
    rebalance: float = 0.5
    unit_rebalance: float = 0.0
    untold: float = 0.1
    unmeasured: float = 0.1
    neither: float = 0.1
    uncaptioned: float = 0.4
    unlabelled: float = 0.1
    partly: float = 0.3


# Learns drawn faces in seconds; for tests and a first look at your data.
TINY = Settings(
    epochs=4, text_epochs=8, adapter_epochs=2, learning_rate=2e-3, channels=(16, 32, 32), blocks=1, width=32
)
PRESETS = {"tiny": TINY, "small": Settings()}


class FlowStage(NamedTuple):
    """A stage of the training.

    folder: of its run, within that of the whole; "" for the last, which is the whole's own. units: whether faces have
    their action units.   trains: which parameters change, by name.
    """

    folder: str
    epochs: int
    units: bool
    trains: Callable[[str], bool]


def stages(settings: Settings) -> list[FlowStage]:
    """Return the stages that have epochs, in order."""
    every = [
        FlowStage("text", settings.text_epochs, False, lambda name: not is_adapter(name)),
        FlowStage("adapter", settings.adapter_epochs, True, is_adapter),
        FlowStage("", settings.epochs, True, lambda name: True),
    ]
    return [stage for stage in every if stage.epochs or not stage.folder]


class Shown(NamedTuple):
    """N faces for training.

    faces: (N, 1, S, S) uint8.   label: (N, 8).   words: (N, V, W) int16.   units: (N, K).   known: (N,) bool.
    """

    faces: Tensor
    label: Tensor
    words: Tensor
    units: Tensor
    known: Tensor


def build(settings: Settings, words: int) -> Generator:
    """Return an untrained generator with a vocabulary of this size."""
    return Generator(
        words,
        channels=settings.channels,
        attended=settings.attended,
        blocks=settings.blocks,
        width=settings.width,
        heads=settings.heads,
        depth=settings.depth,
        dropout=settings.dropout,
    )


def train(
    dataset: Sequence[Sample],
    settings: Settings,
    folder: Path,
    *,
    valid: Sequence[Sample] | None = None,
    labels: PseudoLabels | None = None,
    resume: bool = False,
) -> Generator:
    """Train a generator; the folder receives the run, see mien.training.run, and the stages before the last in it.

    labels: a teacher's action units of the data set.   valid: faces whose first 512 give the loss in the log; logged
    only. Raise InputError without labels, or if a face was generated.
    """
    if labels is None:
        raise InputError("the generator learns action units; give --pseudo-labels, the file of `mien pseudo-label`")
    torch.manual_seed(settings.seed)
    faces = taken(dataset, settings.size)
    shown, about = prepared(faces, labels, settings)
    checks = None if valid is None else untaught(taken(valid, settings.size))
    run = Run(folder)
    run.write_json(ABOUT, about.to_meta())
    network: nn.Module = build(settings, len(about.words))
    weights = draw_weights(faces.labels, settings.rebalance) * unit_weights(shown, settings.unit_rebalance)
    batches = weighted(shown, weights, settings.batch_size)
    flip = torch.from_numpy(captions.mirrored(about.words))
    for stage in stages(settings):
        log.info("stage %s: %d epochs", stage.folder or "whole", stage.epochs)
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(stage.trains(name))
        network = fit(
            network,
            batches,
            partial(loss, settings=settings, flip=flip, with_units=stage.units),
            replace(settings, epochs=stage.epochs),
            run.stage(stage.folder).folder,
            resume=resume,
            after_epoch=lambda network: {} if checks is None else {"valid_loss": valid_loss(network, checks)},
        )
    assert isinstance(network, Generator)
    run.keep_data(dataset)
    return network


def taken(dataset: Sequence[Sample], size: int) -> Selection:
    """Return the training faces of a data set; raise InputError if one was generated."""
    faces = faces_of(dataset, size)
    made = next((sample.source for sample in faces.samples if sample.soft is not None), None)
    if made is not None:
        raise InputError(f"{made} is a generated face; generators and labellers of faces learn from photographs only")
    return faces


def prepared(faces: Selection, labels: PseudoLabels, settings: Settings) -> tuple[Shown, About]:
    """Return faces with action units and captions, and the generator's description.

    Raise InputError if a face has no label.
    """
    rows = labels.rows(faces.samples)
    known = labels.found[rows]
    units = np.where(known[:, None], labels.action_units[rows], 0)
    texts = [
        written(Observation(sample.source, ActionUnits.of(a), shares, pose=pose), settings)
        if there
        else [""] * settings.captions
        for sample, a, shares, pose, there in zip(
            faces.samples, units, faces.targets, (Pose(*map(float, p)) for p in labels.pose[rows]), known, strict=True
        )
    ]
    words = captions.word_list(text for some in texts for text in some)
    numbers = np.array([[captions.encode(text, words) for text in some] for some in texts], np.int16)
    shown = Shown(
        tensor(faces),
        torch.from_numpy(faces.targets),
        torch.from_numpy(numbers),
        torch.from_numpy(units),
        torch.from_numpy(known),
    )
    rng = np.random.default_rng(settings.seed)
    bank = {e: _clear(units, known & (faces.targets[:, e] >= _CLEAR), rng) for e in Expression}
    return shown, About(settings.size, words, bank, faces.targets.mean(axis=0))


def written(face: Observation, settings: Settings) -> list[str]:
    """Return the captions of a face, one of them long."""
    rng = np.random.default_rng([settings.seed, *face.name.encode()])
    return [captions.long(face, settings.seed), *(captions.short(face, rng) for _ in range(settings.captions - 1))]


def _clear(units: NDArray[np.float32], rows: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return at most _BANK of the rows."""
    chosen = np.flatnonzero(rows)
    return np.asarray(units[np.sort(rng.choice(chosen, min(_BANK, len(chosen)), replace=False))])


def unit_weights(shown: Shown, rebalance: float) -> NDArray[np.float64]:
    """(N,) how much more often to draw each face because it shows rare action units; their mean is 1.

    A face counts by its intensities above the mean, so that the weak noise of a unit at rest does not. Faces without
    action units, and those that show none, have the lowest weight of the others.
    """
    known = shown.known.numpy()
    if rebalance == 0 or not known.any():
        return np.ones(len(known))
    units = shown.units.numpy()[:, : len(ActionUnit)].astype(np.float64)
    means = units[known].mean(axis=0)
    rare = np.maximum(means, _RAREST) ** -rebalance  # (21,)
    active = np.maximum(units - means, 0) * known[:, None]
    total = active.sum(axis=1)
    weights = (active * rare).sum(axis=1) / np.maximum(total, 1e-9)
    weights[total < _SHOWN] = rare.min()
    return np.asarray(weights / weights.mean())


def untaught(faces: Selection) -> Shown:
    """Return the first _CHECKED faces, without action units."""
    count = min(len(faces.samples), _CHECKED)
    words = torch.zeros(count, 1, captions.LONGEST, dtype=torch.int16)
    nothing = torch.zeros(count, VECTOR)
    pictures, label = tensor(faces)[:count], torch.from_numpy(faces.targets)[:count]
    return Shown(pictures, label, words, nothing, torch.zeros(count, dtype=torch.bool))


def loss(network: nn.Module, batch: Batch, *, settings: Settings, flip: Tensor, with_units: bool) -> Tensor:
    """Return the mean squared error of the velocity, at times sigmoid(N(0, 1)), of augmented faces with conditions
    withheld.

    flip: (words + 1,) mirror image of each word.   with_units: False withholds action units from all faces.
    """
    shown = moved(Shown(*batch), flip, settings.shift)
    label, words, units, known = conditions_shown(shown, settings, with_units)
    faces = shown.faces.float() / 127.5 - 1
    return flow_loss(network, faces, torch.randn(len(faces)).sigmoid(), label, words, units, known)


def flow_loss(network: nn.Module, faces: Tensor, t: Tensor, *conditions: Tensor) -> Tensor:
    """Return the error of the velocity against e - x on straight paths to noise, (1 - t) x + t e, at these times."""
    noise = torch.randn_like(faces)
    x, target = path(faces, noise, t)
    return F.mse_loss(network(x, t, *conditions).velocity.float(), target)


def path(faces: Tensor, noise: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Return (B, 1, S, S) faces at times (B,) on the path to noise, and their velocity."""
    return torch.lerp(faces, noise, t[:, None, None, None]), noise - faces


def moved(shown: Shown, flip: Tensor, shift: int) -> Shown:
    """Flip half of the faces, swapping sides in words and asymmetries; shift all by whole pixels."""
    count, _, side, _ = shown.faces.shape
    flipped = torch.rand(count) < 0.5
    faces = torch.where(flipped[:, None, None, None], shown.faces.flip(3), shown.faces)
    # Replicated borders need floats.
    wide = F.pad(faces.float(), (shift,) * 4, mode="replicate")
    down, right = torch.randint(0, 2 * shift + 1, (2, count))
    faces = wide.unfold(2, side, 1).unfold(3, side, 1)[torch.arange(count), :, down, right]
    signs = torch.ones(VECTOR)
    signs[-len(ASYMMETRIES) :] = -1
    return Shown(
        faces,
        shown.label,
        torch.where(flipped[:, None, None], flip[shown.words.long()], shown.words.long()),
        torch.where(flipped[:, None], shown.units * signs, shown.units),
        shown.known,
    )


def conditions_shown(shown: Shown, settings: Settings, with_units: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return label, words, units and known of each face, with one of its captions and some conditions withheld."""
    count = len(shown.label)
    words = shown.words[torch.arange(count), torch.randint(shown.words.shape[1], (count,))]  # (B, W)
    draw, caption, label, part = torch.rand(4, count)
    without_text = (draw < settings.untold) | (draw >= 1 - settings.neither)
    without_units = (draw >= settings.untold) & (draw < settings.untold + settings.unmeasured)
    without_units |= draw >= 1 - settings.neither
    without_caption = without_text | (caption < settings.uncaptioned)
    # Dropping both would leave no text.
    without_label = without_text | (~without_caption & (label < settings.unlabelled))
    known = (shown.known & ~without_units)[:, None] & torch.ones(VECTOR, dtype=torch.bool)
    some = torch.rand(count, VECTOR) < torch.rand(count, 1)
    known &= some | (part >= settings.partly)[:, None]
    return (
        shown.label * ~without_label[:, None],
        words * ~without_caption[:, None],
        shown.units,
        known.float() * with_units,
    )


@torch.no_grad()
def valid_loss(network: nn.Module, shown: Shown) -> float:
    """Return the loss on faces with labels alone and fixed noise, averaged over times."""
    total = 0.0
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for part in zip(*(torch.split(rows, 256) for rows in shown), strict=True):
            rows = Shown(*part)
            faces, known = rows.faces.float() / 127.5 - 1, rows.known[:, None].float().expand(-1, VECTOR)
            for t in _TIMES:
                given = (rows.label, rows.words[:, 0].long(), rows.units, known)
                total += len(faces) * flow_loss(network, faces, torch.full((len(faces),), t), *given).item()
    return total / (len(shown.faces) * len(_TIMES))
