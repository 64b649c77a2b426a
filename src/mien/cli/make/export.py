"""`mien export METHOD RUN`: export a finished training run to ONNX."""

from collections.abc import Sequence
from pathlib import Path

import click

from mien.cli.shared.data import DATA_HELP, open_data
from mien.cli.shared.runs import MethodCommand, MethodName
from mien.datasets import Sample
from mien.datasets.hold_out import hold_out as split_off
from mien.methods.registry import Method, method


def exported(record: Method) -> bool:
    """Whether a method is exported; fine-tuned hub models stay checkpoints of transformers."""
    return record.exports is not None


@click.command(cls=MethodCommand)
@click.argument("name", metavar="METHOD", type=MethodName(exported))
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="File to write (.onnx), or a folder for a method of several files.",
)
@click.option("--calibrate", metavar="KIND:PATH", help=f"Faces to fit the calibration on. {DATA_HELP}")
@click.option(
    "--hold-out",
    type=float,
    default=0.0,
    metavar="SHARE",
    help="Use only the held-out share of --calibrate, as in mien train --hold-out.",
)
@click.option(
    "--accuracy-cost",
    type=float,
    help="Fit on faces with a majority label, and allow this loss of accuracy, as a "
    "fraction, for better recall of rare "
    "classes. By default, fit on the votes of all readable faces: a probability then estimates the share of people "
    "who would choose the word.",
)
@click.option("--half/--single", default=True, show_default=True, help="Precision of the stored weights.")
def export(
    name: str,
    run: Path,
    output: Path,
    calibrate: str | None,
    hold_out: float,
    accuracy_cost: float | None,
    half: bool,
) -> None:
    """Export a finished training run to an ONNX file with its labels, size and normalization.

    Fails if the ONNX graph differs from the network by more than 1e-4 in any answer, or if half precision (--half)
    changes an answer by more than 1e-2. Prints both differences.
    """
    record = method(name)
    if output.is_dir() and record.exports == "file":
        raise click.UsageError(f"{output} is a folder; name the .onnx to write")
    data: Sequence[Sample] | None = None if calibrate is None else open_data(calibrate)
    if data is not None and hold_out:
        data = split_off(data, hold_out).held_out
    differences = record.export(run, output, calibrate=data, accuracy_cost=accuracy_cost, half=half)
    for what, difference in differences.items():
        click.echo(f"largest difference of an answer, {what}: {difference:.2g}", err=True)
    for file in sorted(output.iterdir()) if output.is_dir() else [output]:
        click.echo(f"wrote {file} ({file.stat().st_size / 1e6:.1f} MB)", err=True)
