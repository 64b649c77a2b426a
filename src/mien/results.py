"""What mien answers with: plain, immutable records, from one face to one picture. Pixels are of the upright image."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import InputError, MienError
from mien.vocabulary import Expression


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
        if self.points is not None:
            object.__setattr__(self, "points", _fixed(self.points, (5, 2), "points"))

    @property
    def landmark_source(self) -> str:
        """What the crop was aligned on: "detector" (its five points) or "box" (no points: the box, not turned)."""
        return "box" if self.points is None else "detector"


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
class FaceReport:
    """All that is known of one face. What the model that read it does not give is None.

    landmarks: (68, 2) float32, pixels of the image.   action_units: intensity 0 to 1 by FACS number.
    attention: (h, w) float32, where the model looked, over the crop.   explanation: why, in words.
    """

    face: Face
    expression: ExpressionScores
    landmarks: NDArray[np.float32] | None = None
    action_units: Mapping[int, float] | None = None
    attention: NDArray[np.float32] | None = None
    explanation: str | None = None

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
            "landmark_source": self.face.landmark_source,
            "expression": {
                "top": self.expression.top.label,
                "confidence": _rounded(self.expression.confidence, 4),
                "probabilities": {e.label: _rounded(self.expression[e], 4) for e in Expression},
            },
        }


@dataclass(frozen=True, eq=False)
class ImageReport:
    """All faces of one picture, surest detection first.

    size: (height, width) of the upright picture in pixels.
    model: the name of the model that read the faces.
    """

    size: tuple[int, int]
    faces: tuple[FaceReport, ...]
    model: str = ""

    @property
    def status(self) -> str:
        """ "ok", or "no_face" when no face was found."""
        return "ok" if self.faces else "no_face"

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "status": self.status,
            "width": self.size[1],
            "height": self.size[0],
            "model": self.model,
            "faces": [face.to_dict() for face in self.faces],
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
