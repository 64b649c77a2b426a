"""A clip in a line a track: how long a face was seen, what it showed for how much of that time, and how often."""

from collections.abc import Sequence

import numpy as np

from mien.results.record import Record
from mien.video.events import BLINK, Event
from mien.video.series import EXPRESSIONS, UNITS, Recording, Series

EVENT_NAMES = (*EXPRESSIONS[1:], *UNITS, BLINK)
# Column to type. seconds: that the face was seen.   *_share: of that time, with this expression the most probable.
# *_mean, *_sd: of an action unit.   *_per_minute: events.   unclear_share: frames in which no expression stands out or
# half of the face is hidden.
COLUMNS: dict[str, type] = {
    "input": str,
    "track": int,
    "start": float,
    "end": float,
    "frames": int,
    "seconds": float,
    **{f"{name}_share": float for name in EXPRESSIONS},
    **{f"{name}_{what}": float for name in UNITS for what in ("mean", "sd")},
    **{f"{name}_per_minute": float for name in EVENT_NAMES},
    "unclear_share": float,
}


def summaries(recording: Recording, events: Sequence[Event]) -> list[Record]:
    """A row of COLUMNS for each track.   events: the events of the recording."""
    return [_row(series, [e for e in events if e.track == series.track]) for series in recording.tracks]


def _row(series: Series, events: Sequence[Event]) -> Record:
    seconds = series.ends - series.times
    total = float(seconds.sum())
    names = [event.name for event in events]
    shares = series.shares.tolist() if total else [None] * len(EXPRESSIONS)
    units = series.values[:, len(EXPRESSIONS) :]
    row: Record = {
        "input": series.input,
        "track": series.track,
        "start": round(float(series.times[0]), 4),
        "end": round(float(series.ends[-1]), 4),
        "frames": len(series.times),
        "seconds": round(total, 3),
    }
    row |= {f"{name}_share": _rounded(share) for name, share in zip(EXPRESSIONS, shares, strict=True)}
    for name, values in zip(UNITS, units.T, strict=True):
        known = values[np.isfinite(values)]
        row[f"{name}_mean"] = _rounded(float(known.mean())) if len(known) else None
        row[f"{name}_sd"] = _rounded(float(known.std(ddof=1))) if len(known) > 1 else None
    minutes = total / 60
    row |= {f"{name}_per_minute": round(names.count(name) / minutes, 2) if minutes else None for name in EVENT_NAMES}
    return row | {"unclear_share": _rounded(float(series.unclear.mean()))}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
