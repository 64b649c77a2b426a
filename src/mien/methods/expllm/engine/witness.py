"""The engine beside a model that writes: it refuses what is not true of a face, and lends its own sentences."""

import re
from collections.abc import Sequence
from functools import cached_property

from mien.facs.observation import Observation
from mien.methods.expllm.engine import compose, rules, wording
from mien.methods.expllm.engine.chain import Sections
from mien.methods.expllm.engine.check import Wrong, wrong
from mien.methods.expllm.engine.grounding import supported
from mien.methods.expllm.engine.parse import parse
from mien.methods.expllm.engine.sureness import sureness


class Witness:
    """What was measured of a face, as a check of what is written about it.

    face: its shares are those of the model that writes.   choose: picks one of several words, by the face's name.
    """

    def __init__(self, face: Observation) -> None:
        self._face = face
        self.choose = compose.Choice(f"{face.name}/opening")

    def wrong(self, text: str, since: int = 0) -> Sequence[Wrong]:
        """What is wrong with a text from a character on."""
        return wrong(text, self._face, since)

    def forbids(self, sentence: str, refused: Sequence[Wrong]) -> bool:
        """Whether a sentence, also one without its end, claims wrongly of an action unit again."""
        units = {each.unit for each in refused}
        return any(claim.fault and claim.mention.unit in units for claim in supported(sentence, self._face.units))

    def instead(self, part: int, text: str) -> str:
        """The engine's next sentence after a text of a part, 0 to 2, about what it has not named; "" for none."""
        named = {mention.unit for mention in parse(text)}
        sections = (self._rules.observations, self._rules.interpretation, self._rules.conclusion)
        sentences = [match.group().strip() for match in re.finditer(r"[^.]+\.", sections[part])]
        for candidate in (*sentences, *(() if text else wording.NOTHING[part : part + 1])):
            repeated = candidate in text or not named.isdisjoint(mention.unit for mention in parse(candidate))
            if not repeated and not self.wrong(f"{text} {candidate}".strip(), len(text)):
                return candidate
        return ""

    def ending(self, part: int, text: str) -> str:
        """What the engine adds to a part, 0 to 2: what is not seen, what comes next, how sure the model is."""
        if part == 0:
            return compose.not_seen(self._face, text)
        if part == 1:
            return compose.runner_up(self._face, text)
        return sureness(float(self._face.shares[self._face.label]), "expllm")

    @cached_property
    def _rules(self) -> Sections:
        return rules.explain(self._face).sections
