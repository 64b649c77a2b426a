"""Clips and photographs to tables, a page and an annotated clip, all written as they are read."""

import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click

from mien.batch.before import RowsBefore
from mien.batch.reading import InputReader, Item, ReadingOptions
from mien.cli.read.clip_files import Sinks, check
from mien.cli.shared.outcomes import stoppable
from mien.cli.shared.tally import ClipProgress, Tally
from mien.cli.shared.terminal import say
from mien.core.batch import Picture
from mien.report.clips import frame_record
from mien.results.outcome import Outcome
from mien.results.record import Record
from mien.video.series import number


def run(inputs: Sequence[Picture], outputs: Sequence[Path], reading: ReadingOptions, *, resume: bool = False) -> bool:
    """Read clips and photographs in order and write the outputs. Return False if an input failed, a file
    could not be written, or the run was stopped.

    Without outputs, print JSON lines in a pipe, and a summary on a terminal.
    """
    check(inputs, outputs, reading, resume)
    tally = Tally()
    piping = not outputs and not sys.stdout.isatty()
    try:
        with stoppable(), Sinks(outputs, reading, resume) as sinks, ClipProgress(len(inputs)) as progress:
            done = RowsBefore(sinks.before, lambda row: _again(row, sinks, tally)) if resume else None
            watch = partial(progress.clip, span=reading.span)
            read = InputReader(reading, keep_images=sinks.shows_frames, watch=watch)
            for source in inputs:
                for item in read(source, done):
                    _put(item, sinks, tally, piping)
                    if outputs and not sinks.open:
                        return False  # nothing can be written any more
    except KeyboardInterrupt:
        say("mien: stopped; --resume continues after the last written frame")
        return False
    for output in sinks.open:
        say(f"wrote {output}")
    if not piping:
        tally.show(to_stderr=bool(outputs) and not sys.stdout.isatty())
    return sinks.good and not tally.failed


def _put(item: Item, sinks: Sinks, tally: Tally, piping: bool) -> None:
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


def _again(row: Record, sinks: Sinks, tally: Tally) -> None:
    """Count a row that an earlier run has written."""
    sinks.again(row)
    name = str(row["input"])
    if number(row.get("frame")) is not None:
        track = number(row.get("track"))
        tally.frame(
            name, number(row["timestamp"]) or 0.0, () if track is None else (int(track),), [str(row.get("expression"))]
        )
    elif row["status"] not in ("ok", "no_face"):
        tally.failed.append(name)
