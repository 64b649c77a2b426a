"""What was read of each face over time, from any table of mien's or straight from reports.

A series is a track of a clip, or all photographs of a person. Its values are the eight probabilities and the 21 action
units, the columns MEASURES, in that order.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.facs.vocabulary import ActionUnit, Expression
from mien.results.frame import FrameReport

Floats = NDArray[np.float64]
Row = Mapping[str, Any]
EXPRESSIONS = tuple(e.label for e in Expression)
UNITS = tuple(unit.column for unit in ActionUnit)
MEASURES = (*EXPRESSIONS, *UNITS)
# An expression that has less than this probability does not stand out.
CLEAR = 0.5


@dataclass(frozen=True, eq=False)
class Series:
    """One track of a clip.

    frames: (N,) numbers, ascending.   times, ends: (N,) seconds, where each frame begins, and where the next of the
    clip does.   boxes: (N, 4) x, y, width and height.
    values: (N, 29) of MEASURES, NaN where not measured.
    unclear: (N,) whether no expression stands out or half of the face is hidden.
    """

    input: str
    track: int
    frames: NDArray[np.int64]
    times: Floats
    ends: Floats
    boxes: Floats
    values: Floats
    unclear: NDArray[np.bool_]

    @property
    def probabilities(self) -> Floats:
        """(N, 8) in Expression order."""
        return self.values[:, : len(EXPRESSIONS)]

    @property
    def top(self) -> NDArray[np.intp]:
        """(N,) the most probable expression of each frame."""
        return np.asarray(np.nan_to_num(self.probabilities, nan=-1).argmax(axis=1))

    @property
    def shares(self) -> Floats:
        """(8,) see time_shares."""
        return time_shares(self.top, self.ends - self.times)


@dataclass(frozen=True, eq=False)
class Recording:
    """A clip: the numbers and times of all its frames, also of those that show nobody, and a series for each track.

    interval: seconds that a frame stands for, the median step from one to the next.
    """

    input: str
    frames: NDArray[np.int64]
    times: Floats
    tracks: tuple[Series, ...]

    @property
    def interval(self) -> float:
        """Seconds from a frame to the next, in the middle; 0 of a single frame."""
        return float(np.median(np.diff(self.times))) if len(self.times) > 1 else 0.0

    @property
    def ends(self) -> Floats:
        """(N,) end of each frame: the beginning of the next; the last one lasts an interval."""
        return np.append(self.times[1:], self.times[-1:] + self.interval)

    @property
    def seconds(self) -> float:
        """Length in seconds, including the last frame."""
        return float(self.times[-1] - self.times[0]) + self.interval if len(self.times) else 0.0


def time_shares(top: NDArray[np.integer], seconds: Floats) -> Floats:
    """(8,) share of time with each expression the most probable; shares of frames where no time passes.

    top: (N,) in Expression order.   seconds: (N,) length of each frame.
    """
    total = np.bincount(top, seconds if seconds.sum() > 0 else None, minlength=len(EXPRESSIONS))
    return np.asarray(total / total.sum(), np.float64)


def leading(shares: Floats) -> str:
    """Return the three largest of (8,) shares, such as "happiness 52 %, neutral 48 %"."""
    largest = np.argsort(-shares, kind="stable")[:3]
    return ", ".join(f"{EXPRESSIONS[i]} {100 * shares[i]:.0f} %" for i in largest if shares[i] >= 0.005)


@dataclass
class _Columns:
    """The growing columns of one series: numbers packed as they come, for a long clip has millions."""

    frames: "array[int]" = field(default_factory=lambda: array("q"))
    times: "array[float]" = field(default_factory=lambda: array("d"))
    boxes: "array[float]" = field(default_factory=lambda: array("f"))
    values: "array[float]" = field(default_factory=lambda: array("f"))
    unclear: "array[int]" = field(default_factory=lambda: array("b"))


class Collector:
    """Rows of tables to recordings, row by row."""

    def __init__(self) -> None:
        self._frames: dict[str, dict[int, float]] = {}
        self._tracks: dict[tuple[str, int], _Columns] = {}

    def add(self, row: Row) -> None:
        """Take a row of a clip; rows of photographs and of failed inputs, which have no frame, are left out."""
        frame, time = number(row.get("frame")), number(row.get("timestamp"))
        if frame is None or time is None:
            return
        name = str(row["input"])
        self._frames.setdefault(name, {})[int(frame)] = time
        track = number(row.get("track"))
        if track is None:
            return
        columns = self._tracks.setdefault((name, int(track)), _Columns())
        columns.frames.append(int(frame))
        columns.times.append(time)
        columns.boxes.extend(_numbers(row, ("FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight")))
        columns.values.extend(_numbers(row, MEASURES))
        columns.unclear.append(bool(row.get("hidden")) or not (number(row.get("confidence")) or 0) >= CLEAR)

    def recordings(self) -> list[Recording]:
        """One for each input, in the order of the rows."""
        return [self._recording(name, times) for name, times in self._frames.items()]

    def _recording(self, name: str, known: Mapping[int, float]) -> Recording:
        frames = np.array(sorted(known), np.int64)
        times = np.array([known[int(frame)] for frame in frames], np.float64)
        bare = Recording(name, frames, times, ())
        ends = bare.ends
        tracks = (self._series(name, track, frames, ends) for of, track in sorted(self._tracks) if of == name)
        return replace(bare, tracks=tuple(tracks))

    def _series(self, name: str, track: int, all_frames: NDArray[np.int64], ends: Floats) -> Series:
        columns = self._tracks[name, track]
        frames = np.asarray(columns.frames, np.int64)
        order = np.argsort(frames, kind="stable")
        return Series(
            name,
            track,
            frames[order],
            np.asarray(columns.times, np.float64)[order],
            ends[np.searchsorted(all_frames, frames[order])],
            np.asarray(columns.boxes, np.float64).reshape(-1, 4)[order],
            np.asarray(columns.values, np.float64).reshape(-1, len(MEASURES))[order],
            np.asarray(columns.unclear, np.bool_)[order],
        )


def recordings(rows: Iterable[Row]) -> list[Recording]:
    """The clips that rows of tables tell of."""
    collector = Collector()
    for row in rows:
        collector.add(row)
    return collector.recordings()


def row_of(name: str, frame: FrameReport) -> Iterator[Row]:
    """What a series holds of a frame of the clip of that name, as rows."""
    about: Row = {"input": name, "frame": frame.number, "timestamp": frame.time, "track": None}
    if not frame.tracks:
        yield about
    for track, face in zip(frame.tracks, frame.report.faces, strict=True):
        x1, y1, x2, y2 = face.box.tolist()
        rect = {"FaceRectX": x1, "FaceRectY": y1, "FaceRectWidth": x2 - x1, "FaceRectHeight": y2 - y1}
        units: Mapping[int, float] = face.action_units or {}
        yield {
            **about,
            **rect,
            "track": track,
            "confidence": face.expression.confidence,
            "hidden": face.hidden,
            **{e.label: face.expression[e] for e in Expression},
            **{unit.column: units.get(unit) for unit in ActionUnit},
        }


def number(value: Any) -> float | None:
    """A table's field as a number; None for a missing one."""
    if value is None or value == "":
        return None
    return None if value != value else float(value)


def _numbers(row: Row, names: Iterable[str]) -> Iterator[float]:
    values = (number(row.get(name)) for name in names)
    return (float("nan") if value is None else value for value in values)


def vector(row: Row) -> Floats:
    """(29,) the values of MEASURES in a row, NaN where not measured."""
    return np.fromiter(_numbers(row, MEASURES), np.float64, len(MEASURES))
