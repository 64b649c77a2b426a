"""`mien downstream PARADIGM`: measure what generated faces are worth for training."""

import logging
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Group

from mien.cli.read.annotate import labeler
from mien.cli.shared.data import DATA_HELP, open_data
from mien.cli.shared.groups import SectionCommand
from mien.cli.shared.result import check, interval, measured, publish, to_file
from mien.cli.shared.runs import one_command_each
from mien.cli.shared.settings import Numbers, given_settings, with_settings
from mien.cli.shared.terminal import new_table
from mien.datasets.pseudo_labels import read
from mien.datasets.synthetic import LABELED, MADE
from mien.evaluation.result import Result
from mien.methods.registry import need
from mien.methods.synfer.downstream import PARADIGMS

_FOLDER = click.Path(path_type=Path, file_okay=False)


def _command(name: str) -> click.Command:
    if name in _READY:
        return _READY[name]
    need("train", "llm")
    paradigm = PARADIGMS[name]
    module = import_module(paradigm.module)
    base = getattr(module, paradigm.settings)()

    @click.command(
        name,
        cls=SectionCommand,
        help=paradigm.summary,
        epilog="; ".join(f"{a}: {text}" for a, text in module.ARMS.items()),
    )
    @click.option("--data", required=True, metavar="KIND:PATH", help=f"Photographs to train on. {DATA_HELP}")
    @click.option(
        "--count",
        type=click.IntRange(min=1),
        metavar="N",
        help="Number of photographs to draw, with the same class shares; all by default. Defines 1x.",
    )
    @click.option(
        "--synthetic",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        help="Folder of generated faces, written by mien generate.",
    )
    @click.option("--valid", required=True, metavar="KIND:PATH", help="Photographs to measure on.")
    @click.option(
        "--arms", default=",".join(module.ARMS), show_default=True, metavar="ARM,ARM,...", help="Arms to train."
    )
    @click.option("--seeds", type=Numbers(), default="0,1,2", show_default=True, help="Seeds to train each arm with.")
    @click.option("-o", "--output", type=_FOLDER, required=True, help="Folder of the runs.")
    def command(
        data: str,
        count: int | None,
        synthetic: Path | None,
        valid: str,
        arms: str,
        seeds: tuple[int, ...],
        output: Path,
        preset: str | None,
        pseudo_labels: Path | None = None,
        **flags: Any,
    ) -> None:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        from mien.methods.synfer.downstream.encoder import gather
        from mien.training.experiment import TABLE

        settings = given_settings({"default": base}, preset, flags, base)
        faces = gather(open_data(data), synthetic, open_data(valid), settings.size, count)
        about = {"paradigm": name, "data": data, "count": count, "valid": valid}
        labels = None if pseudo_labels is None else read(pseudo_labels)
        more = {"labels": labels, "synthetic": synthetic} if name == "zero-shot" else {}
        given = about | _hashes(synthetic, pseudo_labels)
        table = module.run(faces, settings, output, arms.split(","), seeds, given, **more)
        result = measured(about | {"synthetic": str(synthetic)} | table)
        publish(result, summary(result), output / TABLE, width=140)

    return with_settings({"default": base}, base)(_with_captions(name)(command))


def _hashes(synthetic: Path | None, pseudo_labels: Path | None) -> dict[str, str]:
    from mien.methods.synfer.downstream.encoder import hashes

    files = {} if synthetic is None else hashes(synthetic / MADE, synthetic / LABELED)
    return files if pseudo_labels is None else files | {"pseudo-labels": hashes(pseudo_labels)[pseudo_labels.name]}


def _with_captions(name: str) -> Callable[[click.Command], click.Command]:
    if name != "zero-shot":
        return lambda command: command
    return click.option(
        "--pseudo-labels",
        type=click.Path(path_type=Path, dir_okay=False),
        help="A teacher's labels of --data, written by mien pseudo-label, to write captions of photographs from.",
    )


