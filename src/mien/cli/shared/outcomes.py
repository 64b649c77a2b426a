"""Pictures in, files out: shared code of the commands that read photographs."""

import shlex
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import click
from rich.console import RenderableType

from mien.cli.shared.terminal import say
from mien.core.batch import Picture, find_pictures
from mien.core.images import ENDINGS, ImageSource
from mien.errors import InputError
from mien.facs.vocabulary import Attribute
from mien.progress import shown
from mien.report.clips import OUTPUTS as CLIP_OUTPUTS
from mien.report.embed import reduced
from mien.report.html import LARGE
from mien.report.outputs import ENDINGS as OUTPUTS
from mien.report.outputs import Output, check_outputs, open_output, shows_pictures
from mien.report.tables import ColumnNames
from mien.report.writers import json_line
from mien.results.outcome import Outcome
from mien.video.frames import ENDINGS as CLIP_ENDINGS
from mien.video.frames import is_clip

# With output files, the terminal shows a table of at most this many pictures, else counts.
SHOWN = 30


def given(inputs: Sequence[str], outputs: Sequence[Path], clips: bool = False) -> list[Picture]:
    """Return the pictures that the arguments name, "-" for standard input.

    clips: include clips, for which other outputs exist. Raise a usage error for unwritable outputs.
    """
    sources: list[ImageSource] = [sys.stdin.buffer if text == "-" else text for text in inputs]
    pictures = list(find_pictures(sources, ENDINGS | CLIP_ENDINGS if clips else ENDINGS))
    try:
        check_outputs(outputs, pictures, CLIP_OUTPUTS if clips and has_clips(pictures) else OUTPUTS)
    except InputError as error:
        raise wrong(str(error)) from error
    return pictures


def has_clips(pictures: Iterable[Picture]) -> bool:
    """Whether any input is a clip."""
    return any(isinstance(picture, str) and is_clip(picture) for picture in pictures)


def wrong(message: str, option: str = "-o") -> click.BadParameter:
    """Return a usage error about an option."""
    return click.BadParameter(message, param_hint=option)


def to_pipe(outputs: Sequence[Path]) -> bool:
    """Whether to print JSON lines: no output file is given and standard output is no terminal."""
    return not outputs and not sys.stdout.isatty()


@dataclass
class Gathered:
    """Results of the inputs read so far.

    outcomes: without pictures, as many as a terminal shows.   statuses: number of each. good: whether no input failed,
    none was left out, and every file was written.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    good: bool = True

    def shown(self, table: RenderableType) -> RenderableType:
        """Return a table of the outcomes, or a line of counts if there are too many."""
        count = self.statuses.total()
        if count == len(self.outcomes):
            return table
        return f"{count} pictures: {', '.join(f'{n} {status}' for status, n in self.statuses.most_common())}"


def gather(
    outcomes: Iterable[Outcome],
    count: int,
    outputs: Sequence[Path],
    doing: str = "",
    show: Callable[[Gathered], None] = lambda gathered: None,
    *,
    columns: ColumnNames = "mien",
    asked: Collection[Attribute] = (),
    safe_csv: bool = False,
) -> Gathered:
    """Write `count` outcomes to each file as they come, print JSON lines in a pipe, and report the files.

    After Ctrl-C or SIGTERM the finished rows stay in faces.part.csv beside faces.csv, which may be from an earlier run.
    A file that cannot be written is given up, and the others continue. doing: text of the progress bar; none by
    default.   show: prints the answer before the names of the files. columns, asked, safe_csv: see mien.open_writer.
    """
    gathered = Gathered()
    options: dict[str, Any] = {"columns": columns, "asked": asked, "safe_csv": safe_csv}
    files = _Files(outputs, options)
    quiet = not doing or count < 2
    shows = shows_pictures(outputs)
    stopped = True
    try:
        with stoppable():
            for outcome in shown(outcomes, doing, count, quiet=quiet):
                if to_pipe(outputs):
                    click.echo(json_line(outcome))
                image = outcome.image if shows else None
                if image is not None and count > 1:
                    image = reduced(image)  # large pictures would not fit into memory
                files.write(replace(outcome, image=image))
                gathered.statuses[outcome.status] += 1
                gathered.good &= outcome.report is not None
                if not outputs or len(gathered.outcomes) < SHOWN:
                    gathered.outcomes.append(replace(outcome, image=None))
        stopped = False
        show(gathered)
    except KeyboardInterrupt:
        say(f"mien: stopped after {gathered.statuses.total()} of {count} inputs")
        show(gathered)
    finally:
        with on_sigterm(signal.SIG_IGN):  # only finished outcomes remain
            sys.stdout.flush()
            files.close(whole=not stopped)
        gathered.good &= files.good and not stopped
    return gathered


class _Files:
    """The output files of a command."""

    def __init__(self, outputs: Sequence[Path], options: dict[str, Any]) -> None:
        self._open: dict[Path, Output] = {}
        self.good = True
        command = f"mien {shlex.join(sys.argv[1:])}"
        for output in outputs:
            with self._noted(output):
                self._open[output] = open_output(output, command=command, **options)

    def write(self, outcome: Outcome) -> None:
        for place, file in list(self._open.items()):
            with self._noted(place):
                file.write(outcome)

    def close(self, whole: bool) -> None:
        for place, file in list(self._open.items()):
            with self._noted(place):
                written = file.close() if whole else file.abandon()
                if written is not None:
                    say(f"wrote {written}")
                    if written.suffix.lower() == ".html" and (size := written.stat().st_size) > LARGE:
                        say(f"mien: {written} has {size // 1_000_000} MB, too much for many a browser; split the input")

    @contextmanager
    def _noted(self, place: Path) -> Iterator[None]:
        """Report a file that cannot be written and keep its finished part."""
        try:
            yield
        except Exception as error:
            say(unwritten(place, error))
            self.good = False
            self._open.pop(place, None)


def unwritten(place: Path, error: Exception) -> str:
    """Return the sentence about a file that cannot be written."""
    cause = (error.strerror if isinstance(error, OSError) else None) or error
    return f"mien: {place}: cannot be written ({cause})"


@contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGTERM, sent by Docker and SLURM, stop a command like Ctrl-C: finished results are kept."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    with on_sigterm(stop):
        yield


@contextmanager
def on_sigterm(handler: Callable[[int, Any], None] | signal.Handlers) -> Iterator[None]:
    """Call a function on SIGTERM inside the block."""
    if threading.current_thread() is not threading.main_thread():  # signals can be handled there only
        yield
        return

    before = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
