"""What mien answers with: plain, immutable records, from one face to one picture. Pixels are of the upright image."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import InputError, MienError
from mien.facs.vocabulary import ASYMMETRIES, ActionUnit, Attribute, Expression


@dataclass(frozen=True, eq=False)
class Face:
    """One face as the detector found it, in pixels of the original image (x right, y down).

    box: (4,) float32, x1 y1 x2 y2; may reach past the border.
    points: (5, 2) float32, eyes, nose tip, mouth corners, each pair with the one first that is image-left when the face
    is upright; None when nothing located them.
    score: the detector's confidence, 0 to 1.
    """

    box: NDArray[np.float32]
    points: NDArray[np.float32] | None
    score: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "box", _fixed(self.box, (4,), "box"))
        # A detector of one's own may give NumPy's, which JSON does not know.
        object.__setattr__(self, "score", float(self.score))
        if self.points is not None:
            object.__setattr__(self, "points", _fixed(self.points, (5, 2), "points"))


@dataclass(frozen=True, eq=False)
class ExpressionScores:
    """probabilities: (8,) float32 in Expression order, sums to 1; calibrated on the data that the model's card names.

    A class that the model does not know has probability 0.
    """

    probabilities: NDArray[np.float32]

    def __post_init__(self) -> None:
        object.__setattr__(self, "probabilities", _fixed(self.probabilities, (len(Expression),), "probabilities"))

    @property
    def top(self) -> Expression:
        """The most probable expression."""
        return self.ranked[0]

    @property
    def confidence(self) -> float:
        """The probability of `top`, 0 to 1."""
        return float(self.probabilities[self.top])

    @property
    def ranked(self) -> tuple[Expression, ...]:
        """All eight expressions, most probable first; equal ones in Expression order."""
        return tuple(Expression(int(i)) for i in np.argsort(-self.probabilities, kind="stable"))

    def __getitem__(self, expression: Expression) -> float:
        return float(self.probabilities[expression])


@dataclass(frozen=True, eq=False)
class ActionUnits(Mapping[int, float]):
    """Intensities of the 21 action units by FACS number: action_units[12] is that of AU12.

    intensities: (21,) float32, 0 to 1, in ActionUnit order, both sides together.
    differences: (3,) float32, -1 to 1, the subject's left minus right side, of ASYMMETRIES.
    """

    intensities: NDArray[np.float32]
    differences: NDArray[np.float32]

    @staticmethod
    def of(vector: NDArray[np.float32]) -> "ActionUnits":
        """Those of the vector of mien.facs.units: (24,), intensities, then differences."""
        return ActionUnits(vector[: len(ActionUnit)], vector[len(ActionUnit) :])

    @property
    def vector(self) -> NDArray[np.float32]:
        """The vector that `of` reads."""
        return np.concatenate([self.intensities, self.differences])

    def __post_init__(self) -> None:
        object.__setattr__(self, "intensities", _fixed(self.intensities, (len(ActionUnit),), "intensities"))
        object.__setattr__(self, "differences", _fixed(self.differences, (len(ASYMMETRIES),), "differences"))

    def __getitem__(self, number: int) -> float:
        try:
            return float(self.intensities[_UNITS.index(ActionUnit(number))])
        except ValueError:
            raise KeyError(f"AU{number} is not among those measured: {', '.join(map(str, self))}") from None

    def __iter__(self) -> Iterator[int]:
        return iter([int(unit) for unit in ActionUnit])

    def __len__(self) -> int:
        return len(ActionUnit)

    def asymmetry(self, number: int) -> float | None:
        """The subject's left minus right side of an action unit, -1 to 1; None where it is not measured."""
        return float(self.differences[ASYMMETRIES.index(ActionUnit(number))]) if number in ASYMMETRIES else None


_UNITS = list(ActionUnit)


@dataclass(frozen=True)
class Pose:
    """How a head is turned in the image, in degrees; 0 is straight into the camera, upright.

    yaw: to the image's right.   pitch: up.   roll: clockwise in the image.
    """

    yaw: float
    pitch: float
    roll: float


@dataclass(frozen=True)
class Hidden:
    """A half of a face that cannot be seen.

    side: "left" or "right", the subject's own.   reason: "turned away", "outside the picture" or "covered or unclear".
    """

    side: str
    reason: str


