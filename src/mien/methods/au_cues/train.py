"""Train the reader on soft votes, and on a teacher's action units, landmarks and head pose beside them.

Belharbi et al., FG 2024, https://arxiv.org/abs/2402.00281, for the attention; README.md says where we differ.

Letters: B faces of a batch, N faces of the data, S the side of a face in pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from mien.core.align import crop, to_crop_frame
from mien.core.detect import whole_picture
from mien.datasets import Sample
from mien.datasets.pseudo_labels import PseudoLabels
from mien.errors import InputError
from mien.evaluation.protocols import Selection
from mien.facs.landmarks import MIRRORED_68
from mien.facs.vocabulary import Expression
from mien.methods.au_cues.loss import alignment_loss, attention
from mien.methods.au_cues.maps import CODEBOOKS, GENERIC, SIDE, class_map, union_map
from mien.methods.au_cues.model import ReaderNetwork, ReaderOutput
from mien.training import action_units, augment
from mien.training.backbones import Residual, Timm
from mien.training.faces import AugmentedBatch, FaceSettings, faces_of, fit_faces
from mien.training.run import Run

# An error of this many degrees in head pose weighs as much as one of a crop's side in landmarks, before the weights.
_POSE_UNIT = 30.0


@dataclass(frozen=True)
class Settings(FaceSettings):
    """Everything that a run of the reader depends on, besides the data.

    backbone: "mien" for our residual network, which widths (channels), blocks and strides of its stages, squeeze and
    stochastic_depth describe; or the name of a timm model, with large_maps if wanted.
    start: "pretrained" for the weights that timm publishes of that model; "" for random ones.
    heads: also learn a teacher's action units, landmarks and head pose, each with its weight; blended faces have none.
    attention_weight: the paper's lambda; above 0 the attention of attention_stages (numbers from 1) is taught to match
    the AU map that codebook and symmetric describe (see maps.py).
    attention_map: "class", the map of the face's expression; for controls "generic", all AUs whatever the expression,
    "shuffled", the map of a random other expression, "uniform", the same everywhere.
    """

    backbone: str = "mien"
    start: str = ""
    large_maps: bool = False
    widths: tuple[int, ...] = (32, 64, 128, 192)
    blocks: tuple[int, ...] = (1, 2, 3, 2)
    strides: tuple[int, ...] = (1, 2, 2, 1)
    squeeze: bool = True
    dropout: float = 0.2
    stochastic_depth: float = 0.1
    heads: bool = False
    action_unit_weight: float = 5.0
    landmark_weight: float = 10.0
    pose_weight: float = 0.5
    attention_weight: float = 0.0
    attention_stages: tuple[int, ...] = (4,)
    attention_map: str = "class"
    codebook: str = "paper_code"
    symmetric: bool = False

    @property
    def taught(self) -> bool:
        """Whether a run needs a teacher's labels."""
        return self.heads or self.attention_weight > 0


# The settings of the paper's network on its data: ResNet-50 with ImageNet weights, 28x28 maps of 224x224 faces.
PAPER = Settings(
    epochs=20,
    learning_rate=2e-4,
    batch_size=224,
    backbone="resnet50",
    start="pretrained",
    large_maps=True,
    size=224,
    dropout=0.0,
    degrees=6.0,
    scale=0.1,
    shift=0.05,
    contrast=0.4,
    brightness=0.4,
    soften_share=0.0,
    erase_share=0.5,
    mixup_share=0.0,
    rebalance=0.0,
    attention_weight=4.0,
    attention_stages=(5,),
)
PRESETS = {"small": Settings(), "paper": PAPER}


def build(settings: Settings) -> ReaderNetwork:
    """Return an untrained reader of this size; with a pretrained backbone its heads are untrained."""
    if settings.start not in ("", "pretrained") or (settings.start and settings.backbone == "mien"):
        raise InputError(
            f'start is "" or, for a backbone of timm, "pretrained", not {settings.start!r} for {settings.backbone}'
        )
    if settings.backbone == "mien":
        network: nn.Module = Residual(
            settings.widths, settings.blocks, settings.strides, settings.stochastic_depth, settings.squeeze
        )
    else:
        network = Timm(
            settings.backbone, settings.size, pretrained=settings.start == "pretrained", large_maps=settings.large_maps
        )
    reader = ReaderNetwork(network, settings.size, heads=settings.heads, dropout=settings.dropout)
    beyond = [n for n in settings.attention_stages if not 1 <= n <= reader.stages]
    if settings.attention_weight > 0 and beyond:
        raise InputError(f"the backbone has stages 1 to {reader.stages}; attention_stages has {beyond[0]}")
    return reader


