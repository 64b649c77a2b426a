"""mien analyze: pictures to a table, a page, an annotated picture or JSON."""

import glob
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from PIL import Image
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from mien import tables
from mien.datasets.folder import PICTURES
from mien.errors import InputError, MienError, ModelError
from mien.images import read_image
from mien.pipeline import Pipeline
from mien.results import Outcome
from mien.zoo import DEFAULT

PICTURE_ENDINGS = (".png", ".jpg", ".jpeg")
ENDINGS = (*tables.WRITERS, ".html", *PICTURE_ENDINGS)


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option(
    "-o",
    "--output",
    "outputs",
    type=click.Path(path_type=Path, dir_okay=False),
    multiple=True,
    help=f"File to write; its ending decides: {' '.join(ENDINGS)}. May be given several times.",
)
@click.option("--model", default=DEFAULT, metavar="NAME|FILE.onnx", show_default=True, help="Who reads the faces.")
@click.option("--threshold", default=0.7, show_default=True, help="Lowest detector score that counts as a face.")
@click.option("--max-side", default=640, show_default=True, help="Reduce longer pictures to this before detection.")
@click.option("--rotations", is_flag=True, help="Also find faces that lie on their side or hang upside down.")
@click.option("--assume-crop", is_flag=True, help="Every picture is one face already: detect nothing.")
@click.option("--threads", default=1, show_default=True, help="Threads for each model.")
@click.pass_context
def analyze(
    context: click.Context,
    inputs: tuple[str, ...],
    outputs: tuple[Path, ...],
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
    _check(outputs, len(paths))
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
    keep_pictures = any(output.suffix.lower() not in tables.WRITERS for output in outputs)
    piped = not outputs and not sys.stdout.isatty()
    outcomes: list[Outcome] = []
    quiet = len(paths) < 2 or not sys.stderr.isatty()
    for path in track(paths, "Reading", console=Console(stderr=True), disable=quiet, transient=True):
        outcome = read(path, pipeline, keep_pictures)
        outcomes.append(outcome)
        if piped:
            click.echo(tables.json_line(outcome))
    if not piped:
        Console(stderr=bool(outputs) and not sys.stdout.isatty()).print(summary(outcomes))
    failed = any(outcome.report is None for outcome in outcomes)
    for output in outputs:
        try:
            if write(output, outcomes):
                click.echo(f"wrote {output}", err=True)
        except OSError as error:  # the other files are still worth writing
            click.echo(f"mien: {output}: cannot be written ({error.strerror})", err=True)
            failed = True
    if failed:
        context.exit(1)


def find(inputs: Sequence[str]) -> Iterator[str | Outcome]:
    """The pictures that the arguments name, in a fixed order; an argument that names none gives its outcome at once."""
    for text in inputs:
        path = Path(text)
        if path.is_dir():
            found: list[str] = sorted(str(p) for p in path.rglob("*") if p.suffix.lower() in PICTURES and p.is_file())
            cause: InputError | None = InputError(f"{text}: no pictures in this folder", "no_pictures")
        elif not path.exists() and glob.has_magic(text):
            found = sorted(p for p in glob.glob(text, recursive=True) if Path(p).is_file())
            cause = InputError(f"{text}: the pattern matches no file", "missing")
        else:
            found, cause = [text], None
        yield from found
        if not found:
            yield Outcome(text, error=cause)


def read(path: str | Outcome, pipeline: Pipeline, keep_picture: bool = False) -> Outcome:
    """One input to its outcome; a failure is an outcome too."""
    if isinstance(path, Outcome):
        return path
    # A file name may hold bytes that are no UTF-8; they cannot stand in JSON or a table.
    name = path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    try:
        picture = read_image(path)
        return Outcome(name, pipeline(picture), image=picture if keep_picture else None)
    except MienError as error:
        return Outcome(name, error=error)


def write(output: Path, outcomes: Sequence[Outcome]) -> bool:
    """Write all outcomes to one file; its ending says how. False when there is no picture to draw on."""
    ending = output.suffix.lower()
    if ending in tables.WRITERS:
        tables.WRITERS[ending](outcomes, output)
    elif ending == ".html":
        from mien.html import page

        output.write_text(page(outcomes, f"mien {shlex.join(sys.argv[1:])}"), encoding="utf-8")
    else:
        image, report = outcomes[0].image, outcomes[0].report
        if image is None or report is None:
            return False
        from mien.draw import draw

        Image.fromarray(draw(image, report)).save(output, quality=92)
    return True


def summary(outcomes: Sequence[Outcome]) -> Table:
    """The answer on a terminal, one line a face."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("picture", "face", "expression", "", "next"):
        table.add_column(name, justify="right" if name in ("face", "") else "left", overflow="fold")
    for outcome in outcomes:
        name = escape(outcome.name if len(outcome.name) <= 30 else "…" + outcome.name[-29:])
        if outcome.report is None:
            table.add_row(name, "-", f"[red]{outcome.status}[/]: {escape(str(outcome.error))}")
        elif not outcome.report.faces:
            table.add_row(name, "-", "no face found")
        for i, face in enumerate(outcome.report.faces if outcome.report else ()):
            first, second, *_ = face.expression.ranked
            table.add_row(
                name,
                str(i + 1),
                f"[bold]{first.label}[/]",
                f"{face.expression[first]:.0%}",
                f"{second.label} {face.expression[second]:.0%}",
            )
    return table


def _check(outputs: Sequence[Path], inputs: int) -> None:
    """Everything that could go wrong when writing is better said before an hour of reading."""
    for output in outputs:
        ending = output.suffix.lower()
        if ending not in ENDINGS:
            raise click.BadParameter(f"{output}: the ending must be one of {' '.join(ENDINGS)}", param_hint="-o")
        if ending in PICTURE_ENDINGS and inputs > 1:
            raise click.BadParameter(
                f"{output}: a picture shows one input, but there are {inputs}; use .html for many", param_hint="-o"
            )
        if not output.parent.is_dir():
            raise click.BadParameter(f"{output}: the folder {output.parent} does not exist", param_hint="-o")
        if ending == ".parquet":
            from mien.extras import optional

            optional("pyarrow", "parquet")
