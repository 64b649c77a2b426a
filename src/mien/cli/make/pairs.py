"""mien pairs: pictures with captions and action units, to train the full-size generator on."""

from collections.abc import Iterator
from pathlib import Path

import click

from mien.cli.shared.terminal import usage_errors
from mien.datasets.captions import LONG, PairCheck, check
from mien.facs.vocabulary import Expression
from mien.text import printable

# So many faults are listed.
_LISTED = 20


@click.group()
def pairs() -> None:
    """Pictures with captions and action units, for `mien train synfer-full`."""


@pairs.command("check")
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@click.option("--decode", is_flag=True, help="Also decode each picture, which takes longer.")
def check_pairs(file: Path, decode: bool) -> None:
    """Check every line of FILE, a captions.jsonl or its folder.

    Lists the faults with their line numbers, and ends with exit code 1 if there are any.
    """
    with usage_errors():
        found = check(file, decode=decode)
    for line in _report(found):
        click.echo(printable(line))
    if found.faults or not found.pairs:
        raise SystemExit(1)


def _report(found: PairCheck) -> Iterator[str]:
    for number, fault in found.faults[:_LISTED]:
        yield f"line {number}: {fault}"
    if len(found.faults) > _LISTED:
        yield f"and {len(found.faults) - _LISTED} more"
    if found.faults:
        yield f"{len(found.faults)} lines cannot be used"
    yield f"{found.pairs} pairs: {found.captions} with a caption of their own, {found.units} with action units"
    labels = [f"{e.label} {found.labels[e]}" for e in Expression if e in found.labels]
    if None in found.labels:
        labels.append(f"none {found.labels[None]}")
    if labels:
        yield f"expressions: {', '.join(labels)}"
    if found.long:
        yield f"{found.long} captions have more than {LONG} words; Stable Diffusion reads about {LONG} of them"
