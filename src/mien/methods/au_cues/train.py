"""Train the reader on soft votes, and on a teacher's action units, landmarks and head pose beside them.

Belharbi et al., FG 2024, https://arxiv.org/abs/2402.00281, for the attention; README.md says where we differ.

Letters: B faces of a batch, N faces of the data, S the side of a face in pixels.
"""

from collections.abc import Sequence
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
from mien.methods.au_cues import further
from mien.methods.au_cues.loss import alignment_loss, attention
from mien.methods.au_cues.maps import CODEBOOKS, GENERIC, SIDE, class_map, union_map
from mien.methods.au_cues.model import ReaderNetwork, ReaderOutput
from mien.methods.au_cues.settings import PRESETS, Settings
from mien.training import action_units, augment, readability
from mien.training.backbones import Residual, Timm
from mien.training.faces import AugmentedBatch, check_gray, faces_of, fit_faces, tensor
from mien.training.mobilenet import MobileNet
from mien.training.run import Run
from mien.training.start import start_from

__all__ = ["PRESETS", "Settings", "Taught", "build", "loss", "moved", "moved_pose", "taught_loss", "teach", "train"]

# An error of this many degrees in head pose weighs as much as one of a crop's side in landmarks, before the weights.
_POSE_UNIT = 30.0
# Pairs are made of faces turned by fewer degrees; a face is at rest where this share of its votes says neutral.
_AHEAD, _AT_REST = 20.0, 0.8


def build(settings: Settings) -> ReaderNetwork:
    """Return an untrained reader of this size; with a pretrained backbone its heads are untrained."""
    of_timm = settings.backbone not in ("mien", "faceres")
    if settings.start == "pretrained" and not of_timm:
        raise InputError(
            f"only backbones of timm are published pretrained, not {settings.backbone}; give a file as start"
        )
    if not of_timm:
        check_gray(settings.backbone, settings.channels)
    if settings.channels != 1 and settings.further:
        raise InputError(
            "pairs, combinations and worn faces are made of gray faces; set channels to 1, or pairs, combinations and "
            "readability_weight to 0"
        )
    if settings.backbone == "mien":
        network: nn.Module = Residual(
            settings.widths, settings.blocks, settings.strides, settings.stochastic_depth, settings.squeeze
        )
    elif settings.backbone == "faceres":
        network = MobileNet(settings.enlarged, settings.last_stride, settings.frozen)
    else:
        network = Timm(
            settings.backbone, settings.size, pretrained=settings.start == "pretrained", large_maps=settings.large_maps
        )
    reader = ReaderNetwork(
        network,
        settings.size,
        heads=settings.heads,
        readable=settings.readability_weight > 0,
        dropout=settings.dropout,
        local_stages=settings.local_stages,
    )
    beyond = [n for n in settings.attention_stages if not 1 <= n <= reader.stages]
    if settings.attention_weight > 0 and beyond:
        raise InputError(f"the backbone has stages 1 to {reader.stages}; attention_stages has {beyond[0]}")
    return reader


