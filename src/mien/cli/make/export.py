"""mien export METHOD RUN: a finished training run to an ONNX file."""

from collections.abc import Sequence
from pathlib import Path

import click

from mien.cli.shared.data import DATA_HELP, open_data
from mien.datasets import Sample
from mien.datasets.hold_out import hold_out as split_off
from mien.methods.registry import method, methods

# What is tuned of models of the hub stays a checkpoint of transformers.
EXPORTED = [record.name for record in methods() if record.exports is not None]


@click.command(epilog=f"METHOD is one of {', '.join(EXPORTED)}.")
@click.argument("name", metavar="METHOD", type=click.Choice(EXPORTED))
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="The .onnx to write; a folder for a method that is exported as several files.",
)
@click.option("--calibrate", metavar="KIND:PATH", help=f"Faces to fit temperature and prior on. {DATA_HELP}")
@click.option(
    "--hold-out",
    type=float,
    default=0.0,
    metavar="SHARE",
    help="Of --calibrate, use the share that mien train --hold-out kept apart.",
)
@click.option(
    "--accuracy-cost",
    type=float,
    help="Fit on faces with a strict majority, and say how much accuracy better recall of rare classes may cost on "
    "them, as a fraction. Left out, the fit is on the votes of all readable faces, so that a probability means the "
    "share of people who would choose the word.",
)
@click.option("--half/--single", default=True, show_default=True, help="Precision that weights are stored in.")
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

    Refused when the ONNX graph and the network differ by more than 1e-4 in any probability or other answer, or when
    storing the weights in half precision (--half) then moves one by more than 1e-2; both differences are printed.
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
