"""mien analyze: pictures to a table, a page, an annotated picture or JSON."""

import glob
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import click
from PIL import Image
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from mien import tables
from mien.cli.options import finding, to_files
from mien.draw import draw, percent, why
from mien.errors import InputError, MienError, ModelError
from mien.extras import optional
from mien.html import page, reduced
from mien.images import ENDINGS, read_image
from mien.pipeline import Pipeline
from mien.results import Outcome
from mien.zoo import DEFAULT

PICTURE_ENDINGS = (".png", ".jpg", ".jpeg")
ENDINGS_OUT = (*tables.WRITERS, ".html", *PICTURE_ENDINGS)
COLUMNS = {"mien": tables.WRITERS, "openface": tables.OPENFACE_WRITERS}
# What of a long name the terminal's table shows, without and with a column of reasons: both fit 80 columns.
NAME, NAME_BESIDE_WHY = 30, 22


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@to_files(ENDINGS_OUT)
@click.option(
    "--columns",
    type=click.Choice(list(COLUMNS)),
    default="mien",
    show_default=True,
    help="Columns of .csv and .parquet: mien's own, named as in py-feat, or OpenFace's (frame, pose_Rx, x_0, AU12_r, "
    "AU12_c), as far as mien measures them: AU*_r from 0 to 5, pose_R* in radians with OpenFace's signs.",
)
@click.option("--model", default=DEFAULT, metavar="NAME|FILE.onnx", show_default=True, help="Who reads the faces.")
@finding
@click.option("--threads", default=1, show_default=True, help="Threads for each model.")
@click.pass_context
def analyze(
    context: click.Context,
    inputs: tuple[str, ...],
    outputs: tuple[Path, ...],
    columns: str,
    model: str,
    threshold: float,
    max_side: int,
    rotations: bool,
    assume_crop: bool,
    threads: int,
) -> None:
    """Read the faces in pictures: files, folders (with all below them) or patterns such as 'study/*.jpg'.

    Without -o: a table on a terminal, JSON lines into a pipe. A picture that fails is reported and the rest goes on;
    then the exit code is 1.
    """
    paths = list(find(inputs))
    check_outputs(outputs, paths)
    _check_columns(columns, outputs)
    try:
        pipeline = Pipeline(
            model=model,
            threshold=threshold,
            max_side=max_side,
            rotations=rotations,
            assume_crop=assume_crop,
            threads=threads,
        )
    except (InputError, ModelError) as error:
        raise click.UsageError(str(error)) from error
    show = any(output.suffix.lower() not in tables.WRITERS for output in outputs)
    piped = not outputs and not sys.stdout.isatty()
    outcomes: list[Outcome] = []
    failed = False
    quiet = len(paths) < 2 or not sys.stderr.isatty()
    try:
        for path in track(paths, "Reading", console=Console(stderr=True), disable=quiet, transient=True):
            outcome = read(path, pipeline)
            if piped:
                click.echo(tables.json_line(outcome))
            image = outcome.image if show else None
            if image is not None and len(paths) > 1:
                image = reduced(image)  # a folder of large pictures would not fit into memory
            outcomes.append(replace(outcome, image=image))
    except KeyboardInterrupt:
        click.echo(f"mien: stopped after {len(outcomes)} of {len(paths)} inputs", err=True)
        failed = True
    if not piped:
        Console(stderr=bool(outputs) and not sys.stdout.isatty()).print(summary(outcomes))
    failed |= any(outcome.report is None for outcome in outcomes)
    for output in outputs if outcomes else ():
        try:
            if write(output, outcomes, columns):
                click.echo(f"wrote {output}", err=True)
        except OSError as error:  # the other files are still worth writing
            click.echo(f"mien: {output}: cannot be written ({error.strerror or error})", err=True)
            failed = True
    if failed:
        context.exit(1)


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


def read(path: str | Outcome, pipeline: Pipeline) -> Outcome:
    """One input to its outcome, with its picture; a failure is an outcome too."""
    if isinstance(path, Outcome):
        return path
    try:
        image = read_image(path)
        return Outcome(path, pipeline(image), image=image)
    except MienError as error:
        return Outcome(path, error=error)


