"""What the faces of a set are to show: expressions, captions and action units, given by a user or drawn.

Letters: K = 24 action units and asymmetries.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mien.errors import InputError
from mien.facs.observation import Observation
from mien.facs.units import PROTOTYPES, VECTOR, ActionUnits
from mien.facs.vocabulary import ASYMMETRIES, ActionUnit, Expression
from mien.methods.synfer.flow import captions
from mien.methods.synfer.flow.sample import About, Conditions, Floats

UNITS = tuple(ActionUnit)
# Of the K columns: "AU12", and "AU12 left-right" for a difference between the sides.
NAMES = (*(unit.column for unit in ActionUnit), *(f"{unit.column} left-right" for unit in ASYMMETRIES))
# Action units of a class are those of a training face with this jitter, or in this share its prototype.
_JITTER, _PROTOTYPES = 0.03, 0.2
OTHERS = ("free", "rest", "class")
_GIVEN = re.compile(r"(?:AU)?0*(?P<unit>\d+)(?P<side>[LR]?)=(?P<value>\d*\.?\d+)", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Request:
    """What one face is to show.

    expression: None where the model is free.   units: (K,) float32, NaN where the model is free.
    identity: which noise, or which given face, it begins with; equal ones give the same person as far as the model can.
    """

    expression: Expression | None
    units: Floats
    caption: str = ""
    identity: int = 0


def unit(text: str) -> ActionUnit:
    """The action unit that "AU12" or "12" names; InputError for any other."""
    number = re.fullmatch(r"(?:AU)?0*(\d+)", text.strip(), re.IGNORECASE)
    if number is None or int(number[1]) not in UNITS:
        raise InputError(f"{text!r} is no action unit that the model knows; it knows {', '.join(map(str, UNITS))}")
    return ActionUnit(int(number[1]))


def units(texts: Sequence[str]) -> Floats:
    """(K,) from texts such as "12=0.8", or "14L=0.6" for one of the sides that are told apart; NaN where none is given.

    A side that is given alone leaves the other at rest. InputError says what cannot be used.
    """
    values = np.full(VECTOR, np.nan, np.float32)
    sides: dict[ActionUnit, dict[str, float]] = {}
    for text in texts:
        found = _GIVEN.fullmatch(text.strip())
        if found is None or not 0 <= float(found["value"]) <= 1:
            raise InputError(f"{text!r} is no action unit with an intensity from 0 to 1, such as 12=0.8 or 14L=0.6")
        number, value = unit(found["unit"]), float(found["value"])
        if found["side"]:
            sides.setdefault(number, {})[found["side"].upper()] = value
        else:
            values[UNITS.index(number)] = value
    for number, given in sides.items():
        if number not in ASYMMETRIES:
            known = ", ".join(f"AU{int(u)}" for u in ASYMMETRIES)
            raise InputError(f"the sides of AU{int(number)} are not told apart; those of {known} are")
        left, right = given.get("L", 0.0), given.get("R", 0.0)
        values[UNITS.index(number)] = (left + right) / 2
        values[len(UNITS) + ASYMMETRIES.index(number)] = left - right
    return values


def of_class(about: About, expression: Expression, rng: np.random.Generator) -> Floats:
    """(K,) that a face of this expression may have: mostly those of a training face, jittered; else its prototype."""
    rows = about.bank[expression]
    if len(rows) == 0 or rng.random() < _PROTOTYPES:
        return prototype(expression, rng)
    drawn = rows[rng.integers(len(rows))] + rng.normal(0, _JITTER, VECTOR)
    return _within(drawn)


def prototype(expression: Expression, rng: np.random.Generator) -> Floats:
    """(K,) the marks of an expression in full and what goes along at half, all times one draw from 0.5 to 1.

    A one-sided mark is on the left or on the right; everything else rests.
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
    """What a user asks of a set of faces.

    expressions: taken in turn; None in it where the model is free.   natural: draw them instead as they occur in the
    training faces.   given: (K,), NaN where no action unit is given.
    others: of action units that are not given: "free", left to the model; "rest", 0; "class", those of the expression.
    caption: for every face; "" for none.   written: "short" or "long": a caption for each face from its action units.
    """

    expressions: tuple[Expression | None, ...]
    given: Floats
    natural: bool = False
    others: str = "free"
    caption: str = ""
    written: str = ""

    def __post_init__(self) -> None:
        told = self.natural or None not in self.expressions
        if not told and (self.others == "class" or self.written):
            raise InputError("action units of the class, and captions written from them, need an expression")


def requests(wish: Wish, about: About, count: int, seed: int) -> list[Request]:
    """The first so many faces of a set; face i is the same whatever the count."""
    captions.encode(wish.caption, about.words)
    return [_request(wish, about, i, seed) for i in range(count)]


def _request(wish: Wish, about: About, index: int, seed: int) -> Request:
    # A stream of its own beside that of the noise.
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
    """A caption in words that the model knows; what it is not told is not said."""
    assert request.expression is not None
    told = np.nan_to_num(request.units)
    face = Observation(
        str(request.identity),
        ActionUnits(told[: len(UNITS)], told[len(UNITS) :]),
        np.eye(len(Expression), dtype=np.float32)[request.expression],
        rated=False,
    )
    text = captions.short(face, rng) if style == "short" else captions.long(face, int(rng.integers(2**31)))
    known = set(words)
    return " ".join(word for word in captions.split(text) if word in known)


def sweep(
    wish: Wish, about: About, swept: Sequence[ActionUnit], values: Sequence[float], count: int, seed: int
) -> list[Request]:
    """For so many identities and each action unit a row of faces that differ in its intensity alone."""
    rows = []
    for base in requests(wish, about, count, seed):
        for number in swept:
            for value in values:
                changed = base.units.copy()
                changed[UNITS.index(number)] = value
                rows.append(replace(base, units=changed))
    return rows


def conditions(chosen: Sequence[Request], words: Sequence[str]) -> Conditions:
    """Requests as the generator is given them."""
    label = np.zeros((len(chosen), len(Expression)), np.float32)
    for row, request in zip(label, chosen, strict=True):
        if request.expression is not None:
            row[request.expression] = 1
    values = np.stack([request.units for request in chosen])
    known = ~np.isnan(values)
    numbers = np.stack([captions.encode(request.caption, words) for request in chosen])
    return Conditions(label, numbers, np.where(known, values, 0).astype(np.float32), known.astype(np.float32))
