"""KIND:PATH on the command line to a data set."""

from collections.abc import Callable, Sequence
from pathlib import Path

import click

from mien import datasets
from mien.datasets import Sample

KINDS: dict[str, Callable[[Path, str | None], Sequence[Sample]]] = {
    "ferplus": datasets.FerPlus,
    "fer2013": datasets.Fer2013,
    "folder": datasets.Folder,
}
DATA_HELP = f"KIND:PATH, where KIND is one of {', '.join(KINDS)}; for example ferplus:ferplus_valid.parquet."


def open_data(text: str, split: str | None = None) -> Sequence[Sample]:
    """The data set that KIND:PATH names; a usage error for an unknown kind."""
    kind, colon, path = text.partition(":")
    if not colon or not path or kind not in KINDS:
        raise click.UsageError(f"{text!r} names no data set; expected {DATA_HELP}")
    return KINDS[kind](Path(path), split)
