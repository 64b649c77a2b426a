"""Action units to evidence for and against an expression.

The evidence compares what the reader measured with what FACS sources expect of an expression (facs.units.PROTOTYPES).
It is no trace of the network's own computation: that is what the heat map shows.
"""

from dataclasses import dataclass

from mien.facs.units import PRESENT, PROTOTYPES, ActionUnits, Band, Prototype, band
from mien.facs.vocabulary import ActionUnit, Expression

# From this difference between the sides on, an action unit counts as one-sided.
ONE_SIDED = 0.15


@dataclass(frozen=True)
class Cue:
    """An action unit that bears on an expression.

    intensity: 0 to 1; for a one-sided mark the difference between the sides.   band: of the intensity, in words.
    side: "left" or "right", the subject's own, where one side is clearly stronger; else "both".
    role: "core" or "support" for the expression, or "against".
    weight: its share of the score of mien.facs.units.PROTOTYPES, below 0 when it speaks against.
    """

    unit: ActionUnit
    intensity: float
    band: Band
    side: str
    role: str
    weight: float


@dataclass(frozen=True)
class Evidence:
    """Action units for and against an expression, strongest first, and its missing marks."""

    supporting: tuple[Cue, ...]
    against: tuple[Cue, ...]
    missing: tuple[ActionUnit, ...]


def evidence(units: ActionUnits, expression: Expression) -> Evidence:
    """Sort the action units of a face into evidence for and against an expression."""
    prototype = PROTOTYPES[expression]
    cues = _cues(units, prototype)
    strongest = sorted(cues, key=lambda cue: -abs(cue.weight))
    present = {cue.unit for cue in cues}
    return Evidence(
        tuple(cue for cue in strongest if cue.weight > 0),
        tuple(cue for cue in strongest if cue.weight < 0),
        tuple(ActionUnit(n) for n in prototype.core if ActionUnit(n) not in present),
    )


def side(units: ActionUnits, unit: int) -> str:
    """Return the side with more of an action unit: the subject's "left" or "right", or "both"."""
    difference = units.asymmetry(unit) or 0.0
    if abs(difference) < ONE_SIDED:
        return "both"
    return "left" if difference > 0 else "right"


def _cues(units: ActionUnits, prototype: Prototype) -> list[Cue]:
    marks = len(prototype.core) + len(prototype.one_sided)
    cues = []
    for number in prototype.one_sided:
        difference = abs(units.asymmetry(number) or 0.0)
        if difference >= ONE_SIDED:
            cues.append(_cue(units, number, difference, "core", difference / marks))
    strong = {cue.unit for cue in cues}
    for role, numbers, factor in (
        ("core", prototype.core, 1 / max(marks, 1)),
        ("support", prototype.support, 0.5 / max(len(prototype.support), 1)),
        ("against", prototype.against, -0.5),
    ):
        for number in numbers:
            if units[number] >= PRESENT and ActionUnit(number) not in strong:
                cues.append(_cue(units, number, units[number], role, factor * units[number]))
    return cues


def _cue(units: ActionUnits, number: int, intensity: float, role: str, weight: float) -> Cue:
    return Cue(ActionUnit(number), intensity, band(intensity), side(units, number), role, weight)