class Taught(NamedTuple):
    """A teacher's labels of N faces, in the frame of their crops; rows where it failed are 0 and not `detected`.

    maps: (N, S, S) uint8 AU maps.   has_map: (N,) bool.   detected: (N,) bool.
    action_units: (N, 24).   landmarks: (N, 68, 2), shares of the crop's side.   pose: (N, 3) degrees.
    readable: (N,) share of the people who could read the face, by their votes.
    """

    maps: Tensor
    has_map: Tensor
    detected: Tensor
    action_units: Tensor
    landmarks: Tensor
    pose: Tensor
    readable: Tensor


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
        return crop(image, settings.size, settings.channels)

    faces = faces_of(dataset, settings.size, prepare)
    taught = None
    if settings.taught:
        if labels is None:
            raise InputError(
                "heads, attention_weight and combinations need a teacher's labels; give the file that "
                "`mien pseudo-label` wrote"
            )
        taught = teach(faces, shapes, labels, settings)
    spread = torch.ones(1) if taught is None else action_units.spread(taught.action_units, taught.detected)
    source = None
    if taught is not None and settings.further:
        source = pool(dataset, faces, taught, settings)
    network = build(settings)
    if settings.start not in ("", "pretrained"):
        start_from(network, settings.start, tensor(faces))
    trained: ReaderNetwork = fit_faces(
        network,
        faces,
        settings,
        folder,
        loss=lambda network, seen, lessons: loss(
            network, seen, Taught(*lessons) if lessons else None, settings, spread, source
        ),
        lessons=taught or (),
        valid=valid,
        resume=resume,
        rates={"backbone.": settings.backbone_rate},
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
    detected = labels.found[rows]
    maps, has_map = np.zeros((count, side, side), np.uint8), np.zeros(count, bool)
    if settings.attention_weight > 0:
        for i, shown in enumerate(_drawn_expressions(faces, settings)):
            drawn = _au_map(landmarks[i], shown, settings) if detected[i] else None
            if drawn is not None:
                maps[i] = np.round(255 * cv2.resize(drawn, (side, side), interpolation=cv2.INTER_AREA))
                has_map[i] = True

    def rows_of(values: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(np.where(detected.reshape(-1, *[1] * (values.ndim - 1)), values, 0))

    return Taught(
        torch.from_numpy(maps),
        torch.from_numpy(has_map),
        torch.from_numpy(detected),
        rows_of(labels.action_units[rows]),
        rows_of(landmarks),
        rows_of(labels.pose[rows]),
        torch.from_numpy(_readable(faces.samples)),
    )


def _readable(samples: Sequence[Sample]) -> NDArray[np.float32]:
    """(N,) by the votes; 1 for a face with a label of another kind."""
    votes = [s.votes for s in samples]
    return np.array([1.0 if v is None else readability.readable_share(v[None])[0] for v in votes], np.float32)


def pool(dataset: Sequence[Sample], faces: Selection, taught: Taught, settings: Settings) -> further.Pool:
    """What pairs and worn faces are drawn from; of the data set the faces that most people could not read."""
    unread = [s for s in map(dataset.__getitem__, range(len(dataset))) if s.votes is not None and _is_unread(s.votes)]
    side = settings.size
    images = np.stack([crop(s.image, side) for s in unread]) if unread else np.zeros((0, side, side), np.uint8)
    ahead = taught.detected & (taught.pose[:, :2].abs() < _AHEAD).all(dim=1)
    calm = ahead & torch.from_numpy(faces.targets[:, Expression.NEUTRAL] > 0.5)
    if settings.pairs and not ahead.any():
        raise InputError("no face with landmarks looks ahead, so no pair can be made; set pairs to 0")
    if settings.combinations and not calm.any():
        raise InputError(
            "no face called neutral with landmarks looks ahead, so none can be dialled; set combinations to 0"
        )
    return further.Pool(
        tensor(faces),
        taught.readable,
        ahead.nonzero().flatten(),
        calm.nonzero().flatten(),
        torch.from_numpy(faces.targets),
        taught.landmarks,
        torch.from_numpy(images)[:, None],
        torch.from_numpy(_readable(unread)),
    )


def _is_unread(votes: NDArray[np.uint8]) -> bool:
    return int(votes.argmax()) >= len(Expression)


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


def loss(
    network: nn.Module,
    seen: AugmentedBatch,
    taught: Taught | None,
    settings: Settings,
    spread: Tensor,
    source: further.Pool | None = None,
) -> Tensor:
    """Cross-entropy against the vote distribution, and what a teacher, pairs and worn faces add.

    taught: of the faces before they were moved.   spread: (24,) standard deviation of each action unit over the faces.
    source: what to draw pairs and worn faces from.
    """
    # Whatever is shown besides goes through the network with the batch, so that one normalization serves both.
    views = None if source is None else _further(source, settings, seen.images.device)
    images = seen.images if views is None else torch.cat([seen.images, views.images])
    count = len(seen.images)
    answers: ReaderOutput = network(images.contiguous(memory_format=torch.channels_last))
    batch = _rows(answers, slice(0, count))
    total = F.cross_entropy(batch.logits.float(), seen.targets)
    if taught is not None:
        whole = Taught(*(part[seen.blended :] for part in moved(taught, seen.matrix)))
        unblended = _rows(batch, slice(seen.blended, None))
        total = total + taught_loss(unblended, whole, settings, spread)
        if settings.rest_weight > 0 and unblended.action_units is not None:
            neutral = seen.targets[seen.blended :, Expression.NEUTRAL] >= _AT_REST
            total = total + settings.rest_weight * further.rest_loss(unblended.action_units, neutral)
        if settings.readability_weight > 0 and unblended.readability is not None:
            off = readability.loss(unblended.readability, whole.readable).mean()
            total = total + settings.readability_weight * off
    if views is not None:
        by_pairs, by_worn, by_words = further.loss(_rows(answers, slice(count, None)), views)
        total = total + settings.pair_weight * by_pairs + settings.readability_weight * by_worn + by_words / count
    return total


def _further(source: further.Pool, settings: Settings, device: torch.device) -> further.Views:
    worn = settings.worn if settings.readability_weight > 0 else 0
    views = further.draw(source, settings, settings.pairs, worn, settings.combinations)
    return views._replace(
        images=views.images.to(device), wanted=views.wanted.to(device), targets=views.targets.to(device)
    )


def moved(taught: Taught, matrix: Tensor) -> Taught:
    """A teacher's labels of faces that `augment.move` moves by (B, 2, 3) matrices; a flip swaps left and right."""
    flipped = augment.flipped(matrix)  # (B,)
    landmarks = augment.move_points(taught.landmarks, matrix)
    return Taught(
        augment.move(taught.maps[:, None].float() / 255, matrix, mode="nearest")[:, 0],
        taught.has_map,
        taught.detected,
        action_units.mirrored(taught.action_units, flipped),
        torch.where(flipped[:, None, None], landmarks[:, MIRRORED_68], landmarks),
        moved_pose(taught.pose, matrix),
        taught.readable,
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
    units, landmarks, pose = answers.action_units, answers.landmarks, answers.pose
    if units is None or landmarks is None or pose is None:
        raise InputError("the network has no heads; build it with heads=True")
    detected = taught.detected.float()
    count = detected.sum().clamp(min=1)

    def mean(errors: Tensor) -> Tensor:
        return (errors.flatten(1).mean(dim=1) * detected).sum() / count

    off_landmarks = (landmarks.float() - taught.landmarks).abs()
    off_pose = F.smooth_l1_loss(pose.float() / _POSE_UNIT, taught.pose / _POSE_UNIT, reduction="none", beta=0.1)
    return (
        total
        + settings.action_unit_weight * mean(action_units.off(units, taught.action_units, spread))
        + settings.landmark_weight * mean(off_landmarks)
        + settings.pose_weight * mean(off_pose)
    )


def _rows(answers: ReaderOutput, rows: slice) -> ReaderOutput:
    """The answers about some of the faces."""
    parts = (None if part is None else part[rows] for part in answers[2:])
    return ReaderOutput(answers.logits[rows], [features[rows] for features in answers.features], *parts)
