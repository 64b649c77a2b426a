"""`mien evaluate`: measure a model on labelled faces, with intervals."""

from pathlib import Path
from typing import Any

import click
from rich.console import Group
from rich.table import Table

from mien.cli.shared.data import DATA_HELP, open_data
from mien.cli.shared.result import check, interval, measured, publish, resampled, to_file
from mien.cli.shared.terminal import new_table, say, usage_errors
from mien.cli.shared.texts import measure as measure_texts
from mien.cli.shared.texts import summary as texts_summary
from mien.core.checkpoint import checkpoint_name
from mien.core.detect import YuNet
from mien.core.models import open_classifier
from mien.errors import InputError
from mien.evaluation.result import Result
from mien.evaluation.scoring import evaluate as run
from mien.methods.expllm.small.generate import NAME, Explainer

PROTOCOLS = ("majority", "cross-entropy", "multi-target", "soft-votes")


@click.command()
@click.argument("model", metavar="NAME|FILE.onnx|FOLDER|hf:ID")
@click.option("--data", required=True, metavar="KIND:PATH", help=DATA_HELP)
@click.option("--split", help="Split of --data, if it has several.")
@click.option(
    "--protocol",
    type=click.Choice(PROTOCOLS),
    default="majority",
    show_default=True,
    help="Rule from votes to label; samples without votes keep their label.",
)
@click.option(
    "--detect", is_flag=True, help="Detect and align the face in each picture; by default each picture is one face."
)
@click.option(
    "--cross-fit",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="SPLITS",
    help="Also refit the calibration on this many random halves and score the other halves.",
)
@click.option(
    "--pseudo-labels",
    type=click.Path(path_type=Path, dir_okay=False),
    help="expllm: teacher's action units of --data to check texts against; by default mien's reader measures them.",
)
@click.option(
    "--texts",
    type=click.IntRange(min=1),
    default=500,
    show_default=True,
    help="expllm: number of faces to write about.",
)
@resampled
@click.option("--threads", default=1, show_default=True, help="Threads of each model.")
@click.option(
    "--unseen",
    is_flag=True,
    help="Fail unless the model states that no picture was used for its choices or calibration.",
)
@click.option("--figures", is_flag=True, help="Also write the confusion matrix and reliability diagram as PNG files.")
@to_file
def evaluate(
    model: str,
    data: str,
    split: str | None,
    protocol: str,
    detect: bool,
    cross_fit: int,
    pseudo_labels: Path | None,
    texts: int,
    resamples: int,
    seed: int,
    threads: int,
    unseen: bool,
    figures: bool,
    output: Path | None,
) -> None:
    """Measure a model on labelled faces, with 95 % intervals.

    Reports accuracy, macro F1, recall per class, calibration and confusion, without and with duplicates of other
    splits. For expllm, or a folder of mien export expllm, also its texts: form, grounding in action units,
    faithfulness, consistency.
    """
    check(output, figures)
    writes = model == NAME or (Path(model).is_dir() and checkpoint_name(model) is None)
    if writes and (detect or cross_fit):
        raise click.UsageError("--detect and --cross-fit are for models that only read")
    with usage_errors():
        opened = Explainer(None if model == NAME else model, threads) if writes else open_classifier(model, threads)
    about = {"model": model, "data": data, "split": split}
    if isinstance(opened, Explainer):
        options = {"texts": texts, "protocol": protocol, "resamples": resamples, "seed": seed}
        text_scores = measure_texts(opened, open_data(data, split), pseudo_labels, **options)
        _check_unseen(text_scores, unseen)
        _publish(measured(about | text_scores), output, figures)
        return
    scores = run(
        opened,
        open_data(data, split),
        protocol=protocol,
        detect=YuNet(threads=threads) if detect else None,
        cross_fit=cross_fit,
        resamples=resamples,
        seed=seed,
        threads=threads,
    )
    _check_unseen(scores, unseen)
    _publish(measured(about | scores), output, figures)


def _check_unseen(result: Result, required: bool) -> None:
    """Warn about pictures that the model saw; raise InputError if the result is required to be unseen and is not."""
    count = result["seen_in_calibration"]
    if count:
        cause = f"the model was chosen or calibrated on {count} of these pictures, so the result is not unseen"
    elif count is None and required:
        cause = "the model does not state which pictures it was chosen and calibrated on"
    else:
        return
    if required:
        raise InputError(f"{cause}; measure on other pictures, or leave --unseen out")
    say(f"mien: {cause}")


def _publish(result: Result, output: Path | None, figures: bool) -> None:
    shown = Group(summary(result), "", texts_summary(result)) if "texts" in result else summary(result)
    publish(result, shown, output, width=80)
    if output is not None and figures:
        from mien.evaluation.figures import confusion_matrix, reliability_diagram

        for name, draw in (("confusion", confusion_matrix), ("reliability", reliability_diagram)):
            path = output.with_suffix(f".{name}.png")
            draw(result, path)
            click.echo(f"wrote {path}", err=True)


def summary(result: Result) -> Table:
    """Return the result for the terminal: one column for the clean score and one for each variant."""
    columns = {"no duplicates": result, "with duplicates": result["with_duplicates"]}
    if "cross_fit" in result:
        columns["refitted"] = result["cross_fit"]
    title = f"{result['model']} on {result['data']}, {result['protocol']}"
    table = new_table("", *columns, right=columns, title=title)

    def row(name: str, cell: Any) -> None:
        table.add_row(name, *(cell(values) for values in columns.values()))

    row("accuracy %", lambda r: interval(r["accuracy"]))
    row("macro F1 %", lambda r: interval(r["macro_f1"]))
    row("mean recall %", lambda r: interval(r["mean_recall"]))
    row("  classes n >= 50", lambda r: interval(r["mean_recall_n50"]))
    row("ECE %", lambda r: interval({"value": r["ece"], **r["ece_interval"]}))
    table.add_section()
    table.add_row("recall %")
    for name, values in result["per_class"].items():
        if values["n"]:
            row(f"{name} (n = {values['n']})", lambda r, name=name: interval(r["per_class"][name], "recall"))
    if "groups" in result:
        table.add_section()
        table.add_row("accuracy % by group")
        for name, values in result["groups"].items():
            table.add_row(f"{name} (n = {values['n']})", interval(values["accuracy"]))
    table.add_section()
    row("images", lambda r: str(r["n"]))
    dropped = ", ".join(f"{count} {reason}" for reason, count in result["dropped"].items() if count)
    table.caption = f"dropped: {dropped or 'nothing'}; intervals: 95 %; accuracy and recall a class: Wilson's; "
    table.caption += "means, F1 and ECE: bootstrap over images"
    if count := result["seen_in_calibration"]:
        table.caption += f"; not unseen: {count} of the pictures chose or calibrated the model"
    if result["masked"]:
        table.caption += f"; masked, for the data lacks them: {', '.join(result['masked'])}"
    return table
