"""`mien compare`: results of several models to one table of differences with intervals."""

from pathlib import Path

import click
from rich.table import Table

from mien.cli.shared.result import check, interval, measured, publish, resampled, to_file
from mien.cli.shared.terminal import new_table
from mien.evaluation import compare as comparing
from mien.evaluation.result import Result


@click.command()
@click.argument("results", nargs=-1, required=True, metavar="[NAME=]FILE[,FILE...]...")
@resampled
@to_file
def compare(results: tuple[str, ...], resamples: int, seed: int, output: Path | None) -> None:
    """Compare models by results of `mien evaluate -o` on the same faces; the first model is the reference.

    Files separated by commas are runs of one model with different seeds, and are averaged:

        mien compare reader.json vtff=vtff-0.json,vtff-1.json,vtff-2.json
    """
    check(output, figures=False)
    models = dict(_model(text) for text in results)
    if len(models) < len(results):
        raise click.UsageError("two models have the same name; give each as NAME=FILE")
    comparison = comparing.compare(models, resamples=resamples, seed=seed)
    publish(measured(comparison), summary(comparison), output, width=100)


def _model(text: str) -> tuple[str, list[Result]]:
    name, equals, files = text.partition("=")
    if not equals or Path(text.partition(",")[0]).is_file():  # a folder may be called lr=0.1
        name, files = "", text
    paths = [Path(file) for file in files.split(",")]
    return name or paths[0].stem, [comparing.read(path) for path in paths]


def summary(comparison: Result) -> Table:
    """Return one row per model: metrics in percent, differences from the first in points."""
    about = f"{comparison['data']}, {comparison['protocol']}, n = {comparison['n']}"
    table = new_table(
        *("model", "runs", "accuracy %", "difference", "", "macro F1 %", "difference", ""),
        right=("runs", "accuracy %", "macro F1 %", "difference"),
        title=f"{about}; differences from {comparison['reference']}",
    )
    for row in comparison["models"]:
        cells = [row["model"], str(row["runs"])]
        for metric in ("accuracy", "macro_f1"):
            difference = row.get(f"{metric}_difference")
            cells += [interval(row[metric])]
            cells += ["", ""] if difference is None else [interval(difference, signed=True), difference["answer"]]
        table.add_row(*cells)
    table.caption = f"intervals: 95 %, bootstrap over faces within each class, {comparison['resamples']} resamples"
    return table
