"""Folders of generated faces before judges: networks that did not guide them, and photographs to compare with.

Letters: N generated faces, S the side of a face, F features of a judge.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import nn

from mien.core.align import crop
from mien.datasets import Sample, Synthetic
from mien.datasets.pseudo_labels import PseudoLabels
from mien.errors import InputError
from mien.evaluation.compare import verdict
from mien.evaluation.intervals import percentile_interval
from mien.evaluation.protocols import Selection, select
from mien.evaluation.result import Result
from mien.facs.vocabulary import Expression, expression
from mien.methods.registry import method
from mien.methods.synfer.flow.requests import NAMES
from mien.methods.synfer.judge import measure
from mien.methods.synfer.judge.networks import Judged, judged, refuse_shared
from mien.training.run import Identity

# A guide that scores the faces it guided this much higher than the judge does was followed too far.
GAP = 0.15


class Judges(NamedTuple):
    """Networks of normalized faces: one answers logits, one action_units."""

    expression: nn.Module
    units: nn.Module


class JudgedFolder(NamedTuple):
    """The N faces of a folder before the judges.

    said: of the judge of expressions.   units: (N, 24) of that of action units.   wanted: (N, 24) asked for, NaN where
    nothing is.   guide: (N, 8) probabilities of a guide, if it was asked.
    """

    album: Synthetic
    said: Judged
    units: NDArray[np.float32]
    wanted: NDArray[np.float64]
    guide: NDArray[np.float32] | None


class Photographs(NamedTuple):
    """What the judges see in photographs.

    trained_on, others: (M, F) features of those that the generator learned from, and of others.
    trained_labels, other_labels: (M,) the largest vote of each.
    unit_r: (24,) how far the judge of action units agrees with a teacher on the others.
    """

    trained_on: NDArray[np.float32]
    trained_labels: NDArray[np.int64]
    others: NDArray[np.float32]
    other_labels: NDArray[np.int64]
    unit_r: NDArray[np.float64]


def refuse_guides(albums: Iterable[Synthetic], judges: Sequence[Identity]) -> None:
    """InputError when one of the judges has something in common with a network that guided one of the folders."""
    for guidance in [row.get("guidance") for album in albums for row in album.rows[:1]]:
        for guide in (guidance or {"guides": {}})["guides"].values():
            for judge in judges:
                refuse_shared(judge, Identity(**guide))


def refuse_voters(folder: str, rows: Iterable[Result], judge: Identity) -> None:
    """InputError when a shipped model of the judge's method voted on the labels of a folder, the rows of its file."""
    name = method(judge.method).shipped
    if name and any(name in row.get("answers", ()) for row in rows):
        raise InputError(
            f"{name} voted on the labels of {folder}, so a judge of its kind would agree with itself; annotate "
            "the folder with another --expert, or give a --judge of another method"
        )


def photographs(
    trained_on: Sequence[Sample], others: Sequence[Sample], labels: PseudoLabels, judges: Judges, size: int
) -> Photographs:
    """Photographs before the judges.

    labels: a teacher's action units of the others.   InputError when they do not go together.
    """
    # Of those trained on, also the ones that another split holds: a copy of one of them is a copy.
    first, second = _faces(trained_on, size, duplicates=True), _faces(others, size, duplicates=False)
    crops = _crops(second)
    one, other = (judged(judges.expression, some).features for some in (_crops(first), crops))
    row = {source: i for i, source in enumerate(labels.source)}
    sources = [sample.source for sample in second.samples]
    there = [(i, row[source]) for i, source in enumerate(sources) if source in row and labels.found[row[source]]]
    if not there:
        raise InputError("the teacher's labels have none of the photographs that the generator did not see")
    seen = judged(judges.units, crops[[i for i, _ in there]]).units
    if seen is None:
        raise InputError("the judge of action units has no answer for them; it is to be trained with --heads")
    unit_r = measure.correlations(labels.action_units[[i for _, i in there]], seen)
    return Photographs(one, first.labels, other, second.labels, unit_r)


def _faces(data: Sequence[Sample], size: int, duplicates: bool) -> Selection:
    faces = select(data, "soft-votes", duplicates=duplicates, prepare=lambda image: crop(image, size))
    return faces.needed("measure generated faces against")


def _crops(faces: Selection) -> NDArray[np.uint8]:
    return np.stack([sample.image for sample in faces.samples])


def look(album: Synthetic, judges: Judges, size: int, guide: nn.Module | None = None) -> JudgedFolder:
    """A folder before the judges, and before a guide where one is given; InputError when no face is left in it."""
    if not len(album):
        raise InputError("a folder of generated faces has none that is left")
    crops = np.stack([crop(album[i].image, size) for i in range(len(album))])
    units = judged(judges.units, crops).units
    assert units is not None, "checked on the photographs"
    wanted = np.array([[row["au_requested"].get(name, np.nan) for name in NAMES] for row in album.rows], float)
    own = None if guide is None else judged(guide, crops).probabilities
    return JudgedFolder(album, judged(judges.expression, crops), units, wanted, own)


