"""A face to a label, and to a chain of thought written word by word, without torch: two ONNX files and a word list.

What the model may say is constrained to the form of its training: three parts in their order, each of whole sentences,
and a conclusion that names one expression, once, at the end of its first sentence.

Letters: T tokens, V words, P patches, S the side of a face in pixels.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from mien.core.align import align
from mien.core.contract import Contract, softmax
from mien.core.files import read_regular
from mien.core.rebuilt import Rebuilt
from mien.core.session import InferenceSession, open_session
from mien.core.trial import attempt
from mien.core.zoo import LARGEST, MODELS, load
from mien.errors import InputError, ModelError
from mien.facs.units import ActionUnits
from mien.facs.vocabulary import Expression
from mien.methods.expllm.engine.chain import HEADERS, Sections
from mien.methods.expllm.engine.grounding import supported
from mien.methods.expllm.small import conversation
from mien.methods.expllm.small.tokenizer import EOS, PARTS, STOP, Tokenizer
from mien.results.explanation import Degree, Explanation, Mode, Part, Phrase, PhraseSide
from mien.results.expression import ExpressionScores
from mien.results.face import FaceReport

ENCODER, LANGUAGE, WORDS = "encoder.onnx", "language.onnx", "tokenizer.json"
# The shipped model that writes, as commands name it.
NAME = "expllm"
# What of mien.core.zoo.MODELS its files are.
SHIPPED = {ENCODER: "expllm-encoder", LANGUAGE: "expllm-language", WORDS: "expllm-words"}
MODES: tuple[Mode, ...] = ("reason-first", "label-first")
# Tokens of a part at the most.
LONGEST = (60, 45, 35)
# So many words in a row are not said twice in a part: that is a loop. Fewer may be: of the engine's own texts 26 % say
# three words twice in a part ("lift of the ..."), 0.2 % say eight.
_REPEATED = 8

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]


class Label(NamedTuple):
    """What a model answers when it is asked for the label alone.

    expression: calibrated probabilities.   free: the word that it would have said unasked; a label's, if all is well.
    """

    expression: ExpressionScores
    free: str


@dataclass(frozen=True)
class Written:
    """A chain of thought as the model wrote it.

    label: what the model answers when asked for the label alone.   conclusion: how sure it was of the expression that
    it concludes, the likeliest.   whole: no part ran out of room in the middle of a sentence.
    """

    sections: Sections
    label: Label
    conclusion: ExpressionScores
    mode: Mode
    whole: bool

    @property
    def concluded(self) -> Expression:
        """The expression that the conclusion names."""
        return self.conclusion.top


class Explainer(Rebuilt):
    """The embedded model, from a folder that `mien export expllm` wrote; left out, the one that mien ships.

    size: the side of the faces that it looks at.   name: of the model.   threads: of ONNX Runtime.
    """

    def __init__(self, folder: str | Path | None = None, threads: int = 2) -> None:
        files = _files(folder)
        self._encoder, self._language = open_session(files[ENCODER], threads), open_session(files[LANGUAGE], threads)
        self._words = Tokenizer.read(files[WORDS])
        contract = Contract.read(self._encoder)
        self.size, self.name, self._mean, self._std = contract.size, contract.name, contract.mean, contract.std
        self._calibration = _Calibration.read(self._language)
        _check_words(self._language, files[WORDS])
        self._layers = _cache_shape(self._language)

    def label(self, face: Image) -> Label:
        """The expression of an (S, S) uint8 gray crop, aligned as for the reader."""
        return self._labelled(self._look(face))[0]

    def write(self, face: Image, mode: Mode = MODES[0], say: Callable[[str], None] = lambda text: None) -> Written:
        """A chain of thought about an (S, S) uint8 gray crop.

        mode: "reason-first", the label comes of the text; "label-first", the text explains the label.
        say: is given the text piece by piece, headers included, as it is written.
        """
        if mode not in MODES:
            raise InputError(f"there is no mode {mode!r}; the modes are {' and '.join(MODES)}")
        start = self._look(face)
        label, labelled = self._labelled(start)
        if mode == "reason-first":
            state = start.read(conversation.question(self._words, conversation.REASON))
        else:
            answer = [self._words.labels[label.expression.top], self._words[EOS]]
            state = labelled.read([*answer, *conversation.question(self._words, conversation.AFTERWARDS)])
        return _Writer(self._words, self._calibration, say).write(state, label, mode)

    def _look(self, face: Image) -> "_State":
        if face.dtype != np.uint8 or face.shape != (self.size, self.size):
            raise InputError(
                f"expected a gray crop, uint8 of shape ({self.size}, {self.size}), but got {face.dtype} {face.shape}"
            )
        scaled = ((face[None, None].astype(np.float32) / 255 - self._mean) / self._std).astype(np.float32)
        (patches,) = self._encoder.run(["patches"], {"faces": scaled})
        state = _State(self._language, patches, np.zeros(self._layers, np.float32))
        return state.read(conversation.opening(self._words, patches.shape[1]))

    def _labelled(self, start: "_State") -> tuple[Label, "_State"]:
        state = start.read(conversation.question(self._words, conversation.LABEL))
        scores = self._calibration.scores(state.logits, self._words)
        return Label(scores, self._words.tokens[int(state.logits.argmax())]), state


def explain(
    explainer: Explainer,
    image: Image,
    face: FaceReport,
    mode: Mode = MODES[0],
    say: Callable[[str], None] = lambda text: None,
) -> FaceReport:
    """A face with its explanation.   image: the (H, W, 3) RGB picture it is in.   mode, say: see Explainer.write."""
    (crop,) = align(image, [face.crop], explainer.size)
    return replace(face, explanation=explained(explainer.write(crop, mode, say), face.action_units, explainer.name))


def explained(written: Written, units: ActionUnits | None, model: str) -> Explanation:
    """A chain of thought with each phrase held against the measured action units, if there are any."""
    texts = (written.sections.observations, written.sections.interpretation, written.sections.conclusion)
    parts = [Part(header, text, _phrases(text, units)) for header, text in zip(HEADERS, texts, strict=True)]
    return Explanation(tuple(parts), written.label.expression, written.concluded, written.mode, model)


def _phrases(text: str, units: ActionUnits | None) -> tuple[Phrase, ...]:
    if units is None:
        return ()
    return tuple(
        Phrase(
            claim.mention.start,
            claim.mention.end,
            claim.mention.unit,
            cast(PhraseSide, claim.mention.side),
            None if claim.mention.band is None else cast(Degree, claim.mention.band.word),
            claim.mention.present,
            claim.measured,
            claim.against,
        )
        for claim in supported(text, units)
    )


@dataclass(frozen=True, eq=False)
class _State:
    """A conversation so far: the keys and values of every layer, and the logits of the next token.

    A state never changes, so that several answers may go on from one.
    """

    session: InferenceSession
    patches: Floats
    past: Floats
    logits: Floats = field(default_factory=lambda: np.zeros(0, np.float32))

    def read(self, tokens: Iterable[int]) -> "_State":
        """The state after some tokens."""
        given = {"tokens": np.array([list(tokens)], np.int64), "patches": self.patches, "past": self.past}
        logits, past = self.session.run(["logits", "present"], given)
        return _State(self.session, self.patches, past, logits[0])


@dataclass(frozen=True)
class _Calibration:
    """What was fitted on faces that the model was not trained on, as for every other model of mien.

    shift: (8,), strength times the change of the prior, which is added to the logits of the labels.
    """

    shift: tuple[float, ...]
    temperature: float

    @staticmethod
    def read(session: InferenceSession) -> "_Calibration":
        meta: Mapping[str, str] = session.get_modelmeta().custom_metadata_map
        try:
            shift = np.array([float(v) for v in meta["shift"].split(",")]) * float(meta["strength"])
            return _Calibration(tuple(map(float, shift)), float(meta["temperature"]))
        except (KeyError, ValueError) as error:
            raise ModelError("the language model carries no calibration; write it with `mien export expllm`") from error

    def scores(self, logits: Floats, words: Tokenizer) -> ExpressionScores:
        """Probabilities of the eight labels, of the logits of all words."""
        own = logits[words.labels.start : words.labels.stop]
        return ExpressionScores(softmax((own + np.array(self.shift)) / self.temperature))


class _Writer:
    """Writes the three parts from a state, the likeliest word after the likeliest word, within the form."""

    def __init__(self, words: Tokenizer, calibration: _Calibration, say: Callable[[str], None]) -> None:
        self._words, self._calibration, self._say = words, calibration, say
        self._stop, self._whole = words[STOP], True
        self._plain = np.zeros(len(words), bool)
        self._plain[words.words.start : words.words.stop] = True

    def write(self, state: _State, label: Label, mode: Mode) -> Written:
        said = []
        for number in range(2):
            self._say(f"{HEADERS[number]}:")
            end = self._words[PARTS[number + 1]]
            text, state = self._part(state.read([self._words[PARTS[number]]]), end, LONGEST[number])
            said.append(text)
            self._say("\n\n")
        self._say(f"{HEADERS[2]}:")
        text, scores = self._conclusion(state.read([self._words[PARTS[2]]]))
        observations, interpretation = said
        sections = Sections(observations, interpretation, text)
        return Written(sections, label, scores, mode, self._whole)

    def _part(self, state: _State, end: int, longest: int, start: tuple[int, ...] = ()) -> tuple[str, _State]:
        """Sentences up to the token that ends the part; the state is that before this token.

        start: what the part has said already.
        """
        said = list(start)
        while len(said) < longest:
            allowed = self._plain & ~self._repeated(said)
            ended = said[-1:] == [self._stop]
            allowed[end] = ended
            # A sentence has a word in it.
            allowed[self._stop] &= bool(said) and not ended
            token = int(np.where(allowed, state.logits, -np.inf).argmax())
            if token == end:
                break
            self._say(self._sounded(said, token))
            said, state = [*said, token], state.read([token])
        if said[-1:] != [self._stop]:
            self._whole = False
            self._say(STOP)
            said, state = [*said, self._stop], state.read([self._stop])
        return self._words.decode(said), state

    def _conclusion(self, state: _State) -> tuple[str, ExpressionScores]:
        """One sentence that ends in a label, and what follows it."""
        said: list[int] = []
        while True:
            allowed = self._plain & ~self._repeated(said)
            allowed[self._stop] = False
            allowed[self._words.labels.start : self._words.labels.stop] = bool(said)
            token = int(np.where(allowed, state.logits, -np.inf).argmax())
            if token in self._words.labels:
                break
            if len(said) >= LONGEST[2] - 2:
                self._whole = False
                break
            self._say(self._sounded(said, token))
            said, state = [*said, token], state.read([token])
        scores = self._calibration.scores(state.logits, self._words)
        named = [self._words.labels[scores.top], self._stop]
        self._say(self._sounded(said, named[0]) + STOP)
        text, _ = self._part(state.read(named), self._words[EOS], LONGEST[2], (*said, *named))
        return text, scores

    def _sounded(self, said: list[int], token: int) -> str:
        """What a token adds to the text on the screen, where a part begins after its header."""
        piece = self._words.piece(said[-1] if said else None, token)
        return piece if said else f" {piece}"

    def _repeated(self, said: list[int]) -> NDArray[np.bool_]:
        """The words that would repeat what this part has said before."""
        banned = np.zeros(len(self._words), bool)
        last = tuple(said[1 - _REPEATED :])
        if len(last) == _REPEATED - 1:
            for i in range(len(said) - len(last)):
                if tuple(said[i : i + len(last)]) == last:
                    banned[said[i + len(last)]] = True
        return banned


def _files(folder: str | Path | None) -> dict[str, bytes]:
    """The three files of a model."""
    if folder is None:
        if not MODELS.keys() >= set(SHIPPED.values()):
            raise ModelError(
                "this version of mien ships no model that explains; train one with `mien train expllm`, write it with "
                "`mien export expllm` and give its folder as --model"
            )
        return {file: load(name) for file, name in SHIPPED.items()}
    try:
        files = {file: read_regular(Path(folder) / file, LARGEST) for file in SHIPPED}
    except InputError as error:
        raise ModelError(f"{error}; `mien export expllm` writes a folder with {', '.join(SHIPPED)}") from error
    for file in (ENCODER, LANGUAGE):
        attempt(files[file], str(Path(folder) / file))
    return files


def _check_words(language: InferenceSession, words: bytes) -> None:
    """The numbers of the words must be those that the model was trained with."""
    wanted = language.get_modelmeta().custom_metadata_map.get("words_sha256")
    if wanted != hashlib.sha256(words).hexdigest():
        raise ModelError(f"{WORDS} is not the one that belongs to {LANGUAGE}; take all files of one export")


def _cache_shape(language: InferenceSession) -> tuple[int, ...]:
    """Of the keys and values of no token yet."""
    shapes = {given.name: given.shape for given in language.get_inputs()}
    if set(shapes) != {"tokens", "patches", "past"}:
        raise ModelError(f"the language model takes {', '.join(shapes)} instead of tokens, patches and past")
    return tuple(0 if isinstance(n, str) else int(n) for n in shapes["past"])
