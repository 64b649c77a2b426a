"""mien analyze: pictures to a table, a page, an annotated picture or JSON."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mien.cli.shared.options import finding, to_files
from mien.cli.shared.outcomes import COLUMNS, ENDINGS_OUT, check_outputs, find, gather, read, save, to_pipe, wrong
from mien.core.pipeline import Pipeline
from mien.core.zoo import DEFAULT
from mien.errors import InputError, ModelError
from mien.report import tables
from mien.report.draw import percent, why
from mien.results.outcome import Outcome

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
    gathered = gather(paths, lambda path: read(path, pipeline), outputs, "Reading")
    if not to_pipe(outputs):
        Console(stderr=bool(outputs) and not sys.stdout.isatty()).print(summary(gathered.outcomes))
    if not save(gathered, outputs, columns):
        context.exit(1)


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


def _check_columns(columns: str, outputs: Sequence[Path]) -> None:
    """Columns that nothing would show are a mistake; so is JSON beside them, which is the whole report always."""
    endings = [output.suffix.lower() for output in outputs]
    for ending in endings:
        if ending in tables.WRITERS and ending not in COLUMNS[columns]:
            raise wrong(f"{columns} columns are for {' and '.join(COLUMNS[columns])}, not {ending}", "--columns")
    if columns != "mien" and not any(ending in COLUMNS[columns] for ending in endings):
        raise wrong(f"{columns} columns need a table to be in: -o with {' or '.join(COLUMNS[columns])}", "--columns")
