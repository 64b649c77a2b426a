"""Clips and photographs to tables, a page and an annotated clip, all written as they are read."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import takewhile
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from mien.cli.read.clip_files import Sinks, check
from mien.cli.shared.clip_options import ClipReading
from mien.cli.shared.outcomes import stoppable
from mien.cli.shared.tally import ClipProgress, Tally
from mien.cli.shared.terminal import say
from mien.core.batch import Picture, named, read_outcome
from mien.core.pipeline import Pipeline
from mien.errors import MienError
from mien.report.clips import frame_record
from mien.results.frame import FrameReport
from mien.results.outcome import Outcome
from mien.video.analyze import read_frames
from mien.video.frames import Frame, frames, is_clip
from mien.video.recall import recalled
from mien.video.series import number


def run(inputs: Sequence[Picture], outputs: Sequence[Path], reading: ClipReading, *, resume: bool = False) -> bool:
    """Read clips and photographs in order and write the outputs. Return False if an input failed or the run was
    stopped.

    Without outputs, print JSON lines in a pipe, and a summary on a terminal.
    """
    check(inputs, outputs, reading, resume)
    tally = Tally()
    piping = not outputs and not sys.stdout.isatty()
    try:
        with stoppable(), Sinks(outputs, reading, resume) as sinks, ClipProgress(len(inputs)) as progress:
            done = _Done(sinks, tally) if resume else None
            pipeline = cache(lambda: Pipeline(**reading.options))  # opened for the first photograph
            for source in inputs:
                for item in _read(source, reading, done, sinks.annotated is not None, progress, pipeline):
                    _put(item, sinks, tally, piping)
            sinks.finish()
    except KeyboardInterrupt:
        say("mien: stopped; --resume continues after the last written frame")
        return False
    except (MienError, click.ClickException):
        raise
    except Exception as error:  # of a writer: what a clip or a picture raises is its outcome
        cause = (error.strerror if isinstance(error, OSError) else None) or error
        say(f"mien: cannot continue to write ({cause}); finished rows are in the .part file")
        return False
    for output in outputs:
        say(f"wrote {output}")
    if not piping:
        tally.show(to_stderr=bool(outputs) and not sys.stdout.isatty())
    return not tally.failed


# A result of an input: a photograph, a failure, or a frame with the name of its clip.
Item = Outcome | tuple[str, FrameReport, NDArray[np.uint8] | None]


def _put(item: Item, sinks: Sinks, tally: "Tally", piping: bool) -> None:
    if isinstance(item, Outcome):
        sinks.outcome(item)
        tally.outcome(item)
        record = item.to_dict()
    else:
        name, frame, image = item
        sinks.frame(name, frame, image)
        tally.frame(name, frame.time, frame.tracks, [face.expression.top.label for face in frame.report.faces])
        record = frame_record(name, frame) if piping else {}
    if piping:
        click.echo(json.dumps(record))


def _read(
    source: Picture,
    reading: ClipReading,
    done: "_Done | None",
    keep_images: bool,
    progress: "ClipProgress",
    pipeline: Callable[[], Pipeline],
) -> Iterator[Item]:
    """Yield the results of one input; a failure comes last."""
    if isinstance(source, Outcome):
        yield source
        return
    name = str(source)
    shown = Outcome(name).name
    if done is not None and shown in done.finished:
        return
    try:
        if not is_clip(name):
            yield read_outcome(name, pipeline(), keep=False)
            return
        images: dict[int, NDArray[np.uint8]] = {}
        after = done.reports(shown, reading.smooth) if done is not None else ()
        last = done.last(shown) if done is not None else -1
        chosen = progress.clip(name, frames(name, **reading.span), reading.span)
        options = {"smooth": reading.smooth, "detect_every": reading.detect_every, **reading.options}
        for frame in read_frames(_keeping(chosen, images) if keep_images else chosen, after=after, **options):
            if frame.number > last:
                yield shown, frame, images.pop(frame.number, None)
    except Exception as error:
        yield Outcome(name, error=named(error, name))


def _keeping(chosen: Iterable[Frame], images: dict[int, NDArray[np.uint8]]) -> Iterator[Frame]:
    """Yield the same frames, keeping their pictures until they are shown."""
    for frame in chosen:
        images[frame.number] = frame.image
        yield frame


class _Done:
    """What an earlier run wrote: the finished inputs and the progress in the last one."""

    def __init__(self, sinks: Sinks, tally: "Tally") -> None:
        self._sinks = sinks
        self.finished: set[str] = set()
        self._name, self._frame, self._time = "", -1, -np.inf
        for row in sinks.before():
            sinks.again(row)
            name, frame = str(row["input"]), number(row.get("frame"))
            if name != self._name:
                self.finished.add(self._name)
                self._name, self._frame = name, -1
            if frame is None:
                self.finished.add(name)
                if row["status"] not in ("ok", "no_face"):
                    tally.failed.append(name)
                continue
            self._frame, self._time = int(frame), number(row["timestamp"]) or 0.0
            track = number(row.get("track"))
            tally.frame(name, self._time, () if track is None else (int(track),), [str(row.get("expression"))])

    def last(self, name: str) -> int:
        """Return the number of the last written frame of a clip."""
        return self._frame if name == self._name else -1

    def reports(self, name: str, smooth: float) -> Iterator[FrameReport]:
        """Yield the written reports of a clip, without its end if smoothing requires reading that again."""
        if name != self._name:
            return iter(())
        until = self._time - 2 * smooth if smooth else np.inf
        rows = (row for row in self._sinks.before() if row["input"] == name)
        return takewhile(lambda frame: frame.time <= until, recalled(rows))
