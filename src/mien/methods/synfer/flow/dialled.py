"""Sets of faces in which one or two action units go through their intensities, and the page that dials them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mien.errors import InputError
from mien.facs.vocabulary import ActionUnit
from mien.files import replacing
from mien.methods.synfer.flow import requests as asking
from mien.methods.synfer.flow.sample import About
from mien.report.dials import Dial, page

PAGE = "dial.html"
# Intensities of a sweep and of each side of a grid. A page holds the first dials up to so many faces.
STEPS = tuple(round(0.1 * i, 1) for i in range(11))
SIDES = (0.0, 0.25, 0.5, 0.75, 1.0)
MOST = 4000


@dataclass(frozen=True)
class Dialled:
    """Action units that go through intensities, for each person.

    dials: of one person; one action unit each in a sweep, two in a grid.   values: intensities of each.
    """

    dials: tuple[tuple[ActionUnit, ...], ...]
    values: tuple[float, ...]

    @staticmethod
    def sweep(text: str) -> "Dialled":
        """Return the sweep of "AU12,4" or of "all"."""
        swept = list(ActionUnit) if text == "all" else list(map(asking.unit, text.split(",")))
        return Dialled(tuple((number,) for number in swept), STEPS)

    @staticmethod
    def grid(text: str) -> "Dialled":
        """Return the grid of two action units, such as "12,4"; raise InputError for another number of them."""
        pair = tuple(map(asking.unit, text.split(",")))
        if len(pair) != 2 or pair[0] == pair[1]:
            raise InputError(f"a grid has two different action units, such as 12,4, but got {text!r}")
        return Dialled((pair,), SIDES)

    @property
    def columns(self) -> int:
        """Number of faces in a row of the contact sheet."""
        return len(self.values)

    def requests(self, wish: asking.Wish, about: About, count: int, seed: int) -> list[asking.Request]:
        """Return the requests of `count` people, dial by dial."""
        if len(self.dials[0]) > 1:
            return asking.grid(wish, about, self.dials[0], self.values, count, seed)
        return asking.sweep(wish, about, [dial[0] for dial in self.dials], self.values, count, seed)

    def titles(self, chosen: Sequence[asking.Request]) -> list[str]:
        """Return the title of each face on the contact sheet."""
        return [
            " ".join(f"{f'AU{int(number):02d} ' if len(dial) == 1 else ''}{_value(one, number):g}" for number in dial)
            for dial, part in self._parts(len(chosen))
            for one in chosen[part]
        ]

    def write_page(self, folder: Path, lines: Sequence[Mapping[str, Any]], chosen: Sequence[asking.Request]) -> None:
        """Write the page with sliders into a folder whose faces are drawn."""
        dials = []
        for dial, part in self._parts(min(len(chosen), max(MOST, len(self.values) ** len(self.dials[0])))):
            faces = np.stack([np.asarray(Image.open(folder / line["file"])) for line in lines[part]])
            dials.append(Dial(_person(chosen[part.start]), dial, self.values, faces))
        with replacing(folder / PAGE) as beside:
            beside.write_text(page(dials), encoding="utf-8")

    def _parts(self, count: int) -> Iterator[tuple[tuple[ActionUnit, ...], slice]]:
        """Yield each whole dial and the place of its faces."""
        size = len(self.values) ** len(self.dials[0])
        for number, start in enumerate(range(0, count - size + 1, size)):
            yield self.dials[number % len(self.dials)], slice(start, start + size)


def _value(request: asking.Request, number: ActionUnit) -> float:
    return float(request.units[asking.UNITS.index(number)])


def _person(request: asking.Request) -> str:
    shown = "" if request.expression is None else f", {request.expression.label}"
    return f"Person {request.identity + 1}{shown}"
