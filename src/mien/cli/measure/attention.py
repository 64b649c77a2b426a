"""`mien attention METHOD RUN`: measure where a trained network looks and whether it matters."""

from importlib import import_module
from pathlib import Path
from typing import Any

import click
from rich.console import Group
from rich.table import Table

from mien.cli.shared.data import DATA_HELP, open_data
from mien.cli.shared.result import check, measured, publish, resampled, to_file
from mien.cli.shared.runs import MethodName
from mien.cli.shared.terminal import new_table
from mien.datasets.pseudo_labels import read
from mien.evaluation.result import Result
from mien.methods.registry import method

# Repeated here so that --help needs no torch.
CAMS = ("gradcam", "gradcam++", "layercam", "xgradcam", "scorecam")


@click.command()
@click.argument("name", metavar="METHOD", type=MethodName(lambda record: bool(record.attention)))
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--data", required=True, metavar="KIND:PATH", help=DATA_HELP)
@click.option("--split", help="Split of --data, if it has several.")
@click.option(
    "--pseudo-labels",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="A teacher's labels of --data, written by mien pseudo-label; the maps are drawn from its landmarks.",
)
@click.option(
    "--cam",
    "cams",
    multiple=True,
    type=click.Choice(CAMS),
    help="Class-activation map to measure besides plain CAM; repeatable.",
)
@click.option(
    "--stage",
    type=click.IntRange(min=1),
    help="Stage to measure, from 1; by default the last in the run's settings.",
)
@click.option(
    "--faces",
    type=click.IntRange(min=1),
    metavar="N",
    help="Measure this many random faces instead of all, for slow maps such as scorecam.",
)
@click.option(
    "--draws",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Random positions of each face's mask in the control.",
)
@resampled
@click.option("--threads", type=click.IntRange(min=1), help="Threads of the network; by default one per core.")
@click.option("--figures", is_flag=True, help="Also write the curves and some faces as PNG files.")
@to_file
def attention(
    name: str,
    run: Path,
    data: str,
    split: str | None,
    pseudo_labels: Path,
    cams: tuple[str, ...],
    stage: int | None,
    faces: int | None,
    draws: int,
    resamples: int,
    seed: int,
    threads: int | None,
    figures: bool,
    output: Path | None,
) -> None:
    """Measure where a trained network looks and whether it matters.

    First, agreement of its attention and class-activation maps with action-unit maps, beside control maps that know
    nothing of the face. Then the loss of accuracy when the most attended pixels are blurred, against as many pixels
    elsewhere. All with 95 % bootstrap intervals, without duplicates of other splits.
    """
    check(output, figures)
    record = method(name)
    measures = record.module(record.attention)
    if threads is not None:
        import_module("torch").set_num_threads(threads)
    trained = record.load(run)
    network, settings = trained.network, trained.settings
    dataset, labels = open_data(data, split), read(pseudo_labels)
    options = {"stage": stage, "limit": faces, "seed": seed}
    scores = measures.measure(
        network, settings, dataset, labels, cams=cams, draws=draws, resamples=resamples, **options
    )
    about = {"method": name, "run": str(run), "data": data, "split": split, "pseudo_labels": str(pseudo_labels)}
    result = measured(about | scores)
    publish(result, summary(result), output, width=100)
    if output is not None and figures:
        pictures = record.module(record.figures)
        paths = [output.with_suffix(f".{kind}.png") for kind in ("curves", "faces")]
        pictures.curves(result, paths[0])
        pictures.gallery(network, settings, dataset, labels, paths[1], **options)
        for path in paths:
            click.echo(f"wrote {path}", err=True)


def summary(result: Result) -> Group:
    """Return the result for the terminal: agreement with the maps, then the loss from blurring."""
    looks = _table(
        f"{result['run']} on {result['data']}, stage {result['stage']}: agreement with AU maps ({result['codebook']})",
        "cosine", "where right", "where wrong", "own map the most similar, %",
    )  # fmt: skip
    for name, splits in result["agreement"].items():
        cosine = _interval(splits["all"]["cosine"], 1, 3)
        apart = [_number(splits[split]["cosine"]["value"], 1, 3) for split in ("right", "wrong")]
        looks.add_row(name.replace("_", " "), cosine, *apart, _interval(splits["all"]["discriminativeness"], 100, 1))
    looks.caption = (
        f"{result['with_map']} of {result['n']} faces have a map; cosine: the mean over classes; the last rows know "
        "nothing of the expression"
    )
    share = result["removal"]["attention"]["top"]["share"]
    blurs = _table(f"accuracy % {_interval(result['accuracy'], 100, 1)}", "by attention", "by CAM of the prediction")
    kinds = [result["removal"][name] for name in ("attention", "cam_of_prediction")]

    def row(title: str, cell: Any) -> None:
        blurs.add_row(title, *(cell(kind) for kind in kinds))

    row("mean of the deletion curve %", lambda r: _interval(r["deletion"]["area"], 100, 1))
    row("mean of the insertion curve %", lambda r: _interval(r["insertion"]["area"], 100, 1))
    row(f"points lost without the top {100 * share:.0f} %", lambda r: _top(r, "against_moved_mask", "drop"))
    row("  with the mask elsewhere", lambda r: _top(r, "against_moved_mask", "control_drop"))
    row("  ratio", lambda r: _interval(r["top"]["against_moved_mask"]["ratio"], 1, 2))
    row("  with another face's mask", lambda r: _top(r, "against_mask_of_another_face", "control_drop"))
    row("  ratio", lambda r: _interval(r["top"]["against_mask_of_another_face"]["ratio"], 1, 2))
    blurs.caption = "intervals: 95 %, bootstrap over images"
    return Group(looks, "", blurs)


def _table(title: str, *columns: str) -> Table:
    return new_table("", *columns, right=columns, no_wrap=True, title=title)


def _top(removal: Result, control: str, what: str) -> str:
    return _interval(removal["top"][control][what], 100, 1)


def _interval(values: Result, times: float, digits: int) -> str:
    value, low, high = (_number(values[key], times, digits) for key in ("value", "low", "high"))
    return value if value == "-" else f"{value} [{low}, {high}]"


def _number(value: float | None, times: float, digits: int) -> str:
    return "-" if value is None else f"{times * value:.{digits}f}"