def measured(seen: JudgedFolder, against: Photographs) -> Result:
    """The numbers of a folder.

    accuracy: how often the judge sees the folder's labels, requested: what was asked for.   unit_r: the mean
    correlation of action units asked for and judged, over those that the judge can judge (measure.TRUSTED).
    control, memorised: see measure.   distance: to the photographs not trained on, each class with the share that was
    asked for; real_distance: that of as many photographs trained on, so many of each class too; distance_ratio: of one
    to the other.   guide_accuracy, over_guided: what the guide says itself, and whether it was followed too far (GAP).
    """
    album, said = seen.album, seen.said
    r = _unit_r(seen, against)
    distance, real = _distances(said.features, _requested(album), against)
    row: Result = {
        "n": len(album),
        "accuracy": measure.agreement(album.labels, said.probabilities),
        "requested": measure.agreement(_requested(album), said.probabilities),
        "unit_r": None if np.isnan(r) else r,
        "control": measure.control(seen.wanted, seen.units),
        "distance": distance,
        "real_distance": real,
        "distance_ratio": distance / real if distance is not None and real else None,
        "memorised": measure.memorised(said.features, against.trained_on, against.others),
    }
    if seen.guide is not None:
        own = measure.agreement(album.labels, seen.guide)
        ahead = (own["value"] or 0) - (row["accuracy"]["value"] or 0)
        row |= {"guide_accuracy": own, "over_guided": bool(album.rows[0].get("guidance")) and ahead > GAP}
    return row


def _unit_r(seen: JudgedFolder, against: Photographs, rows: NDArray[np.intp] | slice = slice(None)) -> float:
    r = measure.correlations(seen.wanted[rows], seen.units[rows])
    r = r[np.nan_to_num(against.unit_r) >= measure.TRUSTED]
    return float(np.nanmean(r)) if np.isfinite(r).any() else float("nan")


def step(
    before: JudgedFolder, after: JudgedFolder, against: Photographs, *, resamples: int = 1000, seed: int = 0
) -> Result | None:
    """What a folder gains over another in accuracy and unit_r, with 95 % intervals from a bootstrap over faces.

    Both made of the same requests, so that each resample has the same faces of both; a face that a vote dropped counts
    in the other one alone. None for folders of other requests.
    """
    names = [[(row["file"], row["requested"]) for row in seen.album.rows] for seen in (before, after)]
    fewer, every = sorted(names, key=len)
    if not set(fewer) <= set(every):
        return None
    places = [dict(zip(some, range(len(some)), strict=True)) for some in names]
    row_of = np.array([[place.get(name, -1) for name in every] for place in places])  # (2, N), -1 where dropped

    def gains(faces: NDArray[np.intp]) -> NDArray[np.float64]:
        one, other = (rows[rows >= 0] for rows in row_of[:, faces])
        accuracy = _accuracy(after, other) - _accuracy(before, one)
        return np.array([accuracy, _unit_r(after, against, other) - _unit_r(before, against, one)])

    rng, drawn = np.random.default_rng(seed), np.arange(len(every))
    low, high = percentile_interval(np.stack([gains(rng.choice(drawn, len(drawn))) for _ in range(resamples)]))
    return {
        name: {"value": None, "low": None, "high": None} if np.isnan(gain[0]) else _interval(*gain)
        for name, *gain in zip(("accuracy", "unit_r"), gains(drawn), low, high, strict=True)
    }


def _interval(value: float, low: float, high: float) -> Result:
    interval = {"value": float(value), "low": float(low), "high": float(high)}
    return interval | {"answer": verdict(interval)}


def _accuracy(seen: JudgedFolder, rows: NDArray[np.intp]) -> float:
    labels = np.array([-1 if label is None else label for label in seen.album.labels])[rows]
    told = labels >= 0
    return float((seen.said.probabilities[rows].argmax(axis=1) == labels)[told].mean()) if told.any() else float("nan")


def _distances(
    features: NDArray[np.float32], asked: Sequence[Expression | None], against: Photographs
) -> tuple[float | None, float | None]:
    """Of generated faces to photographs not trained on, and of as many photographs trained on, each class as often.

    Without an expression asked for, photographs as they come. Faces of a class that the photographs lack do not count;
    None when fewer than two are left.
    """
    if all(label is None for label in asked):
        mix = np.random.default_rng(0).choice(against.other_labels, len(features))
    else:
        there = set(against.trained_labels.tolist()) & set(against.other_labels.tolist())
        counted = [i for i, label in enumerate(asked) if label in there]
        features, mix = features[counted], np.array([asked[i] for i in counted], np.int64)
    if len(mix) < 2:
        return None, None
    weights = measure.shared(against.other_labels, mix)
    photographs = against.trained_on[measure.drawn(against.trained_labels, mix)]
    return measure.frechet(features, against.others, weights), measure.frechet(photographs, against.others, weights)


def _requested(album: Synthetic) -> list[Expression | None]:
    return [None if row["requested"] is None else expression(row["requested"]) for row in album.rows]
