"""A chain of thought about an expression: what goes into it, its three parts, and the loop that writes and checks it.

The loop is that of ExpLLM (Lan et al., 2025): describe the action units, infer an expression from the description
alone, verify it against the label, and on failure reflect, remember and describe again.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from mien.facs.observation import Observation
from mien.facs.units import ActionUnits
from mien.facs.vocabulary import ActionUnit, Expression
from mien.methods.expllm.engine.grounding import Claim, supported

HEADERS = ("Key observations", "Overall interpretation", "Conclusion")
_HEADER = re.compile(
    r"^\W*(?:\d+\W+)?(key observations?|overall (?:emotional )?interpretation|conclusion)\b[\s:*]*",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True)
class Sections:
    """The three parts, without their headers."""

    observations: str
    interpretation: str
    conclusion: str

    @property
    def text(self) -> str:
        """The parts with their headers, a blank line between them."""
        parts = (self.observations, self.interpretation, self.conclusion)
        return "\n\n".join(f"{header}: {part}" for header, part in zip(HEADERS, parts, strict=True))

    @staticmethod
    def read(text: str) -> "Sections | None":
        """The parts of a text; None unless it has the three headers, in any usual spelling, once each and in order."""
        headers = list(_HEADER.finditer(text))
        if [match[1].lower()[:3] for match in headers] != ["key", "ove", "con"]:
            return None
        ends = [match.start() for match in headers[1:]] + [len(text)]
        parts = [" ".join(text[m.end() : end].split()) for m, end in zip(headers, ends, strict=True)]
        return Sections(*parts) if all(parts) else None


@dataclass(frozen=True)
class Guess:
    """The expression that a description reads as.

    expression: the likeliest; None when it reads as none.   accepted: what it may be taken for, likeliest first.
    """

    expression: Expression | None
    accepted: tuple[Expression, ...]


@dataclass(frozen=True)
class Objection:
    """What is wrong with a description, in words; and the action unit to leave out, or to put first, if it is one."""

    text: str
    drop: ActionUnit | None = None
    promote: ActionUnit | None = None


@dataclass(frozen=True)
class Call:
    """The cost of one question.

    node: which node asked.   tokens: of the question and of the answer, None where the server does not count them.
    """

    node: str
    seconds: float
    prompt_tokens: int | None
    completion_tokens: int | None


@dataclass(frozen=True)
class Attempt:
    """A description that was refused; the memory is a list of them."""

    description: str
    guess: Guess
    objections: tuple[Objection, ...]


class Nodes(Protocol):
    """The four nodes of an engine that write or judge."""

    def describe(self, face: Observation, memory: Sequence[Attempt]) -> str:
        """A description of the face from its action units, better than those in memory."""

    def infer(self, face: Observation, description: str) -> Guess:
        """The expression that the description reads as; face only names which one it is about."""

    def verify(self, face: Observation, description: str, guess: Guess) -> Sequence[Objection]:
        """What is wrong with the description; nothing when it is right."""

    def refine(self, face: Observation, description: str, verified: bool) -> Sections:
        """The description in its final form, with a conclusion that names the label."""


@dataclass(frozen=True)
class Chain:
    """A chain of thought.

    label: what it was to explain.   guess: what its description reads as.   loops: descriptions written, from 1.
    memory: those that were refused, and why.   verified: whether the last one was accepted, and the text in its final
    form names no action unit that was not measured.
    """

    sections: Sections
    label: Expression
    guess: Guess
    verified: bool
    loops: int
    memory: tuple[Attempt, ...]

    @property
    def text(self) -> str:
        """The three parts with their headers."""
        return self.sections.text

    def claims(self, units: ActionUnits) -> tuple[Claim, ...]:
        """The action units that the text names, held against those measured."""
        return supported(self.text, units)


def think(face: Observation, nodes: Nodes, loops: int = 3) -> Chain:
    """Describe, infer and verify until nothing is wrong, at most so many times; then refine the last description."""
    memory: list[Attempt] = []
    while True:
        description = nodes.describe(face, memory)
        guess = nodes.infer(face, description)
        objections = nodes.verify(face, description, guess)
        if objections:
            memory.append(Attempt(description, guess, tuple(objections)))
        if not objections or len(memory) == loops:
            break
    accepted = not objections
    sections = nodes.refine(face, description, accepted)
    grounded = all(claim.supported for claim in supported(sections.text, face.units))
    return Chain(sections, face.label, guess, accepted and grounded, len(memory) + accepted, tuple(memory))
