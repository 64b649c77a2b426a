"""Why a face shows its expression, in words, with each action unit that the words name."""

from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

from mien.arrays import rounded
from mien.facs.vocabulary import ActionUnit, Expression
from mien.results.expression import ExpressionScores
from mien.results.record import Record

# Where a text sees a movement, the subject's own sides.
PhraseSide: TypeAlias = Literal["left", "right", "one", "both"]
# Degrees of intensity, the words of mien.facs.units.BANDS.
Degree: TypeAlias = Literal["absent", "trace", "slight", "moderate", "pronounced", "extreme"]
# The label came of the text, or the text explains the label.
Mode: TypeAlias = Literal["reason-first", "label-first"]


@dataclass(frozen=True)
class Phrase:
    """An action unit that a written explanation names, held against the measured ones.

    start, end: of its words, in characters of its part.   side: as the text has it.
    band: the degree that the text claims; None when it claims none.
    present: False when the text denies it.   measured: intensity, 0 to 1, on that side.
    against: why the measured action units do not support it, in words; "" when they do.
    """

    start: int
    end: int
    unit: ActionUnit
    side: PhraseSide
    band: Degree | None
    present: bool
    measured: float
    against: str

    @property
    def supported(self) -> bool:
        """Whether the measured action units bear it out."""
        return not self.against

    def to_dict(self) -> Record:
        """The JSON form."""
        rest = {"measured": rounded(self.measured, 3), "supported": self.supported}
        return asdict(self) | {"unit": self.unit.column} | rest


@dataclass(frozen=True)
class Part:
    """One part of an explanation, with the action units that it names, in order."""

    title: str
    text: str
    phrases: tuple[Phrase, ...] = ()


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why a face shows its expression, as a model wrote it.

    parts: key observations, overall interpretation, conclusion.   expression: what the model that wrote it answers when
    asked for the label alone.   concluded: the expression that its conclusion names.
    mode: whether the label came of the text ("reason-first"), or the text explains the label ("label-first").
    """

    parts: tuple[Part, ...]
    expression: ExpressionScores
    concluded: Expression
    mode: Mode
    model: str

    @property
    def text(self) -> str:
        """The parts with their titles, a blank line between them."""
        return "\n\n".join(f"{part.title}: {part.text}" for part in self.parts)

    @property
    def consistent(self) -> bool:
        """Whether the conclusion names the label that the model answers when asked for it alone."""
        return self.concluded is self.expression.top

    def to_dict(self) -> Record:
        """The JSON form."""
        parts = [
            {"title": part.title, "text": part.text, "phrases": [phrase.to_dict() for phrase in part.phrases]}
            for part in self.parts
        ]
        return {
            "parts": parts,
            "expression": self.expression.top.label,
            "probabilities": {e.label: rounded(self.expression[e], 4) for e in Expression},
            "concluded": self.concluded.label,
            "consistent": self.consistent,
            "mode": self.mode,
            "model": self.model,
        }
