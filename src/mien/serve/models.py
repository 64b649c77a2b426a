"""What the routes send back, as types: the JSON forms of mien.results, which tests hold these against.

The names of expressions, action units and poses are those of the vocabulary and of the records themselves.
"""

import json
from dataclasses import fields
from functools import cache
from importlib.resources import files
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, create_model

from mien.facs.observation import Hidden as HiddenRecord
from mien.facs.observation import Pose as PoseRecord
from mien.facs.vocabulary import ASYMMETRIES, ActionUnit, Expression
from mien.results.explanation import Degree, Mode, PhraseSide
from mien.results.expression import ExpressionLabel
from mien.results.face import LandmarkSource


class _Exact(BaseModel):
    """No field is missing, and there are no others."""

    model_config = ConfigDict(extra="forbid")


def _numbers(name: str, keys: list[str], about: str) -> type[BaseModel]:
    made: type[BaseModel] = create_model(name, __base__=_Exact, __doc__=about, **dict.fromkeys(keys, (float, ...)))  # type: ignore[call-overload]
    return made


Probabilities = _numbers("Probabilities", [e.label for e in Expression], "Of each expression; their sum is 1.")
ActionUnits = _numbers("ActionUnits", [u.column for u in ActionUnit], "Intensities by FACS number, 0 to 1.")
Asymmetries = _numbers("Asymmetries", [u.column for u in ASYMMETRIES], "The subject's left less right, -1 to 1.")
Pose = _numbers("Pose", [f.name for f in fields(PoseRecord)], "Degrees; 0 is straight into the camera, upright.")
Hidden: type[BaseModel] = create_model(
    "Hidden",
    __base__=_Exact,
    __doc__="A half of the face that cannot be seen.",
    **{f.name: (f.type, ...) for f in fields(HiddenRecord)},  # type: ignore[call-overload]
)


class Scores(_Exact):
    """The expression that a face shows."""

    top: ExpressionLabel
    confidence: float
    probabilities: Probabilities  # type: ignore[valid-type]


class PhraseAnswer(_Exact):
    """An action unit that an explanation names, held against the measured ones."""

    start: int
    end: int
    unit: str
    side: PhraseSide
    band: Degree | None
    present: bool
    measured: float
    against: str
    supported: bool


class PartAnswer(_Exact):
    """One part of an explanation."""

    title: str
    text: str
    phrases: list[PhraseAnswer]


class ExplanationAnswer(_Exact):
    """Why a face shows its expression, as a model wrote it."""

    parts: list[PartAnswer]
    expression: ExpressionLabel
    probabilities: Probabilities  # type: ignore[valid-type]
    concluded: ExpressionLabel
    consistent: bool
    mode: Mode
    model: str


class FaceAnswer(_Exact):
    """One face, in pixels of the upright picture; what the model does not give is null."""

    box: list[float] = Field(description="x1, y1, x2, y2", min_length=4, max_length=4)
    score: float = Field(description="how sure the detector is, 0 to 1")
    points: list[list[float]] | None = Field(description="eyes, nose tip, mouth corners, image-left first")
    landmark_source: LandmarkSource
    expression: Scores
    action_units: ActionUnits | None  # type: ignore[valid-type]
    asymmetries: Asymmetries | None  # type: ignore[valid-type]
    landmarks: list[list[float]] | None = Field(description="68 points in iBUG's order")
    pose: Pose | None  # type: ignore[valid-type]
    attention: list[list[float]] | None = Field(description="how much each part of the crop counted")
    crop: list[list[float]] = Field(description="takes pixels of the picture to the crop that was read")
    readability: float | None = Field(description="the share of people who could read the face, 0 to 1")
    hidden: list[Hidden]  # type: ignore[valid-type]
    explanation: ExplanationAnswer | None
    attributes: None = Field(description="of a scan alone")


class PictureAnswer(_Exact):
    """What became of one picture: its report, or the error; the object of a line of `mien analyze`."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=lambda schema: _exemplify(schema))

    input: str = Field(description="the file's name")
    status: str = Field(description="ok, no_face, or why it could not be read: unreadable, too_large")
    error: str | None
    width: int | None = None
    height: int | None = None
    model: str | None = None
    faces: list[FaceAnswer]


class PicturesAnswer(_Exact):
    """What became of the files of a form, in their order."""

    results: list[PictureAnswer]


class Refusal(BaseModel):
    """Why a request was not answered."""

    model_config = ConfigDict(json_schema_extra={"example": {"detail": "the server is busy; try again soon"}})

    detail: str


def _exemplify(schema: dict[str, Any]) -> None:
    schema["example"] = example()


@cache
def example() -> dict[str, Any]:
    """A picture's JSON form, without landmarks and attention, which are long."""
    made: dict[str, Any] = json.loads((files("mien.serve") / "example.json").read_text(encoding="utf-8"))
    return made
