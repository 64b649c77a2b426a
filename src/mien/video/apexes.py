"""The frames of a clip that are worth a word: where an expression is at its strongest."""

from collections.abc import Iterator
from dataclasses import replace
from os import PathLike
from typing import Unpack

import numpy as np

from mien.core.pipeline import Pipeline, PipelineOptions
from mien.results.face import ImageReport
from mien.results.outcome import Outcome
from mien.video.analyze import analyze_video
from mien.video.events import Event, events
from mien.video.frames import frames
from mien.video.series import EXPRESSIONS, Collector, Recording, row_of
from mien.video.tracks import giou

# A face of the frame, read as a photograph, is the one that was followed when their boxes overlap as much (GIoU).
_SAME = 0.4


def at_apexes(path: str | PathLike[str], **options: Unpack[PipelineOptions]) -> Iterator[Outcome]:
    """The face of each expression event of a clip at its apex, in the order of time, as a photograph with its image.

    An outcome is named after the clip and the time. The clip is read from beginning to end before the first.
    options: those of Pipeline.
    """
    collector = Collector()
    for report in analyze_video(path, **options):
        for row in row_of(str(path), report):
            collector.add(row)
    for recording in collector.recordings():
        expressions = [event for event in events(recording) if event.name in EXPRESSIONS]
        yield from _read(recording, expressions, Pipeline(**options))


def _read(recording: Recording, expressions: list[Event], pipeline: Pipeline) -> Iterator[Outcome]:
    wanted: dict[int, list[Event]] = {}
    for event in sorted(expressions, key=lambda event: event.apex):
        wanted.setdefault(event.apex_frame, []).append(event)
    if not wanted:
        return
    for frame in frames(recording.input):
        for event in wanted.pop(frame.number, ()):
            report = _of(event, recording, pipeline(frame.image))
            name = f"{recording.input}, track {event.track} at {frame.time:.2f} s"
            yield Outcome(name, report, image=frame.image)
        if not wanted:
            return


def _of(event: Event, recording: Recording, report: ImageReport) -> ImageReport:
    """The report with the face of the event's track alone."""
    series = next(series for series in recording.tracks if series.track == event.track)
    x, y, width, height = series.boxes[np.searchsorted(series.frames, event.apex_frame)]
    place = np.array([[x, y, x + width, y + height]])
    overlaps = [float(giou(place, face.box[None].astype(np.float64))[0, 0]) for face in report.faces]
    best = int(np.argmax(overlaps)) if overlaps else -1
    return replace(report, faces=report.faces[best : best + 1] if overlaps and overlaps[best] >= _SAME else ())