@click.command("few-shot", help="Classify photographs by one or five examples of each of five expressions.")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--valid", required=True, metavar="KIND:PATH", help=f"Photographs to classify. {DATA_HELP}")
@click.option("--shots", type=Numbers(), default="1,5", show_default=True, help="Examples of each expression.")
@click.option("--episodes", type=click.IntRange(min=2), default=600, show_default=True, help="Draws of examples.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the draws.")
@to_file
def few_shot(
    runs: tuple[Path, ...], valid: str, shots: tuple[int, ...], episodes: int, seed: int, output: Path | None
) -> None:
    """Classify photographs by the encoders of other paradigms' runs."""
    check(output, False)
    need("train", "llm")
    from mien.methods.synfer.downstream import few_shot as module
    from mien.methods.synfer.downstream.encoder import encoder_of, features
    from mien.training.faces import held_out, tensor

    data, rows = open_data(valid), list[Result]()
    first: dict[int, NDArray[np.float64]] = {}
    # Open all first: fail before the episodes of the readable ones are run.
    for run, (encoder, size) in [(run, encoder_of(run)) for run in runs]:
        faces = held_out(data, size, "measure on")
        embedded = features(encoder, tensor(faces)).numpy()
        for count in shots:
            right = module.episodes(embedded, faces.labels, shots=count, count=episodes, seed=seed)
            rows.append({"run": str(run), "shots": count, "accuracy": module.mean(right)})
            if first.setdefault(count, right) is not right:
                rows[-1]["difference"] = module.mean(right - first[count])
    table = new_table("run", "shots", "accuracy %", "difference")
    for row in rows:
        ahead = interval(row["difference"], signed=True) if "difference" in row else ""
        table.add_row(row["run"], str(row["shots"]), interval(row["accuracy"]), ahead)
    table.caption = (
        f"five expressions, {episodes} episodes, the same for all; difference: in points, to the first run; "
        "intervals: 95 %, over episodes of these faces; that rare expressions have few faces is not in them"
    )
    publish(measured({"valid": valid, "seed": seed, "episodes": episodes, "rows": rows}), table, output, width=80)


@click.command(help="Classify photographs by FERAnno alone, without training.")
@click.option("--valid", required=True, metavar="KIND:PATH", help=f"Photographs to classify. {DATA_HELP}")
@labeler
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Threads of each model.")
@to_file
def feranno(valid: str, head: str, generator: str, units: str, threads: int, output: Path | None) -> None:
    """Measure FERAnno as a classifier; `mien compare` compares it with the runs' ARM-sSEED/result.json."""
    check(output, False)
    need("train", "llm")
    from mien.methods.feranno.labeler import FerAnno, Seer
    from mien.training.experiment import evaluated
    from mien.training.faces import held_out

    alone = FerAnno(Seer(generator, units, threads), head, threads)
    faces = held_out(open_data(valid), alone.size, "measure on")
    metrics = evaluated(faces, np.log(alone(np.stack([sample.image for sample in faces.samples]))))
    table = new_table("accuracy %", "macro F1 %", "mean recall %", title=f"{head} on {valid}")
    table.add_row(*(interval(metrics[metric]) for metric in ("accuracy", "macro_f1", "mean_recall")))
    publish(measured({"model": head, "data": valid} | metrics), table, output, width=80)


# Paradigms without training.
_READY: dict[str, click.Command] = {str(command.name): command for command in (feranno, few_shot)}


def _lines() -> dict[str, str]:
    lines = {name: paradigm.summary for name, paradigm in PARADIGMS.items()}
    return dict(sorted((lines | {name: str(command.help) for name, command in _READY.items()}).items()))


@click.group(cls=one_command_each("Paradigms", _lines, _command))
def downstream() -> None:
    """Measure what generated faces are worth for training.

    The same command continues after an interruption, and uses all finished arms and seeds in the folder. Other
    settings, data or labels need another folder.
    """


def summary(result: Result) -> Group:
    """Return the arms for the terminal, their differences from the first, and further comparisons."""
    table = new_table(
        *("arm", "photographs", "generated", "seeds", "accuracy %", "macro F1 %", "difference", ""),
        title=f"{result['paradigm']} on {result['valid']}, n = {result['n']}",
    )
    for row in result["arms"]:
        difference = interval(row["difference"], signed=True) if "difference" in row else ""
        seeds = ",".join(map(str, row["seeds"]))
        cells = (interval(row["accuracy"]), interval(row["macro_f1"]), difference, row["purpose"])
        table.add_row(row["arm"], str(row["photographs"]), str(row["generated"]), seeds, *cells)
    table.caption = "difference: of accuracy to the first arm, in points; intervals: 95 %, bootstrap over faces"
    pairs = new_table("difference", "accuracy", "", "macro F1", "")
    for row in result["contrasts"]:
        texts = [text for m in ("accuracy", "macro_f1") for text in (interval(row[m], signed=True), row[m]["answer"])]
        pairs.add_row(f"{row['arm']} less {row['against']}", *texts)
    return Group(table, "", pairs) if result["contrasts"] else Group(table)
