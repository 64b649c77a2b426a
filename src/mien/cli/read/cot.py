"""`mien cot`: write a chain of thought for each labelled face."""

import json
import os
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from mien.cli.shared.data import DATA_HELP, data_name, open_data
from mien.cli.shared.result import measured, publish
from mien.cli.shared.terminal import new_table, say
from mien.cli.shared.threads import in_threads
from mien.core.pipeline import Pipeline
from mien.datasets.base import Sample
from mien.datasets.pseudo_labels import PseudoLabels, read
from mien.errors import InputError
from mien.evaluation.protocols import Selection, select
from mien.facs.observation import Observation, Pose
from mien.facs.rest import above
from mien.facs.units import ActionUnits
from mien.methods.expllm.engine import prompts, records
from mien.methods.expllm.engine import rules as engine
from mien.methods.expllm.engine.chain import think
from mien.methods.expllm.engine.llm import LlmNodes
from mien.providers.openai import OpenAICompatible
from mien.results.record import Record

Make = Callable[[Observation, str], Record]


@click.command()
@click.option("--data", required=True, metavar="KIND:PATH", help=DATA_HELP)
@click.option("--split", help="Split of --data, if it has several.")
@click.option(
    "--pseudo-labels",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A teacher's action units, written by mien pseudo-label. mien's reader measures faces without a teacher's "
    "label.",
)
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path, dir_okay=False), help="JSON lines to write."
)
@click.option(
    "--engine",
    "kind",
    type=click.Choice(["deterministic", "llm"]),
    default="deterministic",
    show_default=True,
    help="Writer: rules, or a language model on an OpenAI-compatible server.",
)
@click.option(
    "--base-url", metavar="URL", help="llm: base URL of the server, including /v1. Action units are sent there."
)
@click.option("--model", metavar="NAME", help="llm: name of the model on the server.")
@click.option(
    "--key-env",
    default="MIEN_API_KEY",
    metavar="NAME",
    show_default=True,
    help="llm: environment variable with the server's key, if needed.",
)
@click.option(
    "--timeout", default=120.0, show_default=True, help="llm: time limit of a question in seconds, including retries."
)
@click.option(
    "--workers", type=click.IntRange(min=1), default=4, show_default=True, help="llm: questions asked in parallel."
)
@click.option("--loops", type=click.IntRange(min=1), default=3, show_default=True, help="Attempts per face.")
@click.option("--limit", type=click.IntRange(min=1), help="Number of faces, from the first; all by default.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Varies the wording.")
def cot(
    data: str,
    split: str | None,
    pseudo_labels: Path | None,
    output: Path,
    kind: str,
    base_url: str | None,
    model: str | None,
    key_env: str,
    timeout: float,
    workers: int,
    loops: int,
    limit: int | None,
    seed: int,
) -> None:
    """Explain the label of each face: key observations, overall interpretation, conclusion.

    Texts are written from action units and labels and checked against both. The same command continues after an
    interruption; finished lines stay as they are.
    """
    if not output.parent.is_dir():
        raise click.UsageError(f"{output}: the folder {output.parent} does not exist")
    if kind == "llm" and not (base_url and model):
        raise click.UsageError("--engine llm asks a server: give its --base-url and --model")
    labels = None if pseudo_labels is None else read(pseudo_labels)
    made_by = {
        "data": data_name(data, split),
        "pseudo_labels": None if pseudo_labels is None else sha256(pseudo_labels.read_bytes()).hexdigest()[:16],
        "engine": kind,
        "engine_version": engine.VERSION if kind == "deterministic" else prompts.VERSION,
        "model": model if kind == "llm" else None,
        "seed": seed,
        "max_loops": loops,
    }
    done = records.resume(output, made_by)
    make = _by_rules(made_by)
    if kind == "llm":
        assert base_url
        assert model
        make = _by_model(OpenAICompatible(base_url, model, os.environ.get(key_env), timeout=timeout), made_by)
    selection = select(open_data(data, split), "soft-votes")
    faces = _Faces(selection, labels)
    wanted = [i for i in range(len(faces))[:limit] if faces.name(i) not in done]
    _write(output, wanted, faces, make, workers if kind == "llm" else 1)
    result = measured({**made_by, "data": data, "split": split} | records.count(records.read(output)))
    result["left_out"] = selection.dropped
    publish(result, summary(result), None, width=80)
    say(f"wrote {output}")


