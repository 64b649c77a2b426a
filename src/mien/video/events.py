"""Stretches of time in which a face shows an expression or an action unit: onset, apex, offset.

An event begins when a value reaches one threshold and ends when it falls below a lower one (hysteresis), so that a
value that hovers about a threshold is one event. Closed eyes (AU43) for less than half a second are a blink (AU45).
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

import numpy as np

from mien.facs.units import BANDS
from mien.facs.vocabulary import ActionUnit, Expression
from mien.results.record import Record
from mien.video.series import EXPRESSIONS, MEASURES, Floats, Recording, Series

BLINK = "AU45"
# Times are exact to a thousandth of a second: a face that is not seen for longer shows nothing in between.
_EXACT = 1e-3
# Eyes that are closed for less than this many seconds blink.
BLINK_SECONDS = 0.5


@dataclass(frozen=True)
class Thresholds:
    """Where an event begins and ends: a probability of an expression, and an intensity of an action unit.

    shortest: events of fewer seconds are left out.   bridge: gaps of fewer seconds do not end one.
    """

    expression: tuple[float, float] = (0.5, 0.4)
    # From "pronounced" to below "moderate", as mien.facs.units calls them.
    unit: tuple[float, float] = (BANDS[4].least, BANDS[3].least)
    shortest: float = 0.1
    bridge: float = 0.2

    def of(self, name: str) -> tuple[float, float]:
        """Enter and leave of a column of MEASURES."""
        return self.expression if name in EXPRESSIONS else self.unit


@dataclass(frozen=True)
class Event:
    """One stretch of time.

    name: an expression, an action unit's column, or AU45 for a blink.   onset, apex, offset: seconds; the offset is
    where the last frame above the threshold ends.   value: at the apex.   *_frame: numbers of the frames.
    enter, leave: the thresholds.
    """

    input: str
    track: int
    name: str
    onset: float
    apex: float
    offset: float
    value: float
    onset_frame: int
    apex_frame: int
    offset_frame: int
    enter: float
    leave: float

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.offset - self.onset

    def to_dict(self) -> Record:
        """The row of a table, with EVENT_COLUMNS."""
        row = asdict(self) | {"duration": self.duration}
        return {name: round(row[name], 4) if kind is float else row[name] for name, kind in EVENT_COLUMNS.items()}


EVENT_COLUMNS: dict[str, type] = {
    "input": str,
    "track": int,
    "name": str,
    "onset": float,
    "apex": float,
    "offset": float,
    "duration": float,
    "value": float,
    "onset_frame": int,
    "apex_frame": int,
    "offset_frame": int,
    "enter": float,
    "leave": float,
}


def segments(
    times: Floats, ends: Floats, values: Floats, enter: float, leave: float, shortest: float = 0.1, bridge: float = 0.2
) -> list[tuple[int, int]]:
    """First and last index of each event in the (N,) values of frames that begin and end at these (N,) seconds.

    A value that is missing is below every threshold, and so are frames in which the face was not seen.
    """
    bridged: list[tuple[int, int]] = []
    for a, b in _above(times, ends, np.nan_to_num(values, nan=-np.inf), enter, leave):
        if bridged and times[a] - ends[bridged[-1][1]] < bridge - _EXACT:
            bridged[-1] = (bridged[-1][0], b)
        else:
            bridged.append((a, b))
    return [(a, b) for a, b in bridged if ends[b] - times[a] >= shortest - _EXACT]


def _above(times: Floats, ends: Floats, values: Floats, enter: float, leave: float) -> Iterator[tuple[int, int]]:
    """First and last index of each stretch from reaching `enter` to the last before falling below `leave`."""
    first = None
    for i, value in enumerate(values):
        if first is not None and (value < leave or times[i] - ends[i - 1] > _EXACT):
            yield first, i - 1
            first = None
        if first is None and value >= enter:
            first = i
    if first is not None:
        yield first, len(values) - 1


def events(
    recording: Recording, thresholds: Thresholds | None = None, rests: Mapping[int, Floats] | None = None
) -> list[Event]:
    """The events of all tracks, by track, then by column, then by time; neutral is no event.

    rests: for each track the (29,) values at rest. With them, action units count by their change from rest;
    probabilities of expressions count as they are.
    """
    wanted = thresholds or Thresholds()
    return [
        event
        for series in recording.tracks
        for column, name in enumerate(MEASURES)
        if name != Expression.NEUTRAL.label
        for event in _of(series, column, wanted, (rests or {}).get(series.track))
    ]


def _of(series: Series, column: int, wanted: Thresholds, rest: Floats | None) -> Iterator[Event]:
    name = MEASURES[column]
    enter, leave = wanted.of(name)
    values = series.values[:, column]
    if rest is not None and name not in EXPRESSIONS:
        values = values - rest[column]
    times, ends = series.times, series.ends
    for a, b in segments(times, ends, values, enter, leave, wanted.shortest, wanted.bridge):
        apex = a + int(np.nanargmax(values[a : b + 1]))
        blink = name == ActionUnit.EYES_CLOSED.column and ends[b] - times[a] < BLINK_SECONDS
        yield Event(
            series.input,
            series.track,
            BLINK if blink else name,
            float(times[a]),
            float(times[apex]),
            float(ends[b]),
            float(values[apex]),
            int(series.frames[a]),
            int(series.frames[apex]),
            int(series.frames[b]),
            enter,
            leave,
        )
