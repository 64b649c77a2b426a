"""Pictures in, files out: what the commands that read photographs have in common."""

import glob
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import track

from mien.core.images import ENDINGS, read_image
from mien.errors import InputError, MienError
from mien.extras import optional
from mien.report import tables
from mien.report.draw import draw
from mien.report.embed import reduced
from mien.report.html import page
from mien.results.face import ImageReport
from mien.results.outcome import Outcome

PICTURE_ENDINGS = (".png", ".jpg", ".jpeg")
ENDINGS_OUT = (*tables.WRITERS, ".html", *PICTURE_ENDINGS)
COLUMNS = {"mien": tables.WRITERS, "openface": tables.OPENFACE_WRITERS}


def find(inputs: Sequence[str]) -> Iterator[str | Outcome]:
    """The pictures that the arguments name, in a fixed order; an argument that names none gives its outcome at once."""
    for text in inputs:
        # os.path answers False where Path would raise, as for a folder that may not be entered.
        if os.path.isdir(text):
            found: list[str | Outcome] = list(_walk(text))
            cause = InputError(f"{text}: no pictures in this folder", "no_pictures")
        elif not os.path.exists(text) and glob.has_magic(text):
            found = [path for path in sorted(glob.glob(text, recursive=True)) if os.path.isfile(path)]
            cause = InputError(f"{text}: the pattern matches no file", "missing")
        else:
            found, cause = [text], InputError("")
        yield from found or [Outcome(text, error=cause)]


def _walk(folder: str) -> Iterator[str | Outcome]:
    """The pictures in a folder and below, and an outcome for each folder that cannot be listed."""
    refused: list[OSError] = []
    for here, folders, names in os.walk(folder, onerror=refused.append):
        folders.sort()
        for name in sorted(names):
            if os.path.splitext(name)[1].lower() in ENDINGS and not name.startswith("."):
                yield os.path.join(here, name)
    for error in refused:
        cause = InputError(f"{error.filename}: cannot be listed ({error.strerror})", "unreadable")
        yield Outcome(str(error.filename), error=cause)


def check_outputs(outputs: Sequence[Path], inputs: Sequence[str | Outcome]) -> None:
    """Everything that could go wrong when writing is better said before an hour of reading."""
    read_from = {os.path.realpath(path) for path in inputs if isinstance(path, str)}
    for output in outputs:
        ending = output.suffix.lower()
        if ending not in ENDINGS_OUT:
            raise wrong(f"{output}: the ending must be one of {' '.join(ENDINGS_OUT)}")
        if ending in PICTURE_ENDINGS and len(inputs) > 1:
            raise wrong(f"{output}: a picture shows one input, but there are {len(inputs)}; use .html for many")
        if not output.parent.is_dir():
            raise wrong(f"{output}: the folder {output.parent} does not exist")
        if not os.access(output.parent, os.W_OK):
            raise wrong(f"{output}: the folder {output.parent} cannot be written to")
        if os.path.realpath(output) in read_from:
            raise wrong(f"{output}: is also an input and would be overwritten")
        if ending == ".parquet":
            optional("pyarrow", "parquet")


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


def gather(
    paths: Sequence[str | Outcome], answer: Callable[[str | Outcome], Outcome], outputs: Sequence[Path], doing: str = ""
) -> Gathered:
    """The answer to each input, also as a line of JSON into a pipe; pictures are kept only for files that show them.

    doing: what a progress bar says; left out, there is none.
    """
    show = any(output.suffix.lower() not in tables.WRITERS for output in outputs)
    outcomes: list[Outcome] = []
    quiet = not doing or len(paths) < 2 or not sys.stderr.isatty()
    try:
        for path in track(paths, doing, console=Console(stderr=True), disable=quiet, transient=True):
            outcome = answer(path)
            if to_pipe(outputs):
                click.echo(tables.json_line(outcome))
            image = outcome.image if show else None
            if image is not None and len(paths) > 1:
                image = reduced(image)  # a folder of large pictures would not fit into memory
            outcomes.append(replace(outcome, image=image))
    except KeyboardInterrupt:
        click.echo(f"mien: stopped after {len(outcomes)} of {len(paths)} inputs", err=True)
        return Gathered(outcomes, True)
    return Gathered(outcomes, False)


def read(path: str | Outcome, report: Callable[[NDArray[np.uint8]], ImageReport]) -> Outcome:
    """One input to its outcome, with its picture; a failure is an outcome too.   report: such as a Pipeline."""
    if isinstance(path, Outcome):
        return path
    try:
        image = read_image(path)
        return Outcome(path, report(image), image=image)
    except MienError as error:
        return Outcome(path, error=error)


def save(gathered: Gathered, outputs: Sequence[Path], columns: str = "mien") -> bool:
    """Write every file, and say so. False when one could not be written, an input failed or not all were reached.

    What there is of a run that was stopped goes beside, as faces.part.csv for faces.csv: a whole file of an earlier run
    may be there.   columns: of a table, a name in COLUMNS.
    """
    outcomes, stopped = gathered
    good = not stopped and all(outcome.report is not None for outcome in outcomes)
    for output in outputs if outcomes else ():
        place = output.with_name(f"{output.stem}.part{output.suffix}") if stopped else output
        try:
            if _write(place, outcomes, columns):
                click.echo(f"wrote {place}", err=True)
        except OSError as error:  # the other files are still worth writing
            click.echo(f"mien: {place}: cannot be written ({error.strerror or error})", err=True)
            good = False
    return good


def _write(output: Path, outcomes: Sequence[Outcome], columns: str) -> bool:
    """Write all outcomes to one file; its ending says how. False when there is no picture to draw on."""
    image, report = outcomes[0].image, outcomes[0].report
    ending = output.suffix.lower()
    if ending in PICTURE_ENDINGS and (image is None or report is None):
        return False
    with replacing(output) as beside:
        if ending in tables.WRITERS:
            COLUMNS[columns][ending](outcomes, beside)
        elif ending == ".html":
            beside.write_text(page(outcomes, f"mien {shlex.join(sys.argv[1:])}"), encoding="utf-8")
        else:
            assert image is not None
            assert report is not None
            Image.fromarray(draw(image, report)).save(beside, quality=92)
    return True


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """A place beside a file to write to, which takes its place once all is written.

    So neither a full disk nor a stop costs the file that was there.
    """
    beside = file.with_name(f".{file.stem}.part{file.suffix}")
    try:
        yield beside
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)
