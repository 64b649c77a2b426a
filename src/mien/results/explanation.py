"""Why a face shows its expression, in words, with each action unit that the words name."""

from dataclasses import asdict, dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

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
# Why a sentence was taken back: an action unit that is absent, present though denied, of another degree or side; a part
# of the face that is not calm; a turn of the head or a hidden half; votes that there are not; words that say nothing;
# another label than the one answered alone.
RejectedKind: TypeAlias = Literal["absent", "present", "degree", "side", "calm", "hidden", "viewers", "empty", "label"]


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
class Rejected:
    """A sentence that was taken back while an explanation was written.

    part: the title of its part.   kind: of the first thing wrong with it.   why: all of them, in words.
    instead: the sentence that stands in its place; "" where none does.
    """

    part: str
    text: str
    kind: RejectedKind
    why: str
    instead: str = ""


@dataclass(frozen=True, eq=False)
class Effect:
    """What a model reads once the action units that a phrase names are taken away in the picture: a test of the model.

    units: taken away together.   phrase: says them in words.   word: the expression that is explained.
    dose: by how much; see mien.dial.   refused: why it was not tried, in words; then the rest is as before.
    measured: the strongest of the units before and after.   sure: the probability of the word before and after.
    reads: the likeliest expression after.   pictures: (S, S, 3) uint8 each, the face before and after; not in JSON.
    """

    units: tuple[ActionUnit, ...]
    phrase: str
    word: Expression
    dose: float
    measured: tuple[float, float]
    sure: tuple[float, float]
    reads: Expression
    read_sure: float
    refused: str = ""
    pictures: tuple[NDArray[np.uint8], ...] = field(default=(), repr=False)

    @property
    def change(self) -> float:
        """By how much the probability of the word changed, -1 to 1; below 0 where the units spoke for it."""
        return self.sure[1] - self.sure[0]

    def to_dict(self) -> Record:
        """The JSON form."""
        return {
            "units": [unit.column for unit in self.units],
            "phrase": self.phrase,
            "word": self.word.label,
            "dose": rounded(self.dose, 2),
            "measured": [rounded(value, 3) for value in self.measured],
            "before": rounded(self.sure[0], 4),
            "after": rounded(self.sure[1], 4),
            "reads": self.reads.label,
            "reads_probability": rounded(self.read_sure, 4),
            "refused": self.refused,
        }


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
    rejected: sentences that were taken back while it was written, in their order.   verified: whether they were, and so
    whether every sentence was held against what was measured.   effects: what the reader says without each movement
    that the text names, most telling first; empty where that was not tried.
    """

    parts: tuple[Part, ...]
    expression: ExpressionScores
    concluded: Expression
    mode: Mode
    model: str
    rejected: tuple[Rejected, ...] = ()
    verified: bool = False
    effects: tuple[Effect, ...] = ()

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
            "verified": self.verified,
            "rejected": [asdict(each) for each in self.rejected],
            "effects": [effect.to_dict() for effect in self.effects],
        }
