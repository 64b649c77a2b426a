"""Pictures of faces with captions and action units, as in the paper's FEText.

They are read from a folder with `captions.jsonl`.

Letters: N pairs, K = 24 action units and asymmetries.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.core.images import read_image
from mien.datasets.base import Sample
from mien.errors import InputError
from mien.facs.units import VECTOR
from mien.facs.vocabulary import ASYMMETRIES, ActionUnit, Expression, expression
from mien.progress import shown

FILE = "captions.jsonl"
_ASYMMETRY = "_asymmetry"
# The place of each name in the vector of mien.facs.units; the names are those of table columns.
_PLACES = {unit.column: place for place, unit in enumerate(ActionUnit)} | {
    f"{unit.column}{_ASYMMETRY}": place for place, unit in enumerate(ASYMMETRIES, len(ActionUnit))
}


def _unknown() -> NDArray[np.float32]:
    return np.full(VECTOR, np.nan, np.float32)


@dataclass(frozen=True, eq=False)
class Pair(Sample):
    """A picture and its caption.

    caption: in words; a few that name the expression where none was given.
    action_units: (K,) float32, the vector of mien.facs.units, NaN for what is not known.
    """

    caption: str = ""
    action_units: NDArray[np.float32] = field(default_factory=_unknown)


class Pairs(Sequence[Pair]):
    """The pairs in a folder, one for each line of its captions.jsonl.

    A line is an object with "file", the picture's path from the folder, and "caption" or "expression" or both, and may
    have "action_units", as `unit_vector` reads them. Whatever else it has is left alone.
    InputError, with the number of the line, for one that does not say so, or whose picture is not there.
    labels: the expression of each, None where it is not given.   units: (N, K) float32, the action units of all.
    """

    def __init__(self, folder: Path | str) -> None:
        path = Path(folder) / FILE
        self._rows = []
        for number, line in enumerate(_lines(path), 1):
            try:
                self._rows.append(_row(line, path.parent))
            except InputError as error:
                raise InputError(f"{path}: line {number}: {error}") from error
        if not self._rows:
            raise InputError(f"{path}: there is no line in it")
        self.labels = [label for _, _, label, _ in self._rows]
        self.units = np.stack([units for *_, units in self._rows])

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Pair:  # type: ignore[override]
        path, caption, label, units = self._rows[index]
        return Pair(read_image(path), label, source=str(path), caption=caption, action_units=units)


@dataclass(frozen=True)
class PairCheck:
    """What a check of a captions.jsonl found.

    pairs: lines that can be used.   faults: number and fault of each line that cannot.
    captions: how many pairs have a caption of their own.   long: how many of these have more than LONG words.
    units: how many pairs have action units.   labels: how many pairs have each expression; None for no expression.
    """

    pairs: int
    faults: list[tuple[int, str]]
    captions: int
    long: int
    units: int
    labels: Mapping[Expression | None, int]


# Stable Diffusion's text encoder reads 77 tokens, two of which are marks; most words are one token, some are two.
LONG = 50


def check(path: Path | str, *, decode: bool = False) -> PairCheck:
    """Check every line of a captions.jsonl, where `Pairs` ends at the first fault.

    path: of the file or of its folder.   decode: also decode each picture.   InputError if the file cannot be read.
    """
    path = Path(path) / FILE if Path(path).is_dir() else Path(path)
    faults, labels = [], Counter[Expression | None]()
    captions = long = units = 0
    for number, line in enumerate(shown(_lines(path), "checking lines"), 1):
        try:
            picture, caption, label, vector = _row(line, path.parent)
            if decode:
                read_image(picture)
        except InputError as error:
            faults.append((number, str(error)))
            continue
        labels[label] += 1
        own = caption != prompt(label)
        captions += own
        long += own and len(caption.split()) > LONG
        units += bool(np.isfinite(vector).any())
    return PairCheck(labels.total(), faults, captions, long, units, labels)


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); it has a line of JSON for each picture") from error
    # By line feeds alone: JSON may hold the other separators of Unicode.
    return text.split("\n") if text else []


def _row(line: str, folder: Path) -> tuple[Path, str, Expression | None, NDArray[np.float32]]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"not JSON ({error})") from error
    if not isinstance(row, dict) or not isinstance(row.get("file"), str):
        raise InputError(f'expected an object with "file", a path, but got {line[:60]!r}')
    path = folder / row["file"]
    try:
        there = path.is_file()
    except OSError as error:  # a name that no file can have
        raise InputError(f"{str(path)[:60]}...: {error.strerror}", "missing") from error
    if not there:
        raise InputError(f"{path}: there is no such file", "missing")
    caption, word = row.get("caption"), row.get("expression")
    if not isinstance(caption, str | None) or not isinstance(word, str | None) or not (caption or word):
        raise InputError(f'"caption" and "expression" are text, and one is needed, but got {caption!r} and {word!r}')
    label = None if word is None else expression(word)
    return path, caption or prompt(expression(str(word))), label, unit_vector(row.get("action_units"))


def prompt(label: Expression | None) -> str:
    """A few words that name an expression, for a face without a caption; None for any."""
    if label is None:
        return "a photo of a face"
    if label is Expression.NEUTRAL:
        return "a photo of a face with a neutral expression"
    return f"a photo of a face that shows {label.label}"


def unit_vector(units: Mapping[str, Any] | Sequence[Any] | None) -> NDArray[np.float32]:
    """(24,) float32, the vector of mien.facs.units, NaN for what is not given.

    units: numbers or None by the names of table columns, such as AU04, also AU4, and AU12_asymmetry; or all 24 in their
    order; or None. Action units that mien does not measure, such as AU27, are left out. InputError for any other name,
    for intensities that are not in 0 to 1, and for asymmetries that are not in -1 to 1.
    """
    vector = _unknown()
    if units is None:
        return vector
    if not isinstance(units, Mapping):
        if not isinstance(units, Sequence) or isinstance(units, str) or len(units) != VECTOR:
            raise InputError(f"action units are {VECTOR} numbers, or numbers by name, but got {str(units)[:60]!r}")
        units = dict(zip(_PLACES, units, strict=True))
    for name, value in units.items():
        match = re.fullmatch(rf"AU0*(\d+)({_ASYMMETRY})?", name)
        if match is None:
            raise InputError(f"{name!r} names no action unit; names are like AU04, AU12 and AU12{_ASYMMETRY}")
        place = _PLACES.get(f"AU{int(match[1]):02d}{match[2] or ''}")
        if place is not None and value is not None:
            vector[place] = _checked(name, value, -1 if match[2] else 0)
    return vector


def _checked(name: str, value: Any, least: int) -> float:
    number = float(value) if isinstance(value, int | float) else math.nan
    if not least <= number <= 1:
        raise InputError(f"{name} is a number from {least} to 1, but got {value!r}")
    return number
