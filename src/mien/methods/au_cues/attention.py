"""How well a network looks where action units show, and whether what it looks at decides its answer.

Belharbi et al., 2024: ATT-COS and CAM-COS, beside what maps score that know nothing, for AU maps are broad and any blob
in the middle of a face agrees with them. Deletion and insertion follow Petsiuk et al., 2018 ("RISE").

A *look* is where something looks, one small map a face: attention, a class-activation map, or a baseline.

Letters: N faces, B of them at a time, S the side of a face, h and w the size of a look, G the side of an AU map, R
resamples. Of the expressions, SIX have a map.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from mien.core.align import crop
from mien.datasets import Sample
from mien.datasets.pseudo_labels import PseudoLabels
from mien.errors import InputError
from mien.evaluation.intervals import bootstrap
from mien.evaluation.protocols import Selection
from mien.evaluation.result import Result
from mien.facs.vocabulary import Expression
from mien.methods.au_cues.cams import cam
from mien.methods.au_cues.loss import attention
from mien.methods.au_cues.maps import GENERIC, PAPER_CODE, SIDE, class_map, union_map
from mien.methods.au_cues.model import ReaderNetwork, ReaderOutput
from mien.methods.au_cues.removal import BLUR, enlarged, interval, removal_scores, removals
from mien.methods.au_cues.settings import Settings
from mien.methods.au_cues.train import Taught, teach
from mien.training.faces import held_out, normalize, tensor

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]
SIX = tuple(sorted(PAPER_CODE))
_PART = 64


def measure(
    network: ReaderNetwork,
    settings: Settings,
    dataset: Sequence[Sample],
    labels: PseudoLabels,
    *,
    cams: Sequence[str] = (),
    stage: int | None = None,
    limit: int | None = None,
    removed: Sequence[str] = ("attention", "cam_of_prediction"),
    draws: int = 5,
    resamples: int = 2000,
    seed: int = 0,
) -> Result:
    """Accuracy, agreement of looks with AU maps, deletion and insertion of one run on labelled faces.

    Expressions are those of the strict majority, without duplicates, and answers the network's own, uncalibrated. Faces
    whose expression has no map, or that the teacher missed, count in all but the agreement.
    labels: a teacher's landmarks for the dataset.   cams: class-activation maps to measure besides CAM, names in
    cams.METHODS.   stage: whose attention counts, from 1; left out, the last of the run's attention_stages.
    limit: measure so many faces only, drawn at random.   removed: looks by which to delete and insert, which takes most
    of the time.   draws: random places to which each face's mask is moved.
    """
    faces, taught = prepared(dataset, labels, settings, limit, seed)
    number = settings.attention_stages[-1] if stage is None else stage
    logits, looks = looked(network, faces, list(dict.fromkeys(("cam", *cams))), number)
    right = logits.argmax(axis=1) == faces.labels
    rows, cosines = agreements(looks, faces.labels, taught, settings)
    splits = {"all": np.ones(len(rows), bool), "right": right[rows], "wrong": ~right[rows]}
    with_map = faces.labels[rows]
    result: Result = {
        "protocol": faces.protocol,
        "dropped": faces.dropped,
        "n": len(right),
        "with_map": len(rows),
        "teacher_failed": int((~taught.detected.numpy()).sum()),
        "stage": number,
        "codebook": settings.codebook,
        "symmetric": settings.symmetric,
        "accuracy": interval(right.mean(), bootstrap(right.astype(float), resamples, seed) / len(right)),
        "agreement": {
            name: {split: agreement(values[of], with_map[of], resamples, seed) for split, of in splits.items()}
            for name, values in cosines.items()
        },
        "removal": {"blur": BLUR, "draws": draws},
        "seed": seed,
    }
    for name in removed:
        answers = removals(network, tensor(faces), faces.labels, looks[name], draws, seed)
        result["removal"][name] = removal_scores(right, answers, resamples, seed)
    return result


def prepared(
    dataset: Sequence[Sample], labels: PseudoLabels, settings: Settings, limit: int | None, seed: int
) -> tuple[Selection, Taught]:
    """The faces that count, cropped, and their landmarks."""
    shapes: list[tuple[int, ...]] = []

    def prepare(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        shapes.append(image.shape)
        return crop(image, settings.size, settings.channels)

    faces = held_out(dataset, settings.size, "measure", prepare)
    if limit is not None and limit < len(shapes):
        drawn = np.sort(np.random.default_rng(seed).permutation(len(shapes))[:limit])
        faces = replace(faces, samples=[faces.samples[i] for i in drawn], targets=faces.targets[drawn])
        shapes = [shapes[i] for i in drawn]
    # Maps are drawn here at their full size, whatever map the run was trained with; of the teacher only landmarks.
    return faces, teach(faces, shapes, labels, replace(settings, attention_weight=0.0))


class Looked(NamedTuple):
    """What a network answers, logits (N, 8), and its looks by name, each (N, h, w)."""

    logits: Floats
    looks: dict[str, Tensor]


def looked(network: ReaderNetwork, faces: Selection, cams: Sequence[str], stage: int) -> Looked:
    """Attention of a stage, raw, and each class-activation map, of the label and of the prediction."""
    network.eval()
    crops = tensor(faces)
    logits: list[Tensor] = []
    looks: dict[str, list[Tensor]] = {}
    for start in range(0, len(faces.samples), _PART):
        labels, given = torch.from_numpy(faces.labels[start : start + _PART]), normalize(crops[start : start + _PART])
        with torch.no_grad():
            answers: ReaderOutput = network(given)
        if not 1 <= stage <= len(answers.features):
            raise InputError(f"the backbone has stages 1 to {len(answers.features)}, not {stage}")
        logits.append(answers.logits)
        looks.setdefault("attention", []).append(attention(answers.features[stage - 1]))
        predicted = answers.logits.argmax(dim=1)
        wrong = predicted != labels
        for method in cams:
            of_label = cam(network, given, labels, method)
            of_prediction = of_label.clone()
            if wrong.any():
                of_prediction[wrong] = cam(network, given[wrong], predicted[wrong], method)
            looks.setdefault(f"{method}_of_label", []).append(of_label)
            looks.setdefault(f"{method}_of_prediction", []).append(of_prediction)
    return Looked(torch.cat(logits).numpy(), {name: torch.cat(parts) for name, parts in looks.items()})


# ---- agreement with AU maps ----


def agreements(
    looks: Mapping[str, Tensor], labels: NDArray[np.integer], taught: Taught, settings: Settings
) -> tuple[NDArray[np.int64], dict[str, Floats]]:
    """The faces that have a map, as indices, and for each look and baseline their (n, 6) cosines with SIX maps.

    Attention counts shifted to start at 0, as in the paper; where that changes it, also as it is.
    """
    candidates = [i for i, label in enumerate(labels) if Expression(label) in SIX and taught.detected[i]]
    rows: list[int] = []
    similarities: dict[str, list[Floats]] = {}
    for start in range(0, len(candidates), _PART):
        drawn = {i: six_maps(taught.landmarks[i].numpy(), settings) for i in candidates[start : start + _PART]}
        part = [i for i, maps in drawn.items() if maps[SIX.index(Expression(labels[i]))].any()]
        if not part:
            continue
        maps = torch.from_numpy(np.stack([drawn[i] for i in part]))  # (B, 6, G, G)
        generic = [union_map(taught.landmarks[i].numpy(), GENERIC, symmetric=settings.symmetric) for i in part]
        shown = {name: enlarged(look[part], SIDE) for name, look in looks.items()}  # each (B, G, G)
        shown["attention_as_is"], shown["attention"] = shown["attention"], from_zero(shown["attention"])
        shown |= baselines(maps, torch.from_numpy(np.stack(generic)))  # type: ignore[arg-type]
        for name, look in shown.items():
            similarities.setdefault(name, []).append(cosines(look, maps).numpy())
        rows += part
    values = {name: np.concatenate(parts) for name, parts in similarities.items()}
    if rows and np.allclose(values["attention"], values["attention_as_is"]):
        del values["attention_as_is"]
    return np.array(rows, np.int64), values


def six_maps(landmarks: Floats, settings: Settings) -> NDArray[np.float32]:
    """(6, G, G), the map of each of SIX on a face; 0 all over where it lies outside the picture."""
    drawn = [class_map(landmarks, e, settings.codebook, symmetric=settings.symmetric) for e in SIX]
    return np.stack([np.zeros((SIDE, SIDE), np.float32) if au_map is None else au_map for au_map in drawn])


def baselines(maps: Tensor, generic: Tensor) -> dict[str, Tensor]:
    """Looks that do not know the expression, each (B, G, G): what agreement has to be judged against.

    maps: (B, 6, G, G) of SIX.   generic: (B, G, G), the map of all AUs.
    """
    count, _, side, _ = maps.shape
    off = torch.arange(side) - (side - 1) / 2
    bell = torch.exp(-(off**2) / (2 * (side / 4) ** 2))
    return {
        "uniform": torch.ones(count, side, side),
        "gaussian": (bell[:, None] * bell).expand(count, -1, -1),
        "generic_map": generic,
        "mean_of_six_maps": maps.mean(dim=1),
    }


def from_zero(look: Tensor) -> Tensor:
    """(B, h, w) with negative values lifted as a whole until the smallest is 0."""
    return look - look.amin(dim=(1, 2), keepdim=True).clamp(max=0)


def cosines(look: Tensor, maps: Tensor) -> Tensor:
    """(B, G, G) and (B, 6, G, G) -> (B, 6); 0 where either is 0 all over or not a number."""
    return F.cosine_similarity(look[:, None].flatten(2), maps.flatten(2), dim=2, eps=1e-8).nan_to_num(0)


def agreement(cosines: Floats, labels: NDArray[np.integer], resamples: int = 2000, seed: int = 0) -> Result:
    """Similarity of a look to the map of the face's label: mean cosine over the faces of a class, then over classes.

    discriminativeness: how often that map is the most similar of the six, over faces; macro: the mean over classes.
    cosines: (N, 6) with the maps of SIX.   labels: (N,) in Expression order.
    """
    own = np.array([SIX.index(Expression(label)) for label in labels], int)
    cosine = cosines[np.arange(len(own)), own]
    # A look that is 0 all over is like none of them.
    hit = (cosine > 0) & (cosine == cosines.max(axis=1, initial=0))
    each = np.stack([np.ones(len(own)), cosine, hit], axis=1)  # (N, 3)
    tally = np.eye(len(SIX))[own][:, :, None] * each[:, None]  # (N, 6, 3): a face counts in the row of its class
    whole, many = tally.sum(axis=0)[None], _resampled(tally, resamples, seed)
    counts, sums = whole[0, :, 0].astype(int), whole[0, :, 1]
    return {
        "n": len(own),
        "cosine": interval(_macro(whole, 1)[0], _macro(many, 1)),
        "discriminativeness": interval(_micro(whole, 2)[0], _micro(many, 2)),
        "discriminativeness_macro": interval(_macro(whole, 2)[0], _macro(many, 2)),
        "per_class": {
            e.label: {"cosine": float(sums[k] / counts[k]) if counts[k] else None, "n": int(counts[k])}
            for k, e in enumerate(SIX)
        },
    }


def _resampled(tally: Floats, resamples: int, seed: int) -> Floats:
    return bootstrap(tally, resamples, seed) if len(tally) else np.zeros((resamples, *tally.shape[1:]))


def _micro(tally: Floats, column: int) -> Floats:
    """(R, 6, 3) -> (R,) the mean over faces; NaN without any."""
    with np.errstate(invalid="ignore"):
        return np.asarray(tally[..., column].sum(axis=-1) / tally[..., 0].sum(axis=-1))


def _macro(tally: Floats, column: int) -> Floats:
    """(R, 6, 3) -> (R,) the mean over the classes that have faces, of the mean over their faces."""
    counts = tally[..., 0]
    with np.errstate(invalid="ignore"):
        means = np.where(counts > 0, tally[..., column] / np.maximum(counts, 1), 0)
        return np.asarray(means.sum(axis=-1) / (counts > 0).sum(axis=-1))
