"""KIND:PATH on the command line to a data set."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import click

from mien import datasets
from mien.datasets import Sample
from mien.datasets.captions import Pairs

SINGLE: dict[str, Callable[[str, str | None], Sequence[Sample]]] = {
    "ferplus": datasets.FerPlus,
    "fer2013": datasets.Fer2013,
    "rafdb": datasets.RafDb,
    "affectnet": datasets.AffectNet,
    "affectnet7": partial(datasets.AffectNet, classes=7),
    "ckplus": datasets.CkPlus,
    "fairface": datasets.FairFace,
    "utkface": datasets.UtkFace,
    "captions": lambda path, split: Pairs(path),
    "folder": datasets.Folder,
    "synthetic": datasets.Synthetic,
}
# What is made of another KIND:PATH.
MADE_OF: dict[str, Callable[[Sequence[Sample]], Sequence[Sample]]] = {
    "half-a": partial(datasets.Half, first=True),
    "half-b": partial(datasets.Half, first=False),
    "worn": datasets.Worn,
}
KINDS = SINGLE | {"hybrid": partial(datasets.Hybrid.from_text, kinds=SINGLE)}
DATA_HELP = (
    f"KIND:PATH, where KIND is one of {', '.join(SINGLE)}; for example ferplus:ferplus_valid.parquet. One "
    "split of several: KIND/SPLIT:PATH, as rafdb/train:FOLDER. Several at once: "
    "hybrid:KIND=PATH,KIND=PATH. Two halves that share no face: half-a:KIND:PATH and half-b:KIND:PATH; with a blurred "
    "and noisy copy of each face: worn:KIND:PATH."
)


def open_data(text: str, split: str | None = None) -> Sequence[Sample]:
    """The data set that KIND:PATH or KIND/SPLIT:PATH names; a usage error for an unknown kind, or for two splits."""
    kind, colon, path = text.partition(":")
    if colon and path and kind in MADE_OF:
        return MADE_OF[kind](open_data(path, split))
    kind, slash, own = kind.partition("/")
    if slash and split not in (None, own):
        raise click.UsageError(f"{text!r} names the split {own!r}, but --split is {split!r}; give one of them")
    split = own if slash else split
    if not colon or not path or kind not in KINDS:
        raise click.UsageError(f"{text!r} names no data set; expected {DATA_HELP}")
    return KINDS[kind](path, split)


def data_name(text: str, split: str | None = None) -> str:
    """KIND:PATH with the last name of its path, by which data are known wherever they lie."""
    kind, _, path = text.rpartition(":")
    return f"{kind}:{Path(path).name}" + ("" if split is None else f", {split}")
