"""The embedded model's words, within the form of its training and, if they are checked, without what is not true.

A sentence is checked when it ends. One that is wrong is taken back and written anew without that phrase, at most TRIES
times; then the sentence of the rules stands in its place.

Letters: T tokens, V words.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mien.core.contract import softmax
from mien.core.session import InferenceSession
from mien.errors import ModelError
from mien.facs.vocabulary import Expression
from mien.methods.expllm.engine.chain import HEADERS, Sections
from mien.methods.expllm.engine.check import Wrong
from mien.methods.expllm.engine.witness import Witness
from mien.methods.expllm.small.tokenizer import EOS, PARTS, STOP, Tokenizer, split
from mien.results.explanation import Rejected
from mien.results.expression import ExpressionScores

# Tokens of a part at the most.
LONGEST = (60, 45, 35)
# How often a sentence is written anew.
TRIES = 3
# A part that repeats so many words in a row is in a loop. Fewer may be: of the engine's own texts 26 % say
# three words twice in a part ("lift of the ..."), 0.2 % say eight.
_REPEATED = 8
# Where a phrase is forbidden, a word less likely than this is no way to go on with a sentence; then the word before is
# chosen anew, so often at the most.
_UNLIKELY, _STEPS_BACK = 0.1, 20
# How likely a word must be to open a text.
_OPENING = 0.1

Floats = NDArray[np.float32]
OBSERVATIONS, INTERPRETATION, CONCLUSION = range(3)


class Text(NamedTuple):
    """What was written.

    conclusion: how sure the model was of each expression where it names one.   concluded: the one named.
    whole: no part ran out of room in the middle of a sentence.   rejected: sentences taken back, in their order.
    """

    sections: Sections
    conclusion: ExpressionScores
    concluded: Expression
    whole: bool
    rejected: tuple[Rejected, ...]


@dataclass(frozen=True, eq=False)
class State:
    """A conversation so far: the keys and values of every layer, and the logits of the next token.

    A state never changes, so that several answers may go on from one.
    """

    session: InferenceSession
    patches: Floats
    past: Floats
    logits: Floats = field(default_factory=lambda: np.zeros(0, np.float32))

    def read(self, tokens: Iterable[int]) -> "State":
        """The state after some tokens; itself after none."""
        listed = list(tokens)
        if not listed:
            return self
        given = {"tokens": np.array([listed], np.int64), "patches": self.patches, "past": self.past}
        logits, past = self.session.run(["logits", "present"], given)
        return State(self.session, self.patches, past, logits[0])


@dataclass(frozen=True)
class LabelCalibration:
    """What was fitted on faces that the model was not trained on, as for every other model of mien.

    shift: (8,), strength times the change of the prior, which is added to the logits of the labels.
    """

    shift: tuple[float, ...]
    temperature: float

    @staticmethod
    def read(session: InferenceSession) -> "LabelCalibration":
        """Read the calibration of a language model's file."""
        meta: Mapping[str, str] = session.get_modelmeta().custom_metadata_map
        try:
            shift = np.array([float(v) for v in meta["shift"].split(",")]) * float(meta["strength"])
            return LabelCalibration(tuple(map(float, shift)), float(meta["temperature"]))
        except (KeyError, ValueError) as error:
            raise ModelError("the language model carries no calibration; write it with `mien export expllm`") from error

    def scores(self, logits: Floats, words: Tokenizer) -> ExpressionScores:
        """Probabilities of the eight labels, of the logits of all words."""
        own = logits[words.labels.start : words.labels.stop]
        return ExpressionScores(softmax((own + np.array(self.shift)) / self.temperature))


class _Sentence(NamedTuple):
    """A sentence, its tokens and the state after them."""

    text: str
    tokens: tuple[int, ...]
    state: State


