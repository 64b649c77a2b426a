"""Average what was read over time: a Gaussian for clips, a One-Euro filter for cameras.

Only what the reader says is averaged: probabilities, action units with their asymmetries, and head pose. Boxes and
landmarks stay as they were read.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mien.facs.observation import Pose
from mien.facs.units import ActionUnits
from mien.facs.vocabulary import Expression
from mien.results.expression import ExpressionScores
from mien.results.face import FaceReport
from mien.results.frame import FrameReport

Floats = NDArray[np.float64]
# The Gaussian ends at its half-width, two standard deviations from its middle.
_DEVIATIONS = 2.0
# One-Euro (Casiez et al., CHI 2012): the slower of its two cutoffs follows from the seconds asked for; the second
# lets quick changes through, in 1/s for each unit of change a second.
_QUICK, _SPEED_CUTOFF = 1.0, 1.0


def smoothed(reports: Iterable[FrameReport], seconds: float, *, live: bool = False) -> Iterator[FrameReport]:
    """The same reports, averaged over so many seconds to both sides; live: over the past alone, without delay."""
    if seconds <= 0:
        yield from reports
    elif live:
        yield from _one_euro(reports, seconds)
    else:
        yield from _gaussian(reports, seconds)


def _gaussian(reports: Iterable[FrameReport], half: float) -> Iterator[FrameReport]:
    """A report leaves when all that lies within the half-width after it has come."""
    half += 1e-6  # times are no whole multiples of anything
    near: deque[FrameReport] = deque()
    waiting: deque[FrameReport] = deque()
    for report in reports:
        near.append(report)
        waiting.append(report)
        while waiting and report.time - waiting[0].time > half:
            yield _averaged(waiting.popleft(), near, half)
            while waiting and near and waiting[0].time - near[0].time > half:
                near.popleft()
    for left in waiting:
        yield _averaged(left, near, half)


def _averaged(middle: FrameReport, near: Iterable[FrameReport], half: float) -> FrameReport:
    around = [report for report in near if abs(report.time - middle.time) <= half]
    faces = []
    for track, face in zip(middle.tracks, middle.report.faces, strict=True):
        vectors, weights = [], []
        for report in around:
            if track in report.tracks:
                vectors.append(_vector(report.report.faces[report.tracks.index(track)]))
                weights.append(np.exp(-0.5 * (_DEVIATIONS * (report.time - middle.time) / half) ** 2))
        faces.append(_with(face, _mean(vectors, weights)))
    return replace(middle, report=replace(middle.report, faces=tuple(faces)))


def _mean(vectors: Sequence[Floats], weights: Sequence[float]) -> Floats:
    """The weighted mean of what is not missing."""
    values, weight = np.stack(vectors), np.asarray(weights)[:, None]
    there = np.isfinite(values)
    return np.asarray(
        (np.where(there, values, 0) * weight).sum(axis=0) / np.maximum((there * weight).sum(axis=0), 1e-12)
    )


def _one_euro(reports: Iterable[FrameReport], seconds: float) -> Iterator[FrameReport]:
    states: dict[int, tuple[float, Floats, Floats]] = {}
    slow = 1 / (2 * np.pi * seconds)
    for report in reports:
        faces = []
        for track, face in zip(report.tracks, report.report.faces, strict=True):
            vector = _vector(face)
            if track in states:
                time, value, speed = states[track]
                elapsed = max(report.time - time, 1e-6)
                now = np.nan_to_num((vector - value) / elapsed)
                speed = speed + _share(elapsed, _SPEED_CUTOFF) * (now - speed)
                share = _share(elapsed, slow + _QUICK * np.abs(speed))
                vector = np.where(np.isfinite(value), value + share * (vector - value), vector)
            else:
                speed = np.zeros_like(vector)
            states[track] = report.time, vector, speed
            faces.append(_with(face, vector))
        states = {track: state for track, state in states.items() if report.time - state[0] <= 1}
        yield replace(report, report=replace(report.report, faces=tuple(faces)))


def _share(elapsed: float, cutoff: float | Floats) -> Floats:
    """How much of a new value counts, by an exponential filter of that cutoff in 1/s."""
    return np.asarray(1 / (1 + 1 / (2 * np.pi * elapsed * cutoff)))


def _vector(face: FaceReport) -> Floats:
    """Probabilities, action units with asymmetries, pose; NaN where not measured."""
    units = np.full(24, np.nan) if face.action_units is None else face.action_units.vector
    pose = (np.nan,) * 3 if face.pose is None else (face.pose.yaw, face.pose.pitch, face.pose.roll)
    return np.concatenate([face.expression.probabilities, units, pose]).astype(np.float64)


def _with(face: FaceReport, vector: Floats) -> FaceReport:
    count = len(Expression)
    probabilities = vector[:count] / vector[:count].sum()
    return replace(
        face,
        expression=ExpressionScores(probabilities.astype(np.float32)),
        action_units=None if face.action_units is None else ActionUnits.of(vector[count:-3].astype(np.float32)),
        pose=None if face.pose is None else Pose(*map(float, vector[-3:])),
    )