class Taught(NamedTuple):
    """What a teacher says of N faces, as seen in their crops; rows where it failed are 0 and not `found`.

    maps: (N, S, S) uint8 AU maps.   has_map: (N,) bool.   found: (N,) bool.
    action_units: (N, 24).   landmarks: (N, 68, 2), shares of the crop's side.   pose: (N, 3) degrees.
    """

    maps: Tensor
    has_map: Tensor
    found: Tensor
    action_units: Tensor
    landmarks: Tensor
    pose: Tensor


def train(
    dataset: Sequence[Sample],
    settings: Settings,
    folder: Path,
    *,
    valid: Sequence[Sample] | None = None,
    labels: PseudoLabels | None = None,
    resume: bool = False,
) -> ReaderNetwork:
    """Train a reader; the folder receives the run, see mien.training.run.

    valid: faces for the accuracy in the log (strict majority, without duplicates); logged only.
    labels: a teacher's labels of the dataset, needed for heads and for an attention_weight above 0.
    """
    torch.manual_seed(settings.seed)
    shapes: list[tuple[int, ...]] = []

    def prepare(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        shapes.append(image.shape)
        return crop(image, settings.size)

    faces = faces_of(dataset, settings.size, prepare)
    taught = None
    if settings.taught:
        if labels is None:
            raise InputError(
                "heads and attention_weight need a teacher's labels; give the file that `mien pseudo-label` wrote"
            )
        taught = teach(faces, shapes, labels, settings)
    spread = torch.ones(1) if taught is None else action_units.spread(taught.action_units, taught.found)
    trained: ReaderNetwork = fit_faces(
        build(settings),
        faces,
        settings,
        folder,
        loss=lambda network, seen, lessons: loss(
            network, seen, Taught(*lessons) if lessons else None, settings, spread
        ),
        lessons=taught or (),
        valid=valid,
        resume=resume,
    )
    Run(folder).keep_data(dataset)
    return trained


def teach(faces: Selection, shapes: Sequence[tuple[int, ...]], labels: PseudoLabels, settings: Settings) -> Taught:
    """The teacher's labels in the crops' frames, and the AU maps that they give.

    shapes: of the pictures before they were cropped.   InputError when a face is not among the labels.
    """
    count, side = len(shapes), settings.size
    rows, landmarks = labels.rows(faces.samples), np.zeros((count, 68, 2), np.float32)
    for i, shape in enumerate(shapes):
        frame = to_crop_frame(whole_picture(np.empty(shape, np.uint8))[0])
        landmarks[i] = labels.landmarks[rows[i]] @ frame[:, :2].T + frame[:, 2]
    found = labels.found[rows]
    maps, has_map = np.zeros((count, side, side), np.uint8), np.zeros(count, bool)
    if settings.attention_weight > 0:
        for i, shown in enumerate(_drawn_expressions(faces, settings)):
            drawn = _au_map(landmarks[i], shown, settings) if found[i] else None
            if drawn is not None:
                maps[i] = np.round(255 * cv2.resize(drawn, (side, side), interpolation=cv2.INTER_AREA))
                has_map[i] = True

    def rows_of(values: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(np.where(found.reshape(-1, *[1] * (values.ndim - 1)), values, 0))

    return Taught(
        torch.from_numpy(maps),
        torch.from_numpy(has_map),
        torch.from_numpy(found),
        rows_of(labels.action_units[rows]),
        rows_of(landmarks),
        rows_of(labels.pose[rows]),
    )


def _drawn_expressions(faces: Selection, settings: Settings) -> list[Expression]:
    """The expression whose map each face gets: its own, or for the control a random other one that has a map."""
    own = [Expression(int(label)) for label in faces.labels]
    if settings.attention_map != "shuffled":
        return own
    rng, codes = np.random.default_rng(settings.seed), list(CODEBOOKS[settings.codebook])
    return [codes[(codes.index(e) + int(rng.integers(1, len(codes)))) % len(codes)] if e in codes else e for e in own]


def _au_map(landmarks: NDArray[np.float32], shown: Expression, settings: Settings) -> NDArray[np.float32] | None:
    """(224, 224), or None for an expression that has no action units, whatever kind of map is asked for."""
    own = class_map(landmarks, shown, settings.codebook, symmetric=settings.symmetric)
    if own is None or settings.attention_map in ("class", "shuffled"):
        return own
    if settings.attention_map == "generic":
        return union_map(landmarks, GENERIC, symmetric=settings.symmetric)
    if settings.attention_map == "uniform":
        return np.ones((SIDE, SIDE), np.float32)
    raise InputError(f"attention_map is class, generic, shuffled or uniform, not {settings.attention_map!r}")


def loss(network: nn.Module, seen: AugmentedBatch, taught: Taught | None, settings: Settings, spread: Tensor) -> Tensor:
    """Cross-entropy against the vote distribution, and what a teacher adds.

    taught: of the faces before they were moved.   spread: (24,) standard deviation of each action unit over the faces.
    """
    answers: ReaderOutput = network(seen.images)
    total = F.cross_entropy(answers.logits.float(), seen.targets)
    if taught is not None:
        whole = Taught(*(part[seen.blended :] for part in moved(taught, seen.matrix)))
        total = total + taught_loss(_after(answers, seen.blended), whole, settings, spread)
    return total


def moved(taught: Taught, matrix: Tensor) -> Taught:
    """A teacher's labels of faces that `augment.move` moves by (B, 2, 3) matrices; a flip swaps left and right."""
    flipped = augment.flipped(matrix)  # (B,)
    landmarks = augment.move_points(taught.landmarks, matrix)
    return Taught(
        augment.move(taught.maps[:, None].float() / 255, matrix, mode="nearest")[:, 0],
        taught.has_map,
        taught.found,
        action_units.mirrored(taught.action_units, flipped),
        torch.where(flipped[:, None, None], landmarks[:, MIRRORED_68], landmarks),
        moved_pose(taught.pose, matrix),
    )


def moved_pose(pose: Tensor, matrix: Tensor) -> Tensor:
    """(B, 3) yaw, pitch and roll in degrees, of heads in pictures that the matrices turn and flip."""
    yaw, pitch, roll = pose.deg2rad().unbind(1)
    turn, mirror = augment.turn(matrix), torch.where(augment.flipped(matrix), -1.0, 1.0)
    # Where the face points, x right and y up: turning the picture turns that too, so yaw becomes pitch in part.
    x, y, z = pitch.cos() * yaw.sin(), pitch.sin(), pitch.cos() * yaw.cos()
    x, y = x * turn.cos() - y * turn.sin(), x * turn.sin() + y * turn.cos()
    return torch.stack([mirror * torch.atan2(x, z), y.clamp(-1, 1).asin(), mirror * (roll - turn)], 1).rad2deg()


def taught_loss(answers: ReaderOutput, taught: Taught, settings: Settings, spread: Tensor) -> Tensor:
    """What the heads and the attention differ from a teacher, weighted; faces where it failed do not count."""
    total = answers.logits.new_zeros((), dtype=torch.float32)
    if settings.attention_weight > 0:
        looks = [attention(answers.features[number - 1].float()) for number in settings.attention_stages]
        total = total + settings.attention_weight * alignment_loss(looks, taught.maps, taught.has_map)
    if not settings.heads:
        return total
    _, _, units, landmarks, pose = answers
    if units is None or landmarks is None or pose is None:
        raise InputError("the network has no heads; build it with heads=True")
    found = taught.found.float()
    count = found.sum().clamp(min=1)

    def mean(errors: Tensor) -> Tensor:
        return (errors.flatten(1).mean(dim=1) * found).sum() / count

    off_landmarks = (landmarks.float() - taught.landmarks).abs()
    off_pose = F.smooth_l1_loss(pose.float() / _POSE_UNIT, taught.pose / _POSE_UNIT, reduction="none", beta=0.1)
    return (
        total
        + settings.action_unit_weight * mean(action_units.off(units, taught.action_units, spread))
        + settings.landmark_weight * mean(off_landmarks)
        + settings.pose_weight * mean(off_pose)
    )


def _after(answers: ReaderOutput, blended: int) -> ReaderOutput:
    """The answers without the first faces, which were blended."""
    parts = (None if part is None else part[blended:] for part in answers[2:])
    return ReaderOutput(answers.logits[blended:], [features[blended:] for features in answers.features], *parts)
