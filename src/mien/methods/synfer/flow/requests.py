"""Requests for a set of faces: expressions, captions and action units, given by a user or drawn.

Letters: K = 24 action units and asymmetries.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from mien.errors import InputError
from mien.facs.observation import Observation
from mien.facs.units import PROTOTYPES, VECTOR, ActionUnits
from mien.facs.vocabulary import ASYMMETRIES, ActionUnit, Expression
from mien.methods.synfer.flow import captions
from mien.methods.synfer.flow.sample import About, Conditions, Floats

UNITS = tuple(ActionUnit)
# Names of the K columns: "AU12", and "AU12 left-right" for a difference of the sides.
NAMES = (*(unit.column for unit in ActionUnit), *(f"{unit.column} left-right" for unit in ASYMMETRIES))
# Action units of a class are those of a training face with this jitter, or with this probability its prototype.
_JITTER, _PROTOTYPES = 0.03, 0.2
OTHERS = ("free", "rest", "class")
_GIVEN = re.compile(r"(?:AU)?0*(?P<unit>\d+)(?P<side>[LR]?)=(?P<value>\d*\.?\d+)", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Request:
    """Conditions of one face.

    expression: None to let the model choose.   units: (K,) float32, NaN to let the model choose. identity: number of
    the noise, or of the given face, to start from; equal ones give a similar person. attempt: number of the draw; each
    has noise of its own.
    """

    expression: Expression | None
    units: Floats
    caption: str = ""
    identity: int = 0
    attempt: int = 0


def unit(text: str) -> ActionUnit:
    """Return the action unit named "AU12" or "12"; raise InputError for others."""
    number = re.fullmatch(r"(?:AU)?0*(\d+)", text.strip(), re.IGNORECASE)
    if number is None or int(number[1]) not in UNITS:
        raise InputError(f"{text!r} is no action unit of the model; it has {', '.join(map(str, UNITS))}")
    return ActionUnit(int(number[1]))


def units(texts: Sequence[str]) -> Floats:
    """(K,) from texts such as "12=0.8", or "14L=0.6" for one side; NaN if not given.

    A side given alone leaves the other at rest. Raise InputError for unusable texts.
    """
    values = np.full(VECTOR, np.nan, np.float32)
    sides: dict[ActionUnit, dict[str, float]] = {}
    for text in texts:
        match = _GIVEN.fullmatch(text.strip())
        if match is None or not 0 <= float(match["value"]) <= 1:
            raise InputError(f"{text!r} is no action unit with an intensity from 0 to 1, such as 12=0.8 or 14L=0.6")
        number, value = unit(match["unit"]), float(match["value"])
        if match["side"]:
            sides.setdefault(number, {})[match["side"].upper()] = value
        else:
            values[UNITS.index(number)] = value
    for number, given in sides.items():
        if number not in ASYMMETRIES:
            known = ", ".join(f"AU{int(u)}" for u in ASYMMETRIES)
            raise InputError(f"the sides of AU{int(number)} cannot be set apart; those of {known} are")
        left, right = given.get("L", 0.0), given.get("R", 0.0)
        values[UNITS.index(number)] = (left + right) / 2
        values[len(UNITS) + ASYMMETRIES.index(number)] = left - right
    return values


def of_class(about: About, expression: Expression, rng: np.random.Generator) -> Floats:
    """(K,) typical action units of an expression: mostly those of a training face, jittered; else its prototype."""
    rows = about.bank[expression]
    if len(rows) == 0 or rng.random() < _PROTOTYPES:
        return prototype(expression, rng)
    drawn = rows[rng.integers(len(rows))] + rng.normal(0, _JITTER, VECTOR)
    return _within(drawn)


def prototype(expression: Expression, rng: np.random.Generator) -> Floats:
    """(K,) the full marks of an expression and half of its optional ones, times one draw from 0.5 to 1.

    One-sided marks are on the left or on the right; everything else rests.
    """
    known, values = PROTOTYPES[expression], np.zeros(VECTOR)
    for number in known.support:
        values[UNITS.index(ActionUnit(number))] = 0.5
    for number in known.core:
        values[UNITS.index(ActionUnit(number))] = 1.0
    side = 1 if rng.random() < 0.5 else -1
    for number in known.one_sided:
        values[UNITS.index(ActionUnit(number))] = 0.5
        values[len(UNITS) + ASYMMETRIES.index(ActionUnit(number))] = side
    return np.asarray(values * rng.uniform(0.5, 1), np.float32)


def _within(values: NDArray[np.floating]) -> Floats:
    low = np.zeros(VECTOR)
    low[len(UNITS) :] = -1
    return np.asarray(np.clip(values, low, 1), np.float32)


@dataclass(frozen=True, eq=False)
class Wish:
    """A user's request for a set of faces.

    expressions: taken in turn; None lets the model choose.   natural: draw them instead with their frequencies in the
    training faces.   given: (K,), NaN if not given. others: action units that are not given: "free", chosen by the
    model; "rest", 0; "class", those of the expression. caption: of every face; "" for none.   written: "short" or
    "long": a caption of each face from its action units.
    """

    expressions: tuple[Expression | None, ...]
    given: Floats
    natural: bool = False
    others: str = "free"
    caption: str = ""
    written: str = ""

    def __post_init__(self) -> None:
        labelled = self.natural or None not in self.expressions
        if not labelled and (self.others == "class" or self.written):
            raise InputError("action units of the class, and captions written from them, need an expression")


def requests(wish: Wish, about: About, count: int, seed: int) -> list[Request]:
    """Yield the first `count` requests of a set; request i is the same whatever the count."""
    captions.encode(wish.caption, about.words)
    return [_request(wish, about, i, seed) for i in range(count)]


def _request(wish: Wish, about: About, index: int, seed: int) -> Request:
    # A random stream separate from the noise.
    rng = np.random.default_rng([seed, index, 1])
    expression = wish.expressions[index % len(wish.expressions)]
    if wish.natural:
        expression = Expression(int(rng.choice(len(Expression), p=about.shares / about.shares.sum())))
    values = {"free": np.full(VECTOR, np.nan), "rest": np.zeros(VECTOR)}.get(wish.others)
    if values is None:
        assert expression is not None
        values = of_class(about, expression, rng)
    chosen = Request(expression, np.where(np.isnan(wish.given), values, wish.given).astype(np.float32), identity=index)
    caption = _written(chosen, wish.written, rng, about.words) if wish.written else wish.caption
    return replace(chosen, caption=caption)


def _written(request: Request, style: str, rng: np.random.Generator, words: Sequence[str]) -> str:
    """Return a caption in words of the model, about the given conditions only."""
    assert request.expression is not None
    units = np.nan_to_num(request.units)
    face = Observation(
        str(request.identity),
        ActionUnits(units[: len(UNITS)], units[len(UNITS) :]),
        np.eye(len(Expression), dtype=np.float32)[request.expression],
        rated=False,
    )
    text = captions.short(face, rng) if style == "short" else captions.long(face, int(rng.integers(2**31)))
    known = set(words)
    return " ".join(word for word in captions.split(text) if word in known)


def sweep(
    wish: Wish, about: About, swept: Sequence[ActionUnit], values: Sequence[float], count: int, seed: int
) -> list[Request]:
    """Return a row of requests per identity and action unit that differ in its intensity alone."""
    rows = []
    for base in requests(wish, about, count, seed):
        for number in swept:
            for value in values:
                changed = base.units.copy()
                changed[UNITS.index(number)] = value
                rows.append(replace(base, units=changed))
    return rows


def grid(
    wish: Wish, about: About, pair: Sequence[ActionUnit], values: Sequence[float], count: int, seed: int
) -> list[Request]:
    """Return all combinations of intensities of two action units for each identity; the second changes fastest."""
    places = [UNITS.index(number) for number in pair]
    every = []
    for base in requests(wish, about, count, seed):
        for combination in product(values, repeat=2):
            changed = base.units.copy()
            changed[places] = combination
            every.append(replace(base, units=changed))
    return every


def conditions(chosen: Sequence[Request], words: Sequence[str]) -> Conditions:
    """Return requests as inputs of the generator."""
    label = np.zeros((len(chosen), len(Expression)), np.float32)
    for row, request in zip(label, chosen, strict=True):
        if request.expression is not None:
            row[request.expression] = 1
    values = np.stack([request.units for request in chosen])
    known = ~np.isnan(values)
    numbers = np.stack([captions.encode(request.caption, words) for request in chosen])
    return Conditions(label, numbers, np.where(known, values, 0).astype(np.float32), known.astype(np.float32))
