"""`mien ablate METHOD`: train the arms of a method's ablation and compare them."""

import logging
from importlib import import_module
from pathlib import Path
from typing import Any

import click
from rich.console import Group

from mien.cli.shared.data import DATA_HELP, open_data
from mien.cli.shared.groups import SectionCommand
from mien.cli.shared.result import interval, measured, publish
from mien.cli.shared.runs import one_command_each
from mien.cli.shared.settings import Numbers, given_settings, with_settings
from mien.cli.shared.terminal import new_table
from mien.evaluation.result import Result
from mien.methods.registry import method, methods


def _command(name: str) -> click.Command:
    record = method(name)
    ablation = record.module(record.ablation)
    base = next(iter(ablation.SETTINGS.values()))

    @click.command(
        name,
        cls=SectionCommand,
        help=record.ablated,
        epilog="; ".join(f"{a}: {arm.purpose}" for a, arm in ablation.ARMS.items()),
    )
    @click.option("--data", required=True, metavar="KIND:PATH", help=f"Faces to train on. {DATA_HELP}")
    @click.option("--valid", required=True, metavar="KIND:PATH", help="Faces to evaluate on.")
    @click.option(
        "--arms", default=",".join(ablation.ARMS), show_default=True, metavar="ARM,ARM,...", help="Arms to train."
    )
    @click.option("--seeds", type=Numbers(), default="0,1,2", show_default=True, help="Seeds to train each arm with.")
    @click.option(
        "-o",
        "--output",
        type=click.Path(path_type=Path, file_okay=False),
        required=True,
        help="Folder of the runs; all finished runs in it are used.",
    )
    def command(
        data: str, valid: str, arms: str, seeds: tuple[int, ...], output: Path, preset: str | None, **flags: Any
    ) -> None:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        runs = import_module("mien.training.experiment")
        settings = given_settings(ablation.SETTINGS, preset, flags, base)
        runs.run(record.train, ablation, settings, arms.split(","), seeds, open_data(data), open_data(valid), output)
        report = {"method": name, "data": data, "valid": valid} | runs.table(ablation, output)
        publish(measured(report), summary(report), output / runs.TABLE, width=100)
        if report["questions"]:
            import_module("mien.evaluation.figures").differences(report, output / "table.png")
            click.echo(f"wrote {output / 'table.png'}", err=True)

    return with_settings(ablation.SETTINGS, base, without=("seed",))(command)


@click.group(cls=one_command_each("Methods", lambda: {m.name: m.ablated for m in methods() if m.ablation}, _command))
def ablate() -> None:
    """Train the arms of a method's ablation; answer its questions with intervals, as a table and a figure.

    The same command continues after an interruption, and uses all finished arms and seeds in the folder.
    """


def summary(report: Result) -> Group:
    """Return arms, questions and claims for the terminal, in percent and points."""
    arms = new_table("arm", "seeds", "accuracy %", "macro F1 %", "")
    arms.title = (
        f"{report['method']} on {report['valid']}, {report['protocol']}, n = {report['n']}, {report['epochs']} epochs"
    )
    for row in report["arms"]:
        seeds = ",".join(map(str, row["seeds"]))
        arms.add_row(row["arm"], seeds, interval(row["accuracy"]), interval(row["macro_f1"]), row["purpose"])
    questions = new_table("question", "points", "answer")
    for entry in report["questions"]:
        questions.add_row(entry["question"], interval(entry, signed=True), entry["answer"])
    claims = new_table("claim", "answer")
    for sentence, answer in report["sentences"].items():
        claims.add_row(sentence, answer)
    claims.caption = "intervals: 95 %, bootstrap over faces within each class of the mean over seeds"
    return Group(arms, "", questions, "", claims)
