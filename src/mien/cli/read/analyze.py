"""`mien analyze`: photographs and clips to a table, a page, an annotated picture or JSON."""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click
from rich.table import Table

from mien.batch.reading import ReadingOptions
from mien.cli.read.clips import run
from mien.cli.read.study import is_folder, run_study
from mien.cli.shared.clip_options import ClipOptions, clip_options
from mien.cli.shared.options import finding, safe, to_files, with_model
from mien.cli.shared.outcomes import Gathered, gather, given, has_clips, to_pipe, wrong
from mien.cli.shared.terminal import cell, new_table, shortened, show, usage_errors
from mien.core.batch import read_many
from mien.core.detect import Rotations
from mien.core.pipeline import Pipeline, PipelineOptions
from mien.errors import InputError
from mien.report.draw import percent, why
from mien.report.outputs import ENDINGS, check_columns, shows_pictures
from mien.report.tables import LAYOUTS, ColumnNames
from mien.results.outcome import Outcome

# Shown length of a name, without and with a column of reasons; both fit 80 columns.
NAME, NAME_BESIDE_WHY = 30, 22


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@to_files(
    ENDINGS,
    "For clips: a table, a page (.html) or the annotated clip (.mp4). A folder, or a name without ending: Parquet "
    "parts in it, which the same command continues after a stop.",
    folders=True,
)
@click.option(
    "--columns",
    type=click.Choice(list(LAYOUTS)),
    default="mien",
    show_default=True,
    help="Columns of .csv and .parquet: mien's own, named as in py-feat, or those of "
    "OpenFace that mien measures (frame, "
    "pose_Rx, x_0, AU12_r, AU12_c): AU*_r from 0 to 5, pose_R* in radians with OpenFace's signs.",
)
@safe
@with_model
@finding
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Pictures read in parallel.")
@click.option(
    "--workers", type=click.IntRange(min=1), help="For a folder: processes that read in parallel.  [default: 1]"
)
@click.option("--part-size", type=click.IntRange(min=1), help="For a folder: pictures per part; 500 in a large study.")
@clip_options
@click.option(
    "--prior",
    metavar="NAME|N,N,...",
    help="Prior: frequency of each expression in these pictures. ferplus (default) is that of the training faces; else "
    "uniform, or eight shares from neutral to contempt.",
)
@click.option("--threads", default=1, show_default=True, help="Threads of each model.")
@click.pass_context
def analyze(
    context: click.Context,
    inputs: tuple[str, ...],
    outputs: tuple[Path, ...],
    columns: ColumnNames,
    safe_csv: bool,
    model: str,
    threshold: float,
    max_side: int,
    rotations: Rotations,
    assume_crop: bool,
    jobs: int,
    workers: int | None,
    part_size: int | None,
    prior: str | None,
    threads: int,
    clip: ClipOptions,
) -> None:
    """Read the faces in photographs and clips.

    Inputs are files, folders (with all below), patterns such as 'study/*.jpg', or - for a picture on standard input.
    Without -o: a table on a terminal, JSON lines in a pipe. Inputs that fail are reported and skipped; the exit code is
    then 1. In a clip, faces are tracked and each frame has its rows; -o may also be a timeline page (.html) or the
    annotated clip (.mp4, extra video).

    A folder as output (-o out/) takes a study of any size, read by --workers processes. The same command continues it
    after a stop or a kill; `mien merge` makes one file of it.
    """
    folder = any(map(is_folder, outputs))
    _refuse(folder, jobs, workers, part_size)
    options: PipelineOptions = {
        "model": model, "threads": threads, "threshold": threshold, "max_side": max_side, "rotations": rotations,
        "assume_crop": assume_crop,
    }  # fmt: skip
    if prior is not None:
        options["prior"] = prior
    pictures = given(inputs, () if folder else outputs, clips=True)
    if folder or has_clips(pictures):
        reading = ReadingOptions(columns=columns, safe_csv=safe_csv, options=options, **clip.reading)
        if folder:
            good = run_study(pictures, outputs, reading, workers or 1, part_size)
        else:
            good = run(pictures, outputs, reading, resume=clip.resume)
        if not good:
            context.exit(1)
        return
    clip.refuse()
    try:
        check_columns(columns, outputs)
    except InputError as error:
        raise wrong(str(error), "--columns") from error
    with usage_errors():
        pipeline = Pipeline(**options)
    outcomes = read_many(pictures, pipeline, jobs=jobs, images=shows_pictures(outputs))
    show = partial(_show, outputs)
    if not gather(outcomes, len(pictures), outputs, "Reading", show, columns=columns, safe_csv=safe_csv).good:
        context.exit(1)


def _refuse(folder: bool, jobs: int, workers: int | None, part_size: int | None) -> None:
    if folder and jobs > 1:
        raise wrong("reads into files; into a folder say --workers", "--jobs")
    if not folder and (workers or part_size):
        raise wrong("is for a folder: -o out/", "--workers" if workers else "--part-size")


def _show(outputs: Sequence[Path], gathered: Gathered) -> None:
    if not to_pipe(outputs):
        answers = gathered.shown(summary(gathered.outcomes))
        show(answers, to_stderr=bool(outputs) and not sys.stdout.isatty())


def summary(outcomes: Sequence[Outcome]) -> Table:
    """Return the answer for the terminal, one line per face, with reasons if a reader gives them."""
    faces = [face for outcome in outcomes if outcome.report for face in outcome.report.faces]
    reasons = any(face.action_units is not None for face in faces)
    longest = NAME_BESIDE_WHY if reasons else NAME
    lines = new_table("picture", "face", "expression", "", "next", *(["why"] if reasons else []), right=("face", ""))
    for outcome in outcomes:
        name = shortened(outcome.name, longest)
        if outcome.report is None:
            lines.add_row(name, "-", f"[red]{outcome.status}[/]: {cell(outcome.reason or '')}")
        elif not outcome.report.faces:
            lines.add_row(name, "-", "no face found")
        for i, face in enumerate(outcome.report.faces if outcome.report else ()):
            first, second, *_ = face.expression.ranked
            top = ("unclear", "") if face.unclear else (f"[bold]{first.label}[/]", percent(face.expression[first]))
            following = first if face.unclear else second
            lines.add_row(
                name,
                str(i + 1),
                *top,
                f"{following.label} {percent(face.expression[following])}",
                *([why(face)] if reasons else []),
            )
    return lines