def summary(result: Record) -> Table:
    """Return the result for the terminal, one row per expression."""
    numbers = ("faces", "verified", "%", "rejected")
    lines = new_table("", *numbers, right=numbers, title=f"{result['engine']} engine, seed {result['seed']}")
    for name, counts in [*result["per_class"].items(), ("all", result)]:
        if name == "all":
            lines.add_section()
        share = f"{100 * counts['verified'] / counts['faces']:.1f}" if counts["faces"] else "-"
        lines.add_row(name, str(counts["faces"]), str(counts["verified"]), share, str(counts["rejected"]))
    loops = ", ".join(f"{n} after {k}" for k, n in result["loops"].items())
    left_out = ", ".join(f"{n} {reason}" for reason, n in result["left_out"].items())
    lines.caption = f"descriptions tried: {loops or 'none'}; left out: {left_out or 'nothing'}"
    if "cost" in result:
        calls, seconds, asked, answered = (result["cost"][key] for key in ("calls", *records.COSTS))
        lines.caption += f"; {calls} calls, {asked} + {answered} tokens, {seconds:.0f} s"
    return lines


class _Faces(Sequence[tuple[Observation, str]]):
    """The kept faces with their measurements and who made them; a face is read when it is first needed."""

    def __init__(self, selection: Selection, labels: PseudoLabels | None) -> None:
        self._selection, self._labels = selection, labels
        self._rows = None if labels is None else labels.rows(selection.samples)
        self._read: Pipeline | None = None

    def __len__(self) -> int:
        return len(self._selection.samples)

    def name(self, index: int) -> str:
        """Return the name of a face."""
        return self._selection.samples[index].source

    def __getitem__(self, index: Any) -> Any:
        sample = self._selection.samples[index]
        # As stored in the file, so that the file alone reproduces the text; likewise units and pose.
        shares = np.round(self._selection.targets[index].astype(np.float64), 4)
        row = None if self._rows is None else self._rows[index]
        if self._labels is not None and self._labels.found[row]:
            units, pose = _units(self._labels.action_units[row]), Pose(*map(float, self._labels.pose[row]))
            return Observation(sample.source, units, shares, sample.votes is not None, _rounded(pose)), "teacher"
        return self._by_reader(sample, shares), "reader"

    def _by_reader(self, sample: Sample, shares: NDArray[np.float64]) -> Observation:
        self._read = self._read or Pipeline(assume_crop=True)
        (face,) = self._read(sample.image).faces
        assert face.action_units is not None
        units = _units(above(face.action_units).vector)
        pose = None if face.pose is None else _rounded(face.pose)
        return Observation(sample.source, units, shares, sample.votes is not None, pose, face.hidden)


def _units(values: NDArray[np.floating]) -> ActionUnits:
    return ActionUnits.of(np.round(values.astype(np.float64), 4).astype(np.float32))


def _rounded(pose: Pose) -> Pose:
    return Pose(round(pose.yaw, 2), round(pose.pitch, 2), round(pose.roll, 2))


def _by_rules(made_by: Record) -> Make:
    def make(face: Observation, source: str) -> Record:
        chain = engine.explain(face, made_by["seed"], made_by["max_loops"])
        return records.record(face, source, made_by, chain, ())

    return make


def _by_model(provider: OpenAICompatible, made_by: Record) -> Make:
    def make(face: Observation, source: str) -> Record:
        nodes = LlmNodes(provider)
        try:
            chain = think(face, nodes, made_by["max_loops"])
        except InputError as error:
            if error.status != "rejected":
                raise
            return records.rejected(face, source, made_by, error, nodes.calls)
        return records.record(face, source, made_by, chain, nodes.calls)

    return make


def _write(output: Path, wanted: Iterable[int], faces: _Faces, make: Make, workers: int) -> None:
    """Append one line per face, in order, as soon as it is ready."""
    rows = list(wanted)
    asked = (faces[i] for i in rows)
    with output.open("a", encoding="utf-8") as file:
        for row in in_threads(lambda pair: make(*pair), asked, workers, "Writing", len(rows)):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            file.flush()
