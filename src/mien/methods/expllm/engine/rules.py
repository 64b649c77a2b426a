"""The deterministic Exp-CoT engine: action units and votes to a chain of thought, without a language model.

The nodes are those of ExpLLM (Lan et al., 2025): rules write and judge where the paper asks GPT. The same face and
seed give the same text on any machine, and every action unit that a text names was measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mien.facs.observation import Observation
from mien.facs.units import BANDS, PRESENT, PROTOTYPES, Prototype
from mien.facs.vocabulary import ASYMMETRIES, ActionUnit, Expression
from mien.methods.expllm.engine import compose
from mien.methods.expllm.engine.chain import Attempt, Chain, Guess, Objection, Sections, think
from mien.methods.expllm.engine.grounding import supported
from mien.methods.expllm.engine.lexicon import MODERATE
from mien.methods.expllm.engine.parse import parse
from mien.methods.expllm.engine.scoring import probabilities

# Raised whenever the same face and seed may give another text.
VERSION = "2"
# A description agrees with an expression that it gives this probability, or that is among its first two.
ENOUGH = 0.25
# What a degree stands for when a text is read back: the middle of its band; "moderate" where the text gives none.
_MIDDLE = [(one.least + least) / 2 for one, least in zip(BANDS, [*(b.least for b in BANDS[1:]), 1.0], strict=True)]


def explain(face: Observation, seed: int = 0, loops: int = 3) -> Chain:
    """The chain of thought of a face; at most so many descriptions are tried."""
    return think(face, Rules(seed), loops)


def read(text: str) -> Guess:
    """The expression that a text's action units are marks of, whatever label the text names.

    It accepts the two likeliest by scoring.py, and others with a probability of at least ENOUGH.
    """
    units: dict[int, float] = {}
    differences: dict[int, float] = {}
    for mention in parse(text):
        if mention.unit in units and mention.band is None:
            continue
        index = MODERATE if mention.band is None else BANDS.index(mention.band)
        claimed = _MIDDLE[index] if mention.present else 0.0
        if mention.side != "both" and mention.unit in ASYMMETRIES:
            differences[mention.unit] = -claimed if mention.side == "right" else claimed
            claimed /= 2
        units[mention.unit] = claimed
    shares = probabilities(units, differences)
    ranked = [Expression(int(i)) for i in np.argsort(-shares, kind="stable")]
    return Guess(ranked[0], tuple(e for i, e in enumerate(ranked) if i < 2 or shares[e] >= ENOUGH))


@dataclass(frozen=True)
class Rules:
    """The nodes of the deterministic engine."""

    seed: int = 0

    def describe(self, face: Observation, memory: Sequence[Attempt]) -> str:
        """Observations and interpretation, a blank line between them."""
        name = self._name(face, len(memory))
        past = [objection for attempt in memory for objection in attempt.objections]
        items = compose.select(
            face,
            compose.Choice(f"{name}/select"),
            dropped={objection.drop for objection in past if objection.drop},
            promoted={objection.promote for objection in past if objection.promote},
        )
        named, observations = compose.observe(items, face, name)
        return f"{observations}\n\n{compose.interpret(named, face, name, hedged=bool(memory))}"

    def infer(self, face: Observation, description: str) -> Guess:
        """What the written action units are marks of."""
        return read(description)

    def verify(self, face: Observation, description: str, guess: Guess) -> Sequence[Objection]:
        """Whether the text says what was measured, and reads as the label; if not, what to change."""
        wrong = [claim for claim in supported(description, face.units) if not claim.supported]
        objections = [Objection(f"{c.mention.unit.column} is {c.against}", drop=c.mention.unit) for c in wrong]
        if face.label not in guess.accepted:
            objections += _reflect(face, description, guess)
        return objections

    def refine(self, face: Observation, description: str, verified: bool) -> Sections:
        """The description with its conclusion."""
        observations, interpretation = description.split("\n\n")
        room = compose.LEAST - compose.words(description)
        return Sections(observations, interpretation, compose.conclude(face, self._name(face), not verified, room))

    def _name(self, face: Observation, attempt: int = 0) -> str:
        return f"{VERSION}/{self.seed}/{face.name}/{attempt}"


def _reflect(face: Observation, description: str, guess: Guess) -> list[Objection]:
    """Why a description does not read as the label: marks left out, and the strongest of the weak ones against it."""
    prototype = PROTOTYPES[face.label]
    named = {mention.unit for mention in parse(description) if mention.present}
    objections = [Objection(f"it reads as {_label(guess)}, not {face.label.label}")]
    for unit in _marks(prototype):
        if unit not in named and face.units[unit] >= PRESENT:
            objections.append(Objection(f"it leaves out {unit.column}, a mark of {face.label.label}", promote=unit))
    weak = [unit for unit in named if unit in prototype.against and face.units[unit] < BANDS[MODERATE].least]
    if weak:
        worst = max(weak, key=lambda unit: (face.units[unit], -unit))
        objections.append(Objection(f"it tells {worst.column}, which is weak and speaks against it", drop=worst))
    return objections


def _label(guess: Guess) -> str:
    return "nothing" if guess.expression is None else guess.expression.label


def _marks(prototype: Prototype) -> list[ActionUnit]:
    return [ActionUnit(unit) for unit in (*prototype.core, *prototype.one_sided)]
