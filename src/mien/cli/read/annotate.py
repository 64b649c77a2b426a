"""`mien annotate`: soft labels for faces by vote, and which labels to keep."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from mien.cli.shared.terminal import new_table, say, show
from mien.cli.shared.threads import in_threads, jobs_option
from mien.core.align import align, to_crop_frame
from mien.core.detect import Detector, YuNet, surest, whole_picture
from mien.core.images import read_image
from mien.datasets.folder import named, pictures
from mien.datasets.synthetic import LABELED, MADE, read_lines
from mien.errors import InputError
from mien.facs.vocabulary import Expression, expression
from mien.files import replacing
from mien.methods.feranno import labeler as feranno

# Faces in a batch.
BATCH = 32


def labeler(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that name the three models of FERAnno."""
    for name, usual, text in (
        ("--units", "reader", "Model that estimates the action units for the generator."),
        ("--generator", "synfer", "Generator whose features the head reads."),
        ("--head", "feranno", "FERAnno's head."),
    ):
        command = click.option(name, default=usual, show_default=True, metavar="NAME|FILE.onnx", help=text)(command)
    return command


class LabelledPicture(NamedTuple):
    """A face to label: its name in the folder, and its requested or filed label, if any."""

    file: str
    requested: Expression | None


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"JSON lines to write. Default: {LABELED} in the folder, where training looks for it.",
)
@labeler
@click.option(
    "--expert",
    "experts",
    multiple=True,
    metavar="NAME|FILE.onnx",
    help="Classifier that also votes; repeatable. Default: all that come with mien. None of them may guide or judge "
    "the same faces.",
)
@click.option("--detect", is_flag=True, help="Detect the face in each picture; by default each picture is one face.")
@jobs_option(f"Batches of {BATCH} faces labelled in parallel.")
@click.pass_context
def annotate(
    context: click.Context,
    folder: Path,
    output: Path | None,
    head: str,
    generator: str,
    units: str,
    experts: tuple[str, ...],
    detect: bool,
    jobs: int,
) -> None:
    """Label the faces in a folder by the vote of FERAnno and other classifiers.

    A face generated for an expression, or in a folder named after one, keeps that label if the vote agrees. Otherwise
    it is relabelled if the vote is confident, and dropped if not. The exit code is 1 if a picture could not be read or
    had no face.
    """
    alone = feranno.FerAnno(feranno.Seer(generator, units), head)
    jury = feranno.Jury(alone, experts or feranno.experts())
    entries = listed(folder)
    finder = YuNet() if detect else whole_picture
    parts = [entries[i : i + BATCH] for i in range(0, len(entries), BATCH)]

    def labels(some: Sequence[LabelledPicture]) -> list[dict[str, object]]:
        return labelled(folder, some, jury, alone.size, finder)

    rows, failed = [], 0
    place = output or folder / LABELED
    with replacing(place) as beside, beside.open("w", encoding="utf-8") as file:
        for some in in_threads(labels, parts, jobs, "Labelling", len(parts)):
            for row in some:
                file.write(feranno.to_line(row))
                if "status" in row:
                    failed += 1
                else:
                    rows.append(row)
    if not sys.stdout.isatty():
        click.echo(json.dumps(feranno.counts(rows)))
    show(summary(rows), to_stderr=not sys.stdout.isatty())
    say(f"wrote {place}: {len(rows)} labels" + (f", {failed} pictures without" if failed else ""))
    if failed:
        context.exit(1)


def listed(folder: Path) -> list[LabelledPicture]:
    """Return the generated faces that a folder lists, or else all its pictures; raise InputError if there are none."""
    if (folder / MADE).is_file():
        rows = read_lines(folder / MADE)
        return [
            LabelledPicture(r["file"], None if r["requested"] is None else expression(r["requested"])) for r in rows
        ]
    entries = [LabelledPicture(str(file.relative_to(folder)), named(file.parent.name)) for file in pictures(folder)]
    if not entries:
        raise InputError(f"{folder}: no pictures in this folder")
    return entries


def labelled(
    folder: Path, some: Sequence[LabelledPicture], jury: feranno.Jury, size: int, detect: Detector
) -> list[dict[str, object]]:
    """Yield a row per picture, in order; a failed one has a status and an error instead of a label."""
    crops: dict[str, NDArray[np.uint8]] = {}
    failures: dict[str, dict[str, object]] = {}
    for picture in some:
        try:
            image = read_image(folder / picture.file)
            face = surest(detect(image))
            if face is None:
                raise InputError("no face was found in it", "no_face")
            crops[picture.file] = align(image, [to_crop_frame(face)], size)[0]
        except InputError as error:
            failures[picture.file] = {"file": picture.file, "status": error.status, "error": str(error)}
    there = [picture for picture in some if picture.file in crops]
    verdicts = jury(np.stack([*crops.values()]), [picture.requested for picture in there]) if there else []
    rows = {p.file: feranno.row(p.file, p.requested, v) for p, v in zip(there, verdicts, strict=True)}
    return [(rows | failures)[picture.file] for picture in some]


def summary(rows: Sequence[dict[str, object]]) -> Table:
    """Return the verdicts, one row per requested label, and how far the voters agreed."""
    numbers = ("faces", "keep %", "relabel %", "label %", "drop %")
    lines = new_table("requested", *numbers, right=numbers)
    for name, count in feranno.counts(rows).items():
        total = sum(count.values())
        if name == "all":
            lines.add_section()
        lines.add_row(name, str(total), *(f"{100 * n / total:.1f}" if total else "-" for n in count.values()))
    if rows:
        agreement = np.mean([float(str(row["agreement"])) for row in rows])
        lines.caption = f"the voters' own answers agree with the vote in {100 * agreement:.1f} % of cases"
    return lines
