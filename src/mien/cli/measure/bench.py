"""`mien bench`: build the benchmark of several people in a picture, ask a provider, and compare providers."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from mien.cli.shared.data import DATA_HELP, data_name, open_data
from mien.cli.shared.provider import Asked, provided
from mien.cli.shared.result import check, interval, measured, publish, resampled, to_file
from mien.cli.shared.terminal import new_table, usage_errors
from mien.core.pipeline import Pipeline
from mien.errors import InputError
from mien.evaluation.result import Result
from mien.facs.vocabulary import CAVEAT
from mien.methods.facescan import benchmark, rows
from mien.methods.facescan import faces as single
from mien.methods.facescan.published import EXPRESSION, NOTE
from mien.methods.facescan.tasks import TASKS
from mien.progress import shown
from mien.providers.base import Provider


@click.group()
def bench() -> None:
    """Measure vision-language models on several people in one picture: build, ask and report."""


@bench.command("fer-rows")
@click.option("--data", required=True, metavar="KIND:PATH", help=f"Faces to build it from. {DATA_HELP}")
@click.option("--split", help="train, valid or test, where one file or folder holds several.")
@click.option("--rows", "count", type=click.IntRange(min=1), default=500, show_default=True, help="Pictures to make.")
@click.option("--people", type=click.IntRange(2, rows.MOST), default=4, show_default=True, help="Faces in each.")
@click.option(
    "--agreement",
    type=click.FloatRange(0, 1),
    default=0.7,
    show_default=True,
    help="Lowest share of votes for a face's label.",
)
@click.option("--frames", is_flag=True, help="Draw a colored frame around each face, to refer to people by color.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Draws the faces.")
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to make.")
def fer_rows(
    data: str, split: str | None, count: int, people: int, agreement: float, frames: bool, seed: int, output: Path
) -> None:
    """Build FER-Rows: labelled faces side by side on black. Expressions are as frequent as in the data; each face is
    used once.
    """
    options: dict[str, Any] = {"rows": count, "people": people, "agreement": agreement, "frames": frames, "seed": seed}
    made = rows.build(open_data(data, split), output, data=data_name(data, split), **options)
    shown = ", ".join(f"{n} {label}" for label, n in made.about["expressions"].items() if n)
    click.echo(f"wrote {output}: {count} rows of {people}; {shown}", err=True)


@bench.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@provided
@click.option(
    "--system",
    "systems",
    type=click.Choice(list(benchmark.SYSTEMS)),
    multiple=True,
    help="How people are separated; repeatable. Default: splitter and detector.",
)
@click.option("--threshold", default=0.7, show_default=True, help="Lowest detector score that counts as a face.")
@resampled
@to_file
def ask(
    folder: Path,
    asked: Asked,
    systems: tuple[str, ...],
    threshold: float,
    resamples: int,
    seed: int,
    output: Path | None,
) -> None:
    """Ask a provider about the rows in FOLDER, made by mien bench fer-rows, and about each face alone.

    \b
    splitter    split at the black between the faces; ask about each face alone
    detector    mien's detector finds the faces; ask about each face alone
    one-prompt  one question about all people in a row
    target      one question per row, about one person described by place or frame
    """
    check(output, figures=False)
    systems = systems or ("splitter", "detector")
    asked.check(target="target" in systems)
    pipeline, provider = _opened(asked, threshold)
    measures = {"threshold": threshold} | benchmark.measure(
        rows.load(folder),
        provider,
        systems,
        wording=asked.wording,
        pipeline=pipeline,
        resamples=resamples,
        seed=seed,
        watch=_watch,
    )
    result = measured(measures)
    publish(result, summary(result), output, width=100)


@bench.command()
@click.option("--data", required=True, metavar="KIND:PATH", help=DATA_HELP)
@click.option("--split", help="train, valid or test, where one file or folder holds several.")
@click.option(
    "--task",
    type=click.Choice(list(TASKS)),
    default="expression",
    show_default=True,
    help="Question; race6 and race5 merge the seven races of FairFace.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Number of random faces to ask about; 0 for all.",
)
@provided
@resampled
@to_file
def faces(
    data: str, split: str | None, task: str, limit: int, asked: Asked, resamples: int, seed: int, output: Path | None
) -> None:
    """Ask a provider about labelled faces, one per picture: precision, recall and F1 of each class.

    For a checkpoint that mien train facescan wrote: --provider transformers --model RUN/model --prompt tuned-1.
    """
    check(output, figures=False)
    asked.check([TASKS[task].attribute])
    if TASKS[task].attribute.sensitive:
        click.echo(click.wrap_text(CAVEAT, 79), err=True)
    pipeline, provider = _opened(asked)
    measures = single.measure(
        open_data(data, split),
        TASKS[task],
        provider,
        wording=asked.wording,
        limit=limit,
        pipeline=pipeline,
        resamples=resamples,
        seed=seed,
        watch=_watch_faces,
    )
    result = measured({"data": data, "split": split} | measures)
    publish(result, by_class(result), output, width=80)


@bench.command()
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@to_file
def report(results: tuple[Path, ...], output: Path | None) -> None:
    """Compare results of mien bench ask -o for several providers, with the rows published in the paper."""
    check(output, figures=False)
    lines = [line for path in results for line in _lines(path)]
    published = [row._asdict() for row in EXPRESSION]
    measures = {"what": "providers on FER-Rows, side by side", "providers": lines, "published": published, "note": NOTE}
    result = measured(measures)
    publish(result, side_by_side(result), output, width=132)


def _opened(asked: Asked, threshold: float = 0.7) -> tuple[Pipeline, Provider]:
    with usage_errors():
        pipeline = Pipeline(threshold=threshold)
        provider = asked.open(pipeline)
    if asked.provider == "openai":
        click.echo(f"mien: pictures are sent to {asked.base_url}", err=True)
    return pipeline, provider


def _watch_faces(indices: Sequence[int]) -> Iterable[int]:
    return shown(indices, "Asking", len(indices))


def _watch(made: Sequence[rows.Row], what: str) -> Iterable[rows.Row]:
    return shown(made, f"Asking, {what}", len(made))


def summary(result: Result) -> Table:
    """Return the result for the terminal, one column per system."""
    systems = {name: scores for name, scores in result["systems"].items() if "strict_accuracy" in scores}
    table = _table("", "alone", *systems)
    of = result["made_of"]
    table.title = f"{result['provider']}:{result['model']} on {of['rows']} rows of {of['people_a_row']} of {of['data']}"

    def row(name: str, key: str, alone: Result | None = None) -> None:
        own = "" if alone is None else interval(alone)
        signed = key == "strict_less_alone"
        table.add_row(name, own, *(interval(scores[key], signed=signed) for scores in systems.values()))

    row("strict accuracy %", "strict_accuracy", result["alone"]["accuracy"])
    row("  less alone, points", "strict_less_alone")
    row("macro F1 %", "macro_f1", result["alone"]["macro_f1"])
    row("people counted right %", "count_accuracy")
    row("matched %", "matched")
    row("accuracy among them %", "accuracy_among_matched")
    table.add_section()
    columns = (result["alone"], *systems.values())
    for status in dict.fromkeys(status for scores in columns for status in scores["statuses"]):
        table.add_row(status.replace("_", " "), *(str(scores["statuses"].get(status, 0)) for scores in columns))
    table.add_row("ms a person", *(f"{scores['latency_ms_a_person']:.1f}" for scores in columns))
    if target := result["systems"].get("target"):
        table.add_section()
        table.add_row("described person, exact %", interval(target["exact_match"]))
    table.caption = "intervals: 95 %, bootstrap over rows; of counts, Wilson's"
    return table


def by_class(result: Result) -> Table:
    """Return one row per class, then the averages."""
    table = _table("", "n", "precision %", "recall %", "F1 %")
    table.title = f"{result['provider']}:{result['model']} on {result['data']}, {result['task']}"
    for label, scores in result["classes"].items():
        table.add_row(label, str(scores["n"]), *(interval(scores[key]) for key in ("precision", "recall", "f1")))
    table.add_section()
    averages = (interval(result[f"macro_{key}"]) for key in ("precision", "recall", "f1"))
    table.add_row("mean of classes", str(result["n"]), *averages)
    table.add_row("accuracy %", "", interval(result["accuracy"]))
    others = ", ".join(f"{n} {status.replace('_', ' ')}" for status, n in result["statuses"].items())
    table.caption = (
        f"answers: {others}; {result['dropped']} faces without a label; intervals: 95 %, bootstrap over faces"
    )
    return table


def side_by_side(result: Result) -> Table:
    """Return one row per provider and system, then those of the paper."""
    table = _table(
        "provider", "faces by", "alone %", "strict %", "macro F1 %", "counted %", "refused %", "no label %", "ms"
    )
    for line in result["providers"]:
        table.add_row(
            line["provider"], line["system"], interval(line["alone"]), interval(line["strict_accuracy"]),
            *(f"{100 * line[key]['value']:.1f}" for key in ("macro_f1", "count_accuracy")),
            f"{100 * line['refused']:.1f}",
            f"{100 * line['out_of_vocabulary']:.1f}", f"{line['latency_ms_a_person']:.1f}",
        )  # fmt: skip
    table.add_section()
    for row in result["published"]:
        f1 = "-" if row["macro_f1"] is None else f"{row['macro_f1']:g}"
        table.add_row(row["model"], "published", f"{row['accuracy']:.1f}", "", f1)
    table.caption = f"published: AffectNet, eight classes, single faces; {result['note']}"
    return table


def _table(*columns: str) -> Table:
    numbers = [name for name in columns if name not in ("", "provider", "faces by")]
    return new_table(*columns, right=numbers, no_wrap=True)


def _lines(path: Path) -> list[Result]:
    """Yield one line per system of a result file."""
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        systems, people = result["systems"], result["people"]
        return [_line(result, name, scores, people) for name, scores in systems.items() if name != "target"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: no result of `mien bench ask` can be read from it ({error})") from error


def _line(result: Result, name: str, scores: Result, people: int) -> Result:
    kept = ("strict_accuracy", "macro_f1", "count_accuracy", "latency_ms_a_person")
    shares = {
        status: scores["statuses"].get(status, 0) / people for status in ("refused", "out_of_vocabulary", "repaired")
    }
    about = {"provider": f"{result['provider']}:{result['model']}", "system": name, "made_of": result["made_of"]}
    return about | {"alone": result["alone"]["accuracy"]} | {key: scores[key] for key in kept} | shares