class SentenceWriter:
    """Writes the three parts from a state, the likeliest word after the likeliest word, within the form.

    check: what every sentence must be true of; None lets all of them stand.
    say: is given the text piece by piece: a word with the space before it, or the end of a paragraph.
    """

    def __init__(
        self, words: Tokenizer, calibration: LabelCalibration, check: Witness | None, say: Callable[[str], None]
    ) -> None:
        self._words, self._calibration, self._check, self._say = words, calibration, check, say
        self._stop, self._whole = words[STOP], True
        self._plain = np.zeros(len(words), bool)
        self._plain[words.words.start : words.words.stop] = True
        self._rejected: list[Rejected] = []
        self._wrong: list[Wrong] = []  # about action units, in any sentence so far
        self._banned: set[tuple[int, int]] = set()  # in this sentence: a word and what may not follow it

    def write(self, state: State, label: Expression) -> Text:
        """The three parts; label: what the model answers when asked for it alone."""
        parts = []
        for part in (OBSERVATIONS, INTERPRETATION):
            self._say(f"{HEADERS[part]}:")
            text, state = self._part(part, state.read([self._words[PARTS[part]]]), self._words[PARTS[part + 1]])
            parts.append(text)
            self._say("\n\n")
        self._say(f"{HEADERS[CONCLUSION]}:")
        text, scores, named = self._conclusion(state.read([self._words[PARTS[CONCLUSION]]]), label)
        sections = Sections(parts[0], parts[1], text)
        return Text(sections, scores, named, self._whole, tuple(self._rejected))

    def _part(
        self, part: int, state: State, end: int, text: str = "", written: tuple[int, ...] = ()
    ) -> tuple[str, State]:
        """Sentences up to the token that ends the part; the state is that before this token.

        text, written: what the part has already.
        """
        while len(written) < LONGEST[part]:
            sentence = self._checked(part, state, end, text, written)
            if sentence is None:
                break
            self._aloud(sentence.text)
            text, written, state = _joined(text, sentence.text), (*written, *sentence.tokens), sentence.state
        ending = self._check.ending(part, text) if self._check else ""
        self._aloud(ending)
        return _joined(text, ending), state

    def _checked(self, part: int, state: State, end: int, text: str, written: tuple[int, ...]) -> _Sentence | None:
        """The next sentence that nothing is wrong with; None where the part ends."""
        if self._check is None:
            return self._sentence(part, state, end, written)
        first, sentence = len(self._rejected), None
        for _ in range(1 + TRIES):
            sentence = self._sentence(part, state, end, written)
            wrong = () if sentence is None else self._check.wrong(_joined(text, sentence.text), len(text))
            if sentence is None or not wrong:
                break
            self._take_back(part, text, sentence, wrong)
            sentence = None
        if sentence is None and (len(self._rejected) > first or not text):
            sentence = self._by_rules(part, state, text)
        instead = "" if sentence is None else sentence.text
        self._banned.clear()
        self._rejected[first:] = [replace(each, instead=instead) for each in self._rejected[first:]]
        return sentence

    def _by_rules(self, part: int, state: State, text: str) -> _Sentence | None:
        assert self._check is not None
        sentence = self._check.instead(part, text)
        if not sentence:
            return None
        tokens = self._words.known(sentence)
        return _Sentence(sentence, tokens, state.read(tokens))

    def _sentence(self, part: int, state: State, end: int, written: tuple[int, ...]) -> _Sentence | None:
        """The next sentence; None where the model ends the part, or nothing likely is left to say."""
        own: list[int] = []
        states = [state]
        shut: dict[tuple[int, ...], set[int]] = {}  # words that led nowhere, by the words before them
        back = 0
        while len(written) + len(own) < LONGEST[part] and own[-1:] != [self._stop]:
            allowed = self._plain & ~self._repeated((*written, *own))
            # A part has a sentence in it, and a sentence a word.
            allowed[end] = bool(written) and not own
            allowed[self._stop] &= bool(own)
            opens = part == OBSERVATIONS and not written
            token = self._next(states[-1], allowed, written[-1:], own, shut.get(tuple(own), set()), opens)
            if token is not None:
                if token == end:
                    return None
                own.append(token)
                states.append(states[-1].read([token]))
            elif not own or back == _STEPS_BACK:
                return None
            else:
                back += 1
                states.pop()
                shut.setdefault(tuple(own[:-1]), set()).add(own.pop())
        if own[-1:] != [self._stop]:
            if self._check is not None:
                return None
            self._whole = False
            own.append(self._stop)
            states.append(states[-1].read([self._stop]))
        return _Sentence(self._words.decode(own), tuple(own), states[-1])

    def _next(
        self,
        state: State,
        allowed: NDArray[np.bool_],
        last: Sequence[int],
        own: Sequence[int],
        shut: set[int],
        opens: bool,
    ) -> int | None:
        """The likeliest word that is not forbidden; None where none of them is likely."""
        logits = np.where(allowed, state.logits, -np.inf)
        if self._check is None:
            return int(logits.argmax())
        if opens and not shut and self._words.decode(own) in ("", "The"):
            # A text has many good openings, and the likeliest would be that of every second face.
            return self._check.choose(np.flatnonzero(softmax(logits) >= _OPENING).tolist() or [int(logits.argmax())])
        if not (self._wrong or self._banned):
            return int(logits.argmax())
        before = own[-1] if own else last[-1] if last else self._stop
        shares = softmax(logits)
        for token in map(int, np.argsort(-shares)):
            if shares[token] < _UNLIKELY:
                return None
            banned = token in shut or (before, token) in self._banned
            if not banned and not (self._wrong and self._check.forbids(self._words.decode([*own, token]), self._wrong)):
                return token
        return None

    def _take_back(self, part: int, text: str, sentence: _Sentence, wrong: Sequence[Wrong]) -> None:
        """Keep a sentence among the rejected, and forbid what is wrong in it."""
        whole = _joined(text, sentence.text)
        why = "; ".join(f'"{whole[each.start : each.end]}": {each.why}' for each in wrong)
        self._rejected.append(Rejected(HEADERS[part], sentence.text, wrong[0].kind, why))
        for each in wrong:
            if each.unit is not None:
                self._wrong.append(each)
                continue
            # Which word of the sentence the phrase begins with.
            at = len(split(whole[len(whole) - len(sentence.text) : each.start]))
            before = sentence.tokens[at - 1] if at else self._stop
            self._banned.add((before, sentence.tokens[at]))

    def _conclusion(self, state: State, label: Expression) -> tuple[str, ExpressionScores, Expression]:
        """One sentence that ends in a label, and what follows it."""
        written: list[int] = []
        while True:
            allowed = self._plain & ~self._repeated(written)
            allowed[self._stop] = False
            allowed[self._words.labels.start : self._words.labels.stop] = bool(written)
            token = int(np.where(allowed, state.logits, -np.inf).argmax())
            if token in self._words.labels:
                break
            if len(written) >= LONGEST[CONCLUSION] - 2:
                self._whole = False
                break
            written, state = [*written, token], state.read([token])
        scores = self._calibration.scores(state.logits, self._words)
        sentence, named = self._naming(written, scores.top, label)
        self._aloud(sentence)
        if self._check:
            ending = self._check.ending(CONCLUSION, sentence)
            self._aloud(ending)
            return _joined(sentence, ending), scores, named
        tokens = (self._words.labels[named], self._stop)
        text, _ = self._part(CONCLUSION, state.read(tokens), self._words[EOS], sentence, (*written, *tokens))
        return text, scores, named

    def _naming(self, written: list[int], named: Expression, label: Expression) -> tuple[str, Expression]:
        """The sentence that names a label: one that is not the label answered alone is taken back."""

        def naming(expression: Expression) -> str:
            return self._words.decode([*written, self._words.labels[expression], self._stop])

        if self._check is None or named is label:
            return naming(named), named
        why = f"asked for the label alone, the same model says {label.label}"
        self._rejected.append(Rejected(HEADERS[CONCLUSION], naming(named), "label", why, naming(label)))
        return naming(label), label

    def _aloud(self, sentence: str) -> None:
        for word in sentence.split():
            self._say(f" {word}")

    def _repeated(self, written: Sequence[int]) -> NDArray[np.bool_]:
        """Return the words, (V,) bool, that would repeat an earlier passage of this part."""
        banned = np.zeros(len(self._words), bool)
        last = tuple(written[1 - _REPEATED :])
        if len(last) == _REPEATED - 1:
            for i in range(len(written) - len(last)):
                if tuple(written[i : i + len(last)]) == last:
                    banned[written[i + len(last)]] = True
        return banned


def _joined(text: str, more: str) -> str:
    return f"{text} {more}".strip()
