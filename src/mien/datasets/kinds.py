"""KIND:PATH, a data set named in one line of text, to that data set."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from mien.datasets.affectnet import AffectNet
from mien.datasets.base import Sample
from mien.datasets.captions import Pairs
from mien.datasets.ckplus import CkPlus
from mien.datasets.fairface import FairFace
from mien.datasets.fer2013 import Fer2013
from mien.datasets.ferplus import FerPlus
from mien.datasets.folder import Folder
from mien.datasets.halves import Half
from mien.datasets.hybrid import Hybrid
from mien.datasets.rafdb import RafDb
from mien.datasets.synthetic import Synthetic
from mien.datasets.utkface import UtkFace
from mien.datasets.worn import Worn
from mien.errors import InputError

SINGLE: Mapping[str, Callable[[str, str | None], Sequence[Sample]]] = {
    "ferplus": FerPlus,
    "fer2013": Fer2013,
    "rafdb": RafDb,
    "affectnet": AffectNet,
    "affectnet7": partial(AffectNet, classes=7),
    "ckplus": CkPlus,
    "fairface": FairFace,
    "utkface": UtkFace,
    "captions": lambda path, split: Pairs(path),
    "folder": Folder,
    "synthetic": Synthetic,
}
# Made of another KIND:PATH.
MADE_OF: Mapping[str, Callable[[Sequence[Sample]], Sequence[Sample]]] = {
    "half-a": partial(Half, first=True),
    "half-b": partial(Half, first=False),
    "worn": Worn,
}
KINDS: Mapping[str, Callable[[str, str | None], Sequence[Sample]]] = {
    **SINGLE,
    "hybrid": partial(Hybrid.from_text, kinds=SINGLE),
}
DATA_HELP = (
    f"KIND:PATH, where KIND is one of {', '.join(SINGLE)}; for example ferplus:ferplus_valid.parquet. One "
    "split of several: KIND/SPLIT:PATH, as rafdb/train:FOLDER. Several at once: "
    "hybrid:KIND=PATH,KIND=PATH. Two halves that share no face: half-a:KIND:PATH and half-b:KIND:PATH; with a blurred "
    "and noisy copy of each face: worn:KIND:PATH."
)


def open_dataset(text: str, split: str | None = None) -> Sequence[Sample]:
    """Open the data set that KIND:PATH or KIND/SPLIT:PATH names; `mien.datasets.open` is this function.

    split: the part of the data set to read, such as "train"; None for all of it, or for the one that the text names.
    Raise InputError for an unknown kind, for two different splits, and for a path that does not hold the data set.
    """
    return opener(text, split)()


def opener(text: str, split: str | None = None) -> Callable[[], Sequence[Sample]]:
    """Return what opens a data set, after checking its name alone; no file is touched until it is called."""
    kind, colon, path = text.partition(":")
    if colon and path and kind in MADE_OF:
        made_of, inner = MADE_OF[kind], opener(path, split)
        return lambda: made_of(inner())
    kind, slash, own = kind.partition("/")
    if slash and split not in (None, own):
        raise InputError(f"{text!r} names the split {own!r}, but {split!r} is asked for too; give one of them")
    if not colon or not path or kind not in KINDS:
        raise InputError(f"{text!r} names no data set; expected {DATA_HELP}")
    return partial(KINDS[kind], path, own if slash else split)


def is_named(text: str) -> bool:
    """Return whether a text begins with a kind of data set, and so is KIND:PATH and not a path alone."""
    return text.partition(":")[0] in {*KINDS, *MADE_OF}


def data_name(text: str, split: str | None = None) -> str:
    """Return KIND:PATH with the last name of its path alone, by which data are known wherever they lie."""
    kind, _, path = text.rpartition(":")
    return f"{kind}:{Path(path).name}" + ("" if split is None else f", {split}")