@dataclass(frozen=True, eq=False)
class Reading:
    """What a reader says of one crop; what it does not give is None.

    landmarks: (68, 2) float32, iBUG order, shares of the crop's side from its upper left corner.
    pose: in the crop.   attention: (h, w) float32, 0 or more: how much each part of the crop counted.
    """

    expression: ExpressionScores
    action_units: ActionUnits | None = None
    landmarks: NDArray[np.float32] | None = None
    pose: Pose | None = None
    attention: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if self.landmarks is not None:
            object.__setattr__(self, "landmarks", _fixed(self.landmarks, (68, 2), "landmarks"))
        if self.attention is not None:
            object.__setattr__(self, "attention", _fixed(self.attention, np.shape(self.attention), "attention"))


class AnswerStatus(StrEnum):
    """What became of a question; from the best to the worst.

    ok: answered in the form asked for.   repaired: in another form that leaves no doubt.   cannot_tell: answered that
    it cannot be seen.   out_of_vocabulary: no label can be read from the answer, or two.   refused: declined.
    empty: nothing was said of it.   missed: the answer is about others and leaves this face out.
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

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "value": self.value,
            "status": self.status.value,
            "confidence": None if self.confidence is None else _rounded(self.confidence, 4),
            "scores": None if self.scores is None else {k: _rounded(v, 4) for k, v in self.scores.items()},
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

    @property
    def status(self) -> AnswerStatus:
        """The worst of the answers'."""
        order = list(AnswerStatus)
        return max((answer.status for answer in self.answers.values()), key=order.index, default=AnswerStatus.EMPTY)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "status": self.status.value,
            "answers": {attribute.value: answer.to_dict() for attribute, answer in self.answers.items()},
            "model": self.model,
            "prompt": self.prompt,
            "seed": self.seed,
            "raw": list(self.raw),
            "latency_ms": _rounded(self.latency_ms, 1),
            "rationale": self.rationale,
            "problem": self.problem,
        }


