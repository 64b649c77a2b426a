"""Measure folders of generated faces with judges, networks that did not guide them, and compare with photographs.

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

# Excess of the guide's score over the judge's that counts as over-guided.
GAP = 0.15


class Judges(NamedTuple):
    """Networks of normalized faces: one with logits, one with action_units."""

    expression: nn.Module
    units: nn.Module


class JudgedFolder(NamedTuple):
    """The judges' answers about the N faces of a folder.

    judged: by the judge of expressions.   units: (N, 24) of the judge of action units.
    wanted: (N, 24) requested action units, NaN for none.   guide: (N, 8) probabilities of a guide, if given.
    """

    album: Synthetic
    judged: Judged
    units: NDArray[np.float32]
    wanted: NDArray[np.float64]
    guide: NDArray[np.float32] | None


class Photographs(NamedTuple):
    """The judges' features of photographs.

    trained_on, others: (M, F) features of the generator's training photographs, and of others. trained_labels,
    other_labels: (M,) largest vote of each. unit_r: (24,) agreement of the judge of action units with a teacher on the
    others.
    """

    trained_on: NDArray[np.float32]
    trained_labels: NDArray[np.int64]
    others: NDArray[np.float32]
    other_labels: NDArray[np.int64]
    unit_r: NDArray[np.float64]


def refuse_guides(albums: Iterable[Synthetic], judges: Sequence[Identity]) -> None:
    """Raise InputError if a judge shares anything with a network that guided one of the folders."""
    for guidance in [row.get("guidance") for album in albums for row in album.rows[:1]]:
        for guide in (guidance or {"guides": {}})["guides"].values():
            for judge in judges:
                refuse_shared(judge, Identity(**guide))


def refuse_voters(folder: str, rows: Iterable[Result], judge: Identity) -> None:
    """Raise InputError if a shipped model of the judge's method voted on a folder's labels."""
    name = method(judge.method).shipped
    if name and any(name in row.get("answers", ()) for row in rows):
        raise InputError(
            f"{name} voted on the labels of {folder}, so a judge of its kind would agree with itself; annotate "
            "the folder with another --expert, or give a --judge of another method"
        )


def photographs(
    trained_on: Sequence[Sample], others: Sequence[Sample], labels: PseudoLabels, judges: Judges, size: int
) -> Photographs:
    """Return the judges' features of photographs.

    labels: a teacher's action units of the others. Raise InputError if they do not match.
    """
    # Include training faces that are also in another split: a copy of one is a copy.
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
    """Return the answers of judges, and of a guide if given, about a folder; raise InputError if it has no faces."""
    if not len(album):
        raise InputError("a folder of generated faces has none that is left")
    crops = np.stack([crop(album[i].image, size) for i in range(len(album))])
    units = judged(judges.units, crops).units
    assert units is not None, "checked on the photographs"
    wanted = np.array([[row["au_requested"].get(name, np.nan) for name in NAMES] for row in album.rows], float)
    own = None if guide is None else judged(guide, crops).probabilities
    return JudgedFolder(album, judged(judges.expression, crops), units, wanted, own)


def measured(seen: JudgedFolder, against: Photographs) -> Result:
    """Return the metrics of a folder.

    accuracy: of the judge against the folder's labels.   requested: against the requested ones.   unit_r: mean
    correlation of requested and judged action units, over those that the judge reads well (measure.TRUSTED). control,
    memorised: see measure.   distance: to photographs that were not trained on, with the requested class shares;
    real_distance: that of as many training photographs with the same shares; distance_ratio: of both.   guide_accuracy,
    over_guided: accuracy of the guide itself, and whether it exceeds the judge's by GAP.
    """
    album, judged = seen.album, seen.judged
    r = _unit_r(seen, against)
    distance, real = _distances(judged.features, _requested(album), against)
    row: Result = {
        "n": len(album),
        "accuracy": measure.agreement(album.labels, judged.probabilities),
        "requested": measure.agreement(_requested(album), judged.probabilities),
        "unit_r": None if np.isnan(r) else r,
        "control": measure.control(seen.wanted, seen.units),
        "distance": distance,
        "real_distance": real,
        "distance_ratio": distance / real if distance is not None and real else None,
        "memorised": measure.memorised(judged.features, against.trained_on, against.others),
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
    """Return the gain of a folder over another in accuracy and unit_r, with 95 % intervals from a bootstrap over faces.

    Both must have the same requests, so that resamples are paired; a face dropped by a vote counts in the other only.
    None for folders with different requests.
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
    labelled = labels >= 0
    right = seen.judged.probabilities[rows].argmax(axis=1) == labels
    return float(right[labelled].mean()) if labelled.any() else float("nan")


def _distances(
    features: NDArray[np.float32], asked: Sequence[Expression | None], against: Photographs
) -> tuple[float | None, float | None]:
    """Return the distance of generated faces to photographs that were not trained on, and that of as many training
    photographs.

    Class shares follow the requests, or the photographs without any. Faces of a class without photographs do not count;
    None if fewer than two are left.
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