def write(output: Path, outcomes: Sequence[Outcome], columns: str = "mien") -> bool:
    """Write all outcomes to one file; its ending says how. False when there is no picture to draw on.

    columns: of a table, a name in COLUMNS.
    """
    image, report = outcomes[0].image, outcomes[0].report
    ending = output.suffix.lower()
    # Written beside and then moved, so that a full disk does not cost the file that was there.
    beside = output.with_name(f".{output.stem}.part{output.suffix}")
    try:
        if ending in tables.WRITERS:
            COLUMNS[columns][ending](outcomes, beside)
        elif ending == ".html":
            beside.write_text(page(outcomes, f"mien {shlex.join(sys.argv[1:])}"), encoding="utf-8")
        elif image is None or report is None:
            return False
        else:
            Image.fromarray(draw(image, report)).save(beside, quality=92)
        beside.replace(output)
    finally:
        beside.unlink(missing_ok=True)
    return True


def summary(outcomes: Sequence[Outcome]) -> Table:
    """The answer on a terminal, one line a face; why only when a reader says it."""
    faces = [face for outcome in outcomes if outcome.report for face in outcome.report.faces]
    reasons = any(face.action_units is not None for face in faces)
    longest = NAME_BESIDE_WHY if reasons else NAME
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("picture", "face", "expression", "", "next", *(["why"] if reasons else [])):
        table.add_column(name, justify="right" if name in ("face", "") else "left", overflow="fold")
    for outcome in outcomes:
        name = escape(outcome.name if len(outcome.name) <= longest else "…" + outcome.name[1 - longest :])
        if outcome.report is None:
            table.add_row(name, "-", f"[red]{outcome.status}[/]: {escape(outcome.reason or '')}")
        elif not outcome.report.faces:
            table.add_row(name, "-", "no face found")
        for i, face in enumerate(outcome.report.faces if outcome.report else ()):
            first, second, *_ = face.expression.ranked
            table.add_row(
                name,
                str(i + 1),
                f"[bold]{first.label}[/]",
                percent(face.expression[first]),
                f"{second.label} {percent(face.expression[second])}",
                *([why(face)] if reasons else []),
            )
    return table


def check_outputs(outputs: Sequence[Path], inputs: Sequence[str | Outcome]) -> None:
    """Everything that could go wrong when writing is better said before an hour of reading."""
    read_from = {os.path.realpath(path) for path in inputs if isinstance(path, str)}
    for output in outputs:
        ending = output.suffix.lower()
        if ending not in ENDINGS_OUT:
            raise _wrong(f"{output}: the ending must be one of {' '.join(ENDINGS_OUT)}")
        if ending in PICTURE_ENDINGS and len(inputs) > 1:
            raise _wrong(f"{output}: a picture shows one input, but there are {len(inputs)}; use .html for many")
        if not output.parent.is_dir():
            raise _wrong(f"{output}: the folder {output.parent} does not exist")
        if not os.access(output.parent, os.W_OK):
            raise _wrong(f"{output}: the folder {output.parent} cannot be written to")
        if os.path.realpath(output) in read_from:
            raise _wrong(f"{output}: is also an input and would be overwritten")
        if ending == ".parquet":
            optional("pyarrow", "parquet")


def _check_columns(columns: str, outputs: Sequence[Path]) -> None:
    """Columns that nothing would show are a mistake; so is JSON beside them, which is the whole report always."""
    endings = [output.suffix.lower() for output in outputs]
    for ending in endings:
        if ending in tables.WRITERS and ending not in COLUMNS[columns]:
            raise _wrong(f"{columns} columns are for {' and '.join(COLUMNS[columns])}, not {ending}", "--columns")
    if columns != "mien" and not any(ending in COLUMNS[columns] for ending in endings):
        raise _wrong(f"{columns} columns need a table to be in: -o with {' or '.join(COLUMNS[columns])}", "--columns")


def _wrong(message: str, option: str = "-o") -> click.BadParameter:
    return click.BadParameter(message, param_hint=option)
