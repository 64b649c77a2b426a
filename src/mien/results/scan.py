"""Answers of a model about a face."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from mien.arrays import rounded
from mien.facs.vocabulary import Attribute
from mien.results.record import Record
from mien.text import readable


class AnswerStatus(StrEnum):
    """The status of an answer, from best to worst.

    ok: answered in the form asked for.   repaired: in another form that leaves no doubt.   cannot_tell: answered that
    it cannot be seen.   out_of_vocabulary: no label can be read from the answer, or two.   refused: declined.
    empty: no answer.   missed: the answer is about others and leaves this face out.
    transport_error, timeout: no answer came.
    """

    OK = "ok"
    REPAIRED = "repaired"
    CANNOT_TELL = "cannot_tell"
    OUT_OF_VOCABULARY = "out_of_vocabulary"
    REFUSED = "refused"
    EMPTY = "empty"
    MISSED = "missed"
    TRANSPORT_ERROR = "transport_error"
    TIMEOUT = "timeout"


@dataclass(frozen=True)
class Answer:
    """The answer to one question about a face.

    value: a label of the attribute; None unless status is ok or repaired.
    confidence: 0 to 1, as the model says it; None when it does not.
    scores: a probability for every label, sums to 1; None from a model that only names a label.
    """

    value: str | None
    status: AnswerStatus
    confidence: float | None = None
    scores: Mapping[str, float] | None = None

    def to_dict(self) -> Record:
        """The JSON form."""
        return {
            "value": self.value,
            "status": self.status.value,
            "confidence": None if self.confidence is None else rounded(self.confidence, 4),
            "scores": None if self.scores is None else {k: rounded(v, 4) for k, v in self.scores.items()},
        }


@dataclass(frozen=True)
class Attributes:
    """What a model was asked about a face, and what it answered.

    answers: in the order asked.   model: who answered.   prompt: id of the question, of mien.methods.facescan.prompts.
    seed: shuffled the order in which the labels were offered.   raw: the answers word for word, one a call.
    latency_ms: of all calls together.   rationale: what the model says it saw.   problem: why no answer came.
    """

    answers: Mapping[Attribute, Answer]
    model: str
    prompt: str
    seed: int
    raw: tuple[str, ...] = ()
    latency_ms: float = 0.0
    rationale: str | None = None
    problem: str | None = None

    def __post_init__(self) -> None:
        # A model may answer with half of a surrogate pair, which no file can hold.
        object.__setattr__(self, "model", readable(self.model))
        object.__setattr__(self, "raw", tuple(map(readable, self.raw)))
        for name in ("rationale", "problem"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else readable(value))

    @property
    def status(self) -> AnswerStatus:
        """The worst of the answers'."""
        order = list(AnswerStatus)
        return max((answer.status for answer in self.answers.values()), key=order.index, default=AnswerStatus.EMPTY)

    def to_dict(self) -> Record:
        """The JSON form."""
        return {
            "status": self.status.value,
            "answers": {attribute.value: answer.to_dict() for attribute, answer in self.answers.items()},
            "model": self.model,
            "prompt": self.prompt,
            "seed": self.seed,
            "raw": list(self.raw),
            "latency_ms": rounded(self.latency_ms, 1),
            "rationale": self.rationale,
            "problem": self.problem,
        }
