"""`mien train METHOD`: each field of the method's Settings is an option."""

import logging
from pathlib import Path
from typing import Any

import click

from mien.cli.shared.data import DATA_HELP, open_data
from mien.cli.shared.groups import SectionCommand
from mien.cli.shared.runs import one_command_each
from mien.cli.shared.settings import given_settings, with_settings
from mien.datasets import Mixed, Synthetic
from mien.datasets.hold_out import hold_out as split_off
from mien.datasets.pseudo_labels import read
from mien.methods.registry import Method, method, methods


def _command(name: str) -> click.Command:
    record = method(name)
    base = record.settings()

    @click.command(name, cls=SectionCommand, help=record.summary)
    @click.option("--data", required=True, metavar="KIND:PATH", help=f"Faces to train on. {DATA_HELP}")
    @click.option("--split", help="Split of --data, if it has several.")
    @click.option(
        "--synthetic",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        help="Folder of generated faces to train on too, written by mien generate, best labelled by mien annotate.",
    )
    @click.option("--valid", metavar="KIND:PATH", help="Faces to measure accuracy on after each epoch; logged only.")
    @click.option(
        "--hold-out",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="Share of --data to hold out for choices and calibration, the same pictures in every method. Logged if "
        "there is no --valid.",
    )
    @click.option(
        "-o",
        "--output",
        type=click.Path(path_type=Path, file_okay=False),
        required=True,
        help="Folder to write the run to.",
    )
    @click.option("--resume", is_flag=True, help="Continue the run in the folder after its last complete epoch.")
    def command(
        data: str,
        split: str | None,
        synthetic: Path | None,
        valid: str | None,
        hold_out: float,
        output: Path,
        resume: bool,
        preset: str | None,
        pseudo_labels: Path | None = None,
        chains: Path | None = None,
        **flags: Any,
    ) -> None:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        lessons: dict[str, object] = {} if pseudo_labels is None else {"labels": read(pseudo_labels)}
        lessons |= {} if chains is None else {"chains": chains}
        faces, checked = open_data(data, split), None if valid is None else open_data(valid)
        if hold_out:
            faces, apart = split_off(faces, hold_out)
            checked = apart if checked is None else checked
        dataset = faces if synthetic is None else Mixed(faces, Synthetic(synthetic))
        settings = given_settings(record.presets, preset, flags, base)
        record.train(dataset, settings, output, valid=checked, resume=resume, **lessons)
        from mien.training.run import Run

        mixed = None if synthetic is None else str(synthetic)
        Run(output).keep_data(dataset, data=data, split=split, synthetic=mixed, hold_out=f"{hold_out:g}")
        click.echo(f"wrote {output}{_next(record, output)}", err=True)

    return with_settings(record.presets, base)(_with_lessons(record)(command))


def _next(record: Method, output: Path) -> str:
    if record.exports is None:
        return ""
    to = "model.onnx" if record.exports == "file" else "FOLDER"
    return f"; next: mien export {record.name} {output} -o {to}"


def _with_lessons(record: Method) -> Any:
    """Return a decorator that adds an option for each further source the method learns from."""

    def add(command: click.Command) -> click.Command:
        if "pseudo_labels" in record.lessons:
            command = click.option(
                "--pseudo-labels",
                type=click.Path(path_type=Path, dir_okay=False),
                required="pseudo_labels" in record.required,
                help="A teacher's labels of --data for action units or attention, written by mien pseudo-label.",
            )(command)
        if "chains" in record.lessons:
            command = click.option(
                "--cot",
                "chains",
                type=click.Path(path_type=Path, exists=True, dir_okay=False),
                required="chains" in record.required,
                help="Chains of thought for --data, written by mien cot.",
            )(command)
        return command

    return add


@click.group(cls=one_command_each("Methods", lambda: {m.name: m.summary for m in methods()}, _command))
def train() -> None:
    """Train a method on labelled faces. --resume continues a run that was stopped."""