@dataclass(frozen=True)
class Phrase:
    """An action unit that a written explanation names, held against the measured ones.

    start, end: of its words, in characters of its part.   side: "left", "right", "one" or "both", as the text has it.
    band: the degree that the text claims, a word of mien.facs.units.BANDS; None when it claims none.
    present: False when the text denies it.   measured: intensity, 0 to 1, on that side.
    against: why the measured action units do not support it, in words; "" when they do.
    """

    start: int
    end: int
    unit: ActionUnit
    side: str
    band: str | None
    present: bool
    measured: float
    against: str

    @property
    def supported(self) -> bool:
        """Whether the measured action units bear it out."""
        return not self.against

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        rest = {"measured": _rounded(self.measured, 3), "supported": self.supported}
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
    mode: "reason-first", the label came of the text, or "label-first", the text explains the label.
    """

    parts: tuple[Part, ...]
    expression: ExpressionScores
    concluded: Expression
    mode: str
    model: str

    @property
    def text(self) -> str:
        """The parts with their titles, a blank line between them."""
        return "\n\n".join(f"{part.title}: {part.text}" for part in self.parts)

    @property
    def consistent(self) -> bool:
        """Whether the conclusion names the label that the model answers when asked for it alone."""
        return self.concluded is self.expression.top

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        parts = [
            {"title": part.title, "text": part.text, "phrases": [phrase.to_dict() for phrase in part.phrases]}
            for part in self.parts
        ]
        return {
            "parts": parts,
            "expression": self.expression.top.label,
            "probabilities": {e.label: _rounded(self.expression[e], 4) for e in Expression},
            "concluded": self.concluded.label,
            "consistent": self.consistent,
            "mode": self.mode,
            "model": self.model,
        }


@dataclass(frozen=True, eq=False)
class FaceReport:
    """All that is known of one face. What the model that read it does not give is None.

    crop: (2, 3) float64, takes pixels of the image to the crop that was read, whose sides are 1 long.
    landmark_source: what the crop was aligned on: "reader" (its own 68 landmarks), "detector" (five points) or "box"
    (the box, not turned).
    landmarks: (68, 2) float32, iBUG order, pixels of the image.   pose: in the image.
    attention: (h, w) float32, 0 or more: how much each part of the crop counted.
    hidden: halves of the face that cannot be seen; what is said of them is a guess.   explanation: why, in words.
    attributes: what a model answered about the face; None when none was asked.
    """

    face: Face
    expression: ExpressionScores
    crop: NDArray[np.float64]
    landmark_source: str
    action_units: ActionUnits | None = None
    landmarks: NDArray[np.float32] | None = None
    pose: Pose | None = None
    attention: NDArray[np.float32] | None = None
    hidden: tuple[Hidden, ...] = ()
    explanation: Explanation | None = None
    attributes: Attributes | None = None

    @property
    def box(self) -> NDArray[np.float32]:
        """(4,) float32, x1 y1 x2 y2."""
        return self.face.box

    @property
    def points(self) -> NDArray[np.float32] | None:
        """(5, 2) float32, eyes, nose tip, mouth corners, image-left first, or None."""
        return self.face.points

    def to_dict(self) -> dict[str, Any]:
        """The JSON form; numbers are rounded to what is meaningful, missing values are None."""
        return {
            "box": _rounded(self.box, 2),
            "score": round(self.face.score, 4),
            "points": None if self.points is None else _rounded(self.points, 2),
            "landmark_source": self.landmark_source,
            "expression": {
                "top": self.expression.top.label,
                "confidence": _rounded(self.expression.confidence, 4),
                "probabilities": {e.label: _rounded(self.expression[e], 4) for e in Expression},
            },
            "action_units": self._action_units(),
            "asymmetries": self._asymmetries(),
            "landmarks": None if self.landmarks is None else _rounded(self.landmarks, 2),
            "pose": None if self.pose is None else {k: _rounded(v, 1) for k, v in asdict(self.pose).items()},
            "attention": None if self.attention is None else _rounded(self.attention, 3),
            "crop": _rounded(self.crop, 6),
            "hidden": [asdict(half) for half in self.hidden],
            "explanation": None if self.explanation is None else self.explanation.to_dict(),
            "attributes": None if self.attributes is None else self.attributes.to_dict(),
        }

    def _action_units(self) -> dict[str, float] | None:
        units = self.action_units
        return None if units is None else {u.column: _rounded(units[u], 3) for u in ActionUnit}

    def _asymmetries(self) -> dict[str, float] | None:
        units = self.action_units
        return None if units is None else {u.column: _rounded(units.asymmetry(u), 3) for u in ASYMMETRIES}


@dataclass(frozen=True, eq=False)
class ImageReport:
    """All faces of one picture, surest detection first.

    size: (height, width) of the upright picture in pixels.
    model: the name of the model that read the faces.
    target: whom alone a scan was asked about, in words; None for everybody.
    unmatched: what a scan answered about people whose face was not found; or about nobody, when it failed altogether.
    """

    size: tuple[int, int]
    faces: tuple[FaceReport, ...]
    model: str = ""
    target: str | None = None
    unmatched: tuple[Attributes, ...] = ()

    @property
    def status(self) -> str:
        """ "ok", "no_face" when no face was found, "no_match" when nobody is the target, or how a scan failed."""
        if self.faces:
            return "ok"
        if self.unmatched:
            status = self.unmatched[0].status
            return "ok" if status is AnswerStatus.REPAIRED else status.value
        return "no_face" if self.target is None else "no_match"

    def to_dict(self) -> dict[str, Any]:
        """The JSON form; target and unmatched only of a scan that has one of them."""
        scan = {"target": self.target, "unmatched": [each.to_dict() for each in self.unmatched]}
        return {
            "status": self.status,
            "width": self.size[1],
            "height": self.size[0],
            "model": self.model,
            "faces": [face.to_dict() for face in self.faces],
            **(scan if self.target is not None or self.unmatched else {}),
        }


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of one input of a batch: a report, or the error that says why there is none.

    name: the input as it was given; bytes of a file name that are no text become U+FFFD.
    image: (h, w, 3) uint8 RGB, upright, for showing; it may be smaller than report.size. None: not kept.
    """

    name: str
    report: ImageReport | None = None
    error: MienError | None = None
    image: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", _readable(self.name))

    @property
    def reason(self) -> str | None:
        """Why there is no report, in words; None when there is one."""
        return None if self.error is None else _readable(str(self.error))

    @property
    def status(self) -> str:
        """ "ok", "no_face", or the named cause of the failure: "unreadable", "missing", "too_large"."""
        if self.report is not None:
            return self.report.status
        return self.error.status if self.error is not None else "failed"

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: the input, then its report; a failed one has an error and no faces."""
        start = {"input": self.name, "status": self.status, "error": self.reason}
        return start | ({"faces": []} if self.report is None else self.report.to_dict())


def _fixed(values: Any, shape: tuple[int, ...], name: str) -> NDArray[np.float32]:
    """A copy that cannot be written to; InputError when it is not of that shape, or not finite."""
    array = np.array(values, dtype=np.float32)
    if array.shape != shape or not np.isfinite(array).all():
        raise InputError(f"expected {name} of shape {shape}, all finite, but got {array.tolist()}")
    array.setflags(write=False)
    return array


def _readable(text: str) -> str:
    # A file name may hold bytes that are no UTF-8; Python keeps them as surrogates, which no table or JSON can hold.
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def _rounded(values: Any, digits: int) -> Any:
    # Through float64, or a rounded float32 would print all its digits again.
    return np.round(np.asarray(values, dtype=np.float64), digits).tolist()
