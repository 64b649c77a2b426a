"""Recordings to one self-contained page: for every track a band of expressions, lines, action units and events.

As the page of photographs, it asks nobody for anything: style, script, numbers and pictures are inside it.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import mien
from mien.facs.vocabulary import Expression
from mien.report.draw import COLORS
from mien.report.heat import VIRIDIS
from mien.report.markup import fill, head, json_data, template, text
from mien.results.record import Record
from mien.video.events import Event, Thresholds
from mien.video.series import EXPRESSIONS, MEASURES, Floats, Recording, Series, leading
from mien.video.thumbnails import Thumbnail

# A track of more frames is shown in so many steps, each the mean of its frames: more than a screen has pixels.
STEPS = 3000
# Rows of the table of events below a track, the longest first to stay.
LISTED = 200
_RAMP = 64
_DARK = (Expression.SADNESS, Expression.ANGER, Expression.DISGUST)


def page(
    recordings: Sequence[Recording],
    events: Mapping[str, Sequence[Event]],
    thumbnails: Mapping[str, Sequence[Thumbnail]],
    thresholds: Thresholds | None = None,
    command: str = "",
) -> str:
    """The whole HTML file.

    events, thumbnails: of each recording, by its input.   thresholds: of the events.
    command: that made the page, shown at its end.
    """
    colors = [f".{e.label} {{ --color: {color}; }}" for e, color in COLORS.items()]
    style = "\n".join([template("style.css"), template("timeline.css"), *colors])
    script = template("timeline.js")
    data = {
        "names": MEASURES,
        "expressions": len(EXPRESSIONS),
        "colors": [COLORS[e] for e in Expression],
        "inks": ["#ffffff" if e in _DARK else "#101216" for e in Expression],
        "ramp": _ramp(),
        "clips": [_clip(r, events.get(r.input, ()), thumbnails.get(r.input, ())) for r in recordings],
    }
    title = text(Path(recordings[0].input).name) if len(recordings) == 1 else f"{len(recordings)} clips"
    return fill(
        "timeline.html",
        head=head(title, "facial expressions over time", style, script),
        script=script,
        recordings="\n".join(
            _recording(r, i, events.get(r.input, ()), len(recordings) > 1) for i, r in enumerate(recordings)
        ),
        rules=_rules(thresholds or Thresholds()),
        version=mien.__version__,
        command=f" by <code>{text(command)}</code>" if command else "",
        data=json_data(data),
    )


def _rules(thresholds: Thresholds) -> str:
    (enter_e, leave_e), (enter_u, leave_u) = thresholds.expression, thresholds.unit
    return (
        f"An expression’s event begins at a probability of {enter_e:g} and ends below {leave_e:g}; an action unit’s at "
        f"an intensity of {enter_u:g} and below {leave_u:g}. Events under {thresholds.shortest:g} s are left out, "
        f"gaps of less than {thresholds.bridge:g} s bridged. Eyes closed for less than half a second are a blink, AU45."
    )


def _recording(recording: Recording, number: int, events: Sequence[Event], named: bool) -> str:
    tracks = "\n".join(
        _track(series, number, i, [e for e in events if e.track == series.track], recording)
        for i, series in enumerate(recording.tracks)
    )
    heading = f"<h2>{text(recording.input)}</h2>" if named else ""
    faces = {0: "No face was found", 1: "1 track"}.get(len(recording.tracks), f"{len(recording.tracks)} tracks")
    facts = f"<p>{faces} in {len(recording.frames)} frames, {recording.seconds:.1f} s</p>"
    return f'<section class="clip">{heading}{facts}{tracks}</section>'


def _track(series: Series, clip: int, track: int, events: Sequence[Event], recording: Recording) -> str:
    seconds = series.ends - series.times
    rows = "".join(
        f'<tr class="{name}"><th scope="row">{name}</th><td><div class="bar"><i></i></div></td><td></td></tr>'
        for name in EXPRESSIONS
    )
    legend = "".join(f'<li class="{name}"><i></i>{name}</li>' for name in EXPRESSIONS)
    start, end = float(recording.times[0]), float(recording.times[0]) + recording.seconds
    return (
        f'<section class="track"><header><h3>Track {series.track}</h3><p>in sight {seconds.sum():.1f} s: '
        f"{leading(series.shares)}</p>"
        f'</header><div class="watch"><div class="now"><img alt="" width="144" height="144"><p class="at"></p>'
        f'<p class="seen"></p><table><caption>Probabilities at the cursor</caption><tbody>{rows}</tbody></table>'
        f'<p class="units"></p></div><div><div class="chart" data-clip="{clip}" data-track="{track}" tabindex="0" '
        f'role="slider" aria-label="Time in track {series.track}" aria-valuemin="{start:.3f}" '
        f'aria-valuemax="{end:.3f}">'
        f'<canvas></canvas><div class="cursor"></div></div><ul class="legend">{legend}</ul></div></div>'
        f"{_events(events)}</section>"
    )


def _events(events: Sequence[Event]) -> str:
    if not events:
        return ""
    listed = sorted(sorted(events, key=lambda e: -e.duration)[:LISTED], key=lambda e: (e.onset, e.name))
    rows = "".join(
        f"<tr><th scope='row'>{e.name}</th><td>{e.onset:.2f}</td><td>{e.apex:.2f}</td><td>{e.offset:.2f}</td>"
        f"<td>{e.duration:.2f}</td><td>{e.value:.2f}</td></tr>"
        for e in listed
    )
    count = f"{len(events)} event{'s' if len(events) > 1 else ''}"
    more = f", the {LISTED} longest" if len(events) > LISTED else ""
    return (
        f'<details class="events"><summary>{count}{more}, in seconds</summary><table><thead><tr><th>event</th>'
        f"<th>onset</th><th>apex</th><th>offset</th><th>lasts</th><th>at apex</th></tr></thead><tbody>{rows}</tbody>"
        "</table></details>"
    )


def _clip(recording: Recording, events: Sequence[Event], thumbnails: Sequence[Thumbnail]) -> Record:
    start = float(recording.times[0])
    return {
        "start": start,
        "end": start + max(recording.seconds, 1e-3),
        "tracks": [
            _numbers(series)
            | {
                "events": [
                    {"name": e.name, "onset": _ms(e.onset), "apex": _ms(e.apex), "offset": _ms(e.offset)}
                    for e in events
                    if e.track == series.track
                ],
                "thumbnails": [
                    {"time": _ms(t.time), "url": _jpeg(t.image)} for t in thumbnails if t.track == series.track
                ],
            }
            for series in recording.tracks
        ],
    }


def _numbers(series: Series) -> Record:
    """Times and values of a track, in no more than STEPS steps; values in bytes, 255 being 1."""
    values = np.nan_to_num(series.values)
    frames, times, ends = series.frames, series.times, series.ends
    if len(times) > STEPS:
        starts = np.linspace(0, len(times), STEPS, endpoint=False).astype(int)
        counts = np.diff(np.append(starts, len(times)))[:, None]
        values = np.add.reduceat(values, starts, axis=0) / counts
        # A step ends where its last frame does, so that a gap stays a gap.
        ends = ends[np.append(starts[1:], len(times)) - 1]
        frames, times = frames[starts], times[starts]
    levels = np.round(255 * np.clip(values, 0, 1)).astype(np.uint8)
    return {
        "frames": frames.tolist(),
        "times": _rounded(times),
        "ends": _rounded(ends),
        "values": base64.b64encode(levels.tobytes()).decode("ascii"),
    }


def _ramp() -> list[str]:
    points = np.array([[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in VIRIDIS])
    at, levels = np.linspace(0, 1, len(points)), np.linspace(0, 1, _RAMP)
    channels = np.stack([np.interp(levels, at, points[:, i]) for i in range(3)], axis=1)
    return [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in np.round(channels).astype(int).tolist()]


def _rounded(values: Floats) -> list[float]:
    return [_ms(value) for value in values.tolist()]


def _ms(seconds: float) -> float:
    return round(seconds, 3)


def _jpeg(image: NDArray[np.uint8]) -> str:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=72, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
