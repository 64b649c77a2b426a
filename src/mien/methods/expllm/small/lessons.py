"""Chains of thought from the file of `mien cot`, as conversations in tokens, one of each kind for every face.

Letters: N faces, T tokens of the longest conversation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mien.errors import InputError
from mien.evaluation.protocols import Selection
from mien.facs.units import VECTOR, ActionUnits
from mien.facs.vocabulary import Expression
from mien.methods.expllm.engine import records
from mien.methods.expllm.engine.chain import Sections
from mien.methods.expllm.small import conversation
from mien.methods.expllm.small.conversation import LABEL, QUESTIONS, REASON, UNITS
from mien.methods.expllm.small.tokenizer import EOS, PAD, Tokenizer


class Lines(NamedTuple):
    """Conversations of one kind.

    tokens: (..., T) int32, padded at the end.   answered: (..., T) bool, the tokens that the model is to say.
    slot: (...,) where the label stands that votes teach, as a distribution; 0 where none does.
    weight: (...,) of the conversation in the loss; 0 where a face has none.
    """

    tokens: Tensor
    answered: Tensor
    slot: Tensor
    weight: Tensor

    def of(self, *index: Tensor) -> "Lines":
        """Some of them, as short as their longest."""
        tokens, answered, slot, weight = (part[index] for part in self)
        width = int(answered.flatten(0, -2).any(dim=0).nonzero().max()) + 1 if answered.any() else tokens.shape[-1]
        return Lines(tokens[..., :width], answered[..., :width], slot, weight)

    def without_image(self, slots: int) -> "Lines":
        """The same without the places of the patches, which follow the first two tokens."""
        kept = [part[..., [0, 1, *range(2 + slots, part.shape[-1])]] for part in (self.tokens, self.answered)]
        return Lines(kept[0], kept[1], (self.slot - slots).clamp(min=0), self.weight)


@dataclass(frozen=True, eq=False)
class Lessons:
    """What N faces teach the embedded model.

    label, units: the conversations about the label alone, and about action units.
    chains: (2, N, ...) chains of thought: those that end in the label, then those that follow it.
    action_units: (N, 24).   taught: (N,) bool, whether a teacher measured them, and not mien's reader.
    """

    tokenizer: Tokenizer
    label: Lines
    units: Lines
    chains: Lines
    action_units: Tensor
    taught: Tensor


class Told(NamedTuple):
    """What a file says of one face; sections are None where it has no text."""

    sections: Sections | None
    label: Expression
    verified: bool
    units: ActionUnits
    taught: bool


def make(faces: Selection, chains: Path, slots: int, unverified_weight: float = 0.5) -> Lessons:
    """The lessons of the selected faces, from the file that `mien cot` wrote about their data.

    slots: places for the patches of a face.   unverified_weight: of texts that were refused to the end; others have 1.
    InputError when the file speaks of none of the faces.
    """
    rows = read_chains(chains)
    known = [rows.get(sample.source) for sample in faces.samples]
    with_text = [face for face in known if face is not None and face.sections is not None]
    if not with_text:
        raise InputError(
            f"{chains} has no text about any of the faces; theirs begin with {faces.samples[0].source!r}, "
            f"its own with {next(iter(rows), 'nothing')!r}: it was made of other data"
        )
    words = [conversation.words_of(face.sections, face.label) for face in with_text if face.sections is not None]
    tokenizer = Tokenizer.learn([*words, conversation.caption_words(), *QUESTIONS.values()])
    write = _LineWriter(tokenizer, slots)
    chained = [write.chains(face, unverified_weight) for face in known]
    both = _padded([pair[0] for pair in chained] + [pair[1] for pair in chained], tokenizer)
    return Lessons(
        tokenizer,
        _padded([write.label()] * len(known), tokenizer),
        _padded([write.units(face) for face in known], tokenizer),
        Lines(*(part.reshape(2, len(known), *part.shape[1:]) for part in both)),
        torch.from_numpy(np.stack([np.zeros(VECTOR, np.float32) if f is None else f.units.vector for f in known])),
        torch.tensor([face is not None and face.taught for face in known]),
    )


class _Line(NamedTuple):
    """A conversation: what opens it, what the model answers, where in the whole the votes teach, and its weight."""

    opening: list[int]
    answer: list[int]
    slot: int
    weight: float
    also: tuple[int, ...] = ()  # places in the opening that are the model's to say


class _LineWriter:
    """Writes conversations in tokens."""

    def __init__(self, tokenizer: Tokenizer, slots: int) -> None:
        self._tokenizer, self._end = tokenizer, tokenizer[EOS]
        self._start = conversation.opening(tokenizer, slots)

    def label(self) -> _Line:
        """Any label stands in the slot, for the votes teach it."""
        asked = [*self._start, *conversation.question(self._tokenizer, LABEL)]
        return _Line(asked, [self._tokenizer.labels[0], self._end], len(asked), 1.0)

    def units(self, face: Told | None) -> _Line:
        asked = [*self._start, *conversation.question(self._tokenizer, UNITS)]
        if face is None:
            return _Line(asked, [], 0, 0.0)
        return _Line(asked, [*self._tokenizer.encode(conversation.caption(face.units)), self._end], 0, 1.0)

    def chains(self, face: Told | None, unverified: float) -> tuple[_Line, _Line]:
        """The chain of thought that ends in the label, and the one that follows it."""
        if face is None or face.sections is None:
            return (_Line(self._start, [], 0, 0.0),) * 2
        weight = 1.0 if face.verified else unverified
        answer, at = conversation.answer(self._tokenizer, face.sections, face.label)
        asked = [*self._start, *conversation.question(self._tokenizer, REASON)]
        given = [*self._start, *conversation.given(self._tokenizer, face.label)]
        # Once the label is given, repeating it in the conclusion is no matter of votes.
        first = len(self._start) + len(conversation.question(self._tokenizer, LABEL))
        return (
            _Line(asked, [*answer, self._end], len(asked) + at, weight),
            _Line(given, [*answer, self._end], first, weight, also=(first, first + 1)),
        )


def _padded(lines: Sequence[_Line], tokenizer: Tokenizer) -> Lines:
    longest = max(len(line.opening) + len(line.answer) for line in lines)
    tokens = np.full((len(lines), longest), tokenizer[PAD], np.int32)
    answered = np.zeros((len(lines), longest), bool)
    for row, (opening, answer, *_, also) in enumerate(lines):
        tokens[row, : len(opening) + len(answer)] = [*opening, *answer]
        answered[row, len(opening) : len(opening) + len(answer)] = True
        answered[row, list(also)] = True
    slots, weights = [line.slot for line in lines], [line.weight for line in lines]
    return Lines(*map(torch.from_numpy, (tokens, answered, np.array(slots), np.array(weights, np.float32))))


def read_chains(path: Path) -> dict[str, Told]:
    """What the file that `mien cot` wrote says of each face, by its name."""
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; `mien cot` writes it", "missing")
    try:
        return {row["image_id"]: _face(row) for row in records.read(path)}
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not a file of chains of thought; `mien cot` writes them") from error


def _face(row: Mapping[str, Any]) -> Told:
    values = np.array(row["au"], np.float32)
    units = ActionUnits.of(values)
    sections = Sections(**row["sections"]) if row["status"] == "ok" else None
    label = Expression[row["label"].upper()]
    return Told(sections, label, row.get("verified", False), units, row["au_source"] == "teacher")
