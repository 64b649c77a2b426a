"""A face to a label, and to a chain of thought written word by word, without torch: two ONNX files and a word list.

What the model may say is constrained to the form of its training: three parts in their order, each of whole sentences,
and a conclusion that names one expression, once, at the end of its first sentence (writer.py). Where it is told what
was measured of the face, every sentence is held against that as it is written.

Letters: S the side of a face in pixels.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from mien.core.align import align
from mien.core.contract import Contract
from mien.core.files import read_regular
from mien.core.rebuilt import Rebuilt
from mien.core.session import InferenceSession, open_session
from mien.core.trial import attempt
from mien.core.zoo import LARGEST, MODELS, load
from mien.errors import InputError, ModelError
from mien.facs.observation import Observation
from mien.facs.rest import above
from mien.facs.units import ActionUnits
from mien.facs.vocabulary import Expression
from mien.methods.expllm.engine.chain import HEADERS, Sections
from mien.methods.expllm.engine.grounding import intensity, supported
from mien.methods.expllm.engine.witness import Witness
from mien.methods.expllm.small import conversation
from mien.methods.expllm.small.tokenizer import EOS, Tokenizer
from mien.methods.expllm.small.writer import LabelCalibration, SentenceWriter, State
from mien.results.explanation import Degree, Explanation, Mode, Part, Phrase, PhraseSide, Rejected
from mien.results.expression import ExpressionScores
from mien.results.face import FaceReport

ENCODER, LANGUAGE, WORDS = "encoder.onnx", "language.onnx", "tokenizer.json"
# The shipped model that writes, as commands name it.
NAME = "expllm"
# What of mien.core.zoo.MODELS its files are.
SHIPPED = {ENCODER: "expllm-encoder", LANGUAGE: "expllm-language", WORDS: "expllm-words"}
MODES: tuple[Mode, ...] = ("label-first", "reason-first")

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]


class Label(NamedTuple):
    """What a model answers when it is asked for the label alone.

    expression: calibrated probabilities.   free: its likeliest word without a constraint; a label, if all is well.
    """

    expression: ExpressionScores
    free: str


@dataclass(frozen=True)
class Written:
    """A chain of thought as the model wrote it.

    label: what the model answers when asked for the label alone.   conclusion: how sure it was of each expression where
    the conclusion names one.   concluded: the one named.   whole: no part ran out of room in the middle of a sentence.
    rejected: sentences taken back, in their order.   verified: whether the text was held against what was measured.
    """

    sections: Sections
    label: Label
    conclusion: ExpressionScores
    concluded: Expression
    mode: Mode
    whole: bool
    rejected: tuple[Rejected, ...] = ()
    verified: bool = False


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
        self._calibration = LabelCalibration.read(self._language)
        _check_words(self._language, files[WORDS])
        self._layers = _cache_shape(self._language)

    def label(self, face: Image) -> Label:
        """The expression of an (S, S) uint8 gray crop, aligned as for the reader."""
        return self._labelled(self._look(face))[0]

    def write(
        self,
        face: Image,
        mode: Mode = MODES[0],
        say: Callable[[str], None] = lambda text: None,
        seen: Observation | None = None,
    ) -> Written:
        """A chain of thought about an (S, S) uint8 gray crop.

        mode: "label-first", the text explains the label; "reason-first", the label comes of the text.
        say: is given the text piece by piece, headers included, a sentence at a time as it is written.
        seen: what was measured of the face, which every sentence must be true of; its units are counted from what calm
        faces show (mien.facs.rest), its shares are not read. Left out, the model writes what it will.
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
        witness = None if seen is None else Witness(replace(seen, shares=label.expression.probabilities, rated=False))
        text = SentenceWriter(self._words, self._calibration, witness, say).write(state, label.expression.top)
        sections, sure, concluded, whole, rejected = text
        return Written(sections, label, sure, concluded, mode, whole, rejected, witness is not None)

    def _look(self, face: Image) -> State:
        if face.dtype != np.uint8 or face.shape != (self.size, self.size):
            raise InputError(
                f"expected a gray crop, uint8 of shape ({self.size}, {self.size}), but got {face.dtype} {face.shape}"
            )
        scaled = ((face[None, None].astype(np.float32) / 255 - self._mean) / self._std).astype(np.float32)
        (patches,) = self._encoder.run(["patches"], {"faces": scaled})
        state = State(self._language, patches, np.zeros(self._layers, np.float32))
        return state.read(conversation.opening(self._words, patches.shape[1]))

    def _labelled(self, start: State) -> tuple[Label, State]:
        state = start.read(conversation.question(self._words, conversation.LABEL))
        scores = self._calibration.scores(state.logits, self._words)
        return Label(scores, self._words.tokens[int(state.logits.argmax())]), state


def explain(
    explainer: Explainer,
    image: Image,
    face: FaceReport,
    mode: Mode = MODES[0],
    say: Callable[[str], None] = lambda text: None,
    verified: bool = True,
) -> FaceReport:
    """A face with its explanation.

    image: the (H, W, 3) RGB picture it is in.   mode, say: see Explainer.write.
    verified: take back what the measured action units do not support. Where there are none, nothing can be.
    """
    (crop,) = align(image, [face.crop], explainer.size)
    written = explainer.write(crop, mode, say, observed(face, crop) if verified else None)
    return replace(face, explanation=explained(written, face.action_units, explainer.name))


def observed(face: FaceReport, crop: Image) -> Observation | None:
    """What a text about a face must be true of; None where its action units were not measured.

    crop: names the face, so that the same picture gets the same words.
    """
    if face.action_units is None:
        return None
    name, units = hashlib.sha256(crop.tobytes()).hexdigest()[:16], above(face.action_units)
    shares = face.expression.probabilities
    return Observation(name, units, shares, False, face.pose, face.hidden, face.readability)


def explained(written: Written, units: ActionUnits | None, model: str) -> Explanation:
    """A chain of thought with each phrase held against the measured action units, if there are any."""
    texts = (written.sections.observations, written.sections.interpretation, written.sections.conclusion)
    parts = [Part(header, text, _phrases(text, units)) for header, text in zip(HEADERS, texts, strict=True)]
    return Explanation(
        tuple(parts),
        written.label.expression,
        written.concluded,
        written.mode,
        model,
        written.rejected,
        written.verified,
    )


def _phrases(text: str, units: ActionUnits | None) -> tuple[Phrase, ...]:
    """units: as the reader measured them; words count from what calm faces show, and are judged so."""
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
            intensity(units, claim.mention.unit, claim.mention.side),
            claim.against,
        )
        for claim in supported(text, above(units))
    )


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
    """Shape of the empty key-value cache."""
    shapes = {given.name: given.shape for given in language.get_inputs()}
    if set(shapes) != {"tokens", "patches", "past"}:
        raise ModelError(f"the language model takes {', '.join(shapes)} instead of tokens, patches and past")
    return tuple(0 if isinstance(n, str) else int(n) for n in shapes["past"])
