"""Pictures in, files out: what the commands that read photographs have in common."""

import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import click
from rich.console import Console
from rich.progress import track

from mien.core.batch import Picture, find_pictures
from mien.core.images import ENDINGS
from mien.errors import InputError
from mien.report.clips import OUTPUTS as CLIP_OUTPUTS
from mien.report.embed import reduced
from mien.report.outputs import ENDINGS as OUTPUTS
from mien.report.outputs import check_outputs, shows_pictures, write_output
from mien.report.tables import ColumnNames
from mien.report.writers import free_part, json_line
from mien.results.outcome import Outcome
from mien.video.frames import ENDINGS as CLIP_ENDINGS
from mien.video.frames import is_clip


def given(inputs: Sequence[str], outputs: Sequence[Path], clips: bool = False) -> list[Picture]:
    """The pictures that the arguments name; a usage error for files that could not be written.

    clips: those too, for which other files can be written.
    """
    pictures = list(find_pictures(inputs, ENDINGS | CLIP_ENDINGS if clips else ENDINGS))
    try:
        check_outputs(outputs, pictures, CLIP_OUTPUTS if clips and has_clips(pictures) else OUTPUTS)
    except InputError as error:
        raise wrong(str(error)) from error
    return pictures


def has_clips(pictures: Iterable[Picture]) -> bool:
    """Whether any of them is a clip."""
    return any(isinstance(picture, str) and is_clip(picture) for picture in pictures)


def wrong(message: str, option: str = "-o") -> click.BadParameter:
    """A mistake in what an option was given."""
    return click.BadParameter(message, param_hint=option)


def to_pipe(outputs: Sequence[Path]) -> bool:
    """Whether JSON lines go into a pipe, because no file is asked for and nobody looks at a terminal."""
    return not outputs and not sys.stdout.isatty()


class Gathered(NamedTuple):
    """What became of the inputs, as far as they were reached.

    stopped: by Ctrl-C, before the end.
    """

    outcomes: list[Outcome]
    stopped: bool


def gather(outcomes: Iterable[Outcome], count: int, outputs: Sequence[Path], doing: str = "") -> Gathered:
    """Collect `count` outcomes, each also as a line of JSON into a pipe; keep pictures only for files that show them.

    doing: what a progress bar says; left out, there is none.
    """
    show = shows_pictures(outputs)
    kept: list[Outcome] = []
    quiet = not doing or count < 2 or not sys.stderr.isatty()
    try:
        for outcome in track(outcomes, doing, total=count, console=Console(stderr=True), disable=quiet, transient=True):
            if to_pipe(outputs):
                click.echo(json_line(outcome))
            image = outcome.image if show else None
            if image is not None and count > 1:
                image = reduced(image)  # a folder of large pictures would not fit into memory
            kept.append(replace(outcome, image=image))
    except KeyboardInterrupt:
        click.echo(f"mien: stopped after {len(kept)} of {count} inputs", err=True)
        return Gathered(kept, True)
    return Gathered(kept, False)


def save(gathered: Gathered, outputs: Sequence[Path], columns: ColumnNames = "mien") -> bool:
    """Write every file, and say so. False when one could not be written, an input failed or not all were reached.

    What there is of a run that was stopped goes beside, as faces.part.csv for faces.csv: a whole file of an earlier run
    may be there.
    """
    outcomes, stopped = gathered
    good = not stopped and all(outcome.report is not None for outcome in outcomes)
    for output in outputs if outcomes else ():
        place = free_part(output) if stopped else output
        try:
            if write_output(outcomes, place, columns, f"mien {shlex.join(sys.argv[1:])}"):
                click.echo(f"wrote {place}", err=True)
        except OSError as error:  # the other files are still worth writing
            click.echo(f"mien: {place}: cannot be written ({error.strerror or error})", err=True)
            good = False
    return good
