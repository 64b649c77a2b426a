"""What the routes send back, as types: the JSON forms of mien.results, which tests hold these against.

The names of expressions, action units and poses are those of the vocabulary and of the records themselves.
"""

import json
from dataclasses import fields
from functools import cache
from importlib.resources import files
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from mien.facs.observation import Hidden as HiddenRecord
from mien.facs.observation import Pose as PoseRecord
from mien.facs.vocabulary import ASYMMETRIES, ActionUnit, Expression
from mien.results.explanation import Degree, Mode, PhraseSide, RejectedKind
from mien.results.expression import ExpressionLabel
from mien.results.face import LandmarkSource
from mien.results.record import Record
from mien.video.events import EVENT_COLUMNS

JOB: Record = {
    "id": "mJ0Zc1kq3v8t5xYbN2aPfw", "name": "interview.mp4", "status": "running", "error": None, "read": 120, "of": 900,
    "seconds": 4.0, "frames": None, "tracks": None, "model": "reader", "smooth": 0.0, "fps": None, "ahead": 0,
    "expires": 1790000000, "results": None,
}  # fmt: skip
EVENT: Record = {
    "input": "interview.mp4", "track": 0, "name": "happiness", "onset": 1.2, "apex": 1.8, "offset": 2.9,
    "duration": 1.7, "value": 0.97, "onset_frame": 36, "apex_frame": 54, "offset_frame": 86, "enter": 0.5, "leave": 0.4,
}  # fmt: skip
ABOUT: Record = {
    "version": "0.1.0",
    "models": [{"name": "reader", "purpose": "reads expressions, action units, landmarks and head pose"}],
    "tables": ["csv", "json", "jsonl", "parquet"],
    "clips": {"bytes": 1000000000, "seconds": 1800.0, "keep_seconds": 86400.0},
    "request_bytes": 32000000,
}


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


class RejectedAnswer(_Exact):
    """A sentence that was taken back while an explanation was written, and what stands in its place."""

    part: str
    text: str
    kind: RejectedKind
    why: str
    instead: str


class EffectAnswer(_Exact):
    """What is read once the movements that a phrase names are taken away; this tests the model, not the person."""

    units: list[str]
    phrase: str
    word: ExpressionLabel
    dose: float
    measured: list[float]
    before: float
    after: float
    reads: ExpressionLabel
    reads_probability: float
    refused: str


class ExplanationAnswer(_Exact):
    """Why a face shows its expression, as a model wrote it."""

    parts: list[PartAnswer]
    expression: ExpressionLabel
    probabilities: Probabilities  # type: ignore[valid-type]
    concluded: ExpressionLabel
    consistent: bool
    mode: Mode
    model: str
    verified: bool = Field(description="whether every sentence was held against what was measured")
    rejected: list[RejectedAnswer]
    effects: list[EffectAnswer]


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
    """The results for the files of a form, in their order."""

    results: list[PictureAnswer]


class TrackedFaceAnswer(FaceAnswer):
    """A face of a frame."""

    track: int = Field(description="one face keeps one track as long as it is in sight")


class FrameAnswer(PictureAnswer):
    """What was read of one frame; the object of a line of `mien analyze clip.mp4`."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=lambda schema: _exemplify(schema, frame=True))

    frame: int = Field(description="its number, from 0")
    timestamp: float = Field(description="seconds from the first frame")
    faces: list[TrackedFaceAnswer]  # type: ignore[assignment]


class ResultLinks(_Exact):
    """Where the results of a clip are."""

    table: str
    page: str
    events: str


class JobAnswer(_Exact):
    """A clip and how far it is."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": JOB})

    id: str
    name: str
    status: Literal["waiting", "running", "done", "failed"]
    error: str | None = Field(description="why it failed, or what is missing at the end of a broken clip")
    read: int = Field(description="frames that were read")
    of: int | None = Field(description="how many there are, about")
    seconds: float = Field(description="the time of the frame that was read last")
    frames: int | None
    tracks: int | None
    model: str
    smooth: float
    fps: float | None
    ahead: int = Field(description="clips that are read before this one")
    expires: int = Field(description="when it is deleted, in seconds since 1970")
    results: ResultLinks | None


EventAnswer: type[BaseModel] = create_model(
    "EventAnswer",
    __base__=_Exact,
    __doc__="A stretch of time in which a face shows an expression or an action unit.",
    **{name: (kind, ...) for name, kind in EVENT_COLUMNS.items()},  # type: ignore[call-overload]
)


class EventsAnswer(_Exact):
    """The events of a clip."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"events": [EVENT]}})

    events: list[EventAnswer]  # type: ignore[valid-type]


class ModelAnswer(_Exact):
    """A model that reads faces."""

    name: str
    purpose: str


class ClipLimitsAnswer(_Exact):
    """Limits for clips."""

    bytes: int
    seconds: float
    keep_seconds: float


class AboutAnswer(_Exact):
    """Models, formats and limits of the server."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": ABOUT})

    version: str
    models: list[ModelAnswer] = Field(description="the first reads unless another is asked for")
    tables: list[str] = Field(description="formats of /v1/table")
    clips: ClipLimitsAnswer | None = Field(description="null where no clips are taken")
    request_bytes: int


class HealthAnswer(_Exact):
    """Whether the server takes requests."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"status": "ok", "version": "0.1.0"}})

    status: Literal["ok", "stopping"]
    version: str | None = None


class Refusal(BaseModel):
    """Why a request was not answered."""

    model_config = ConfigDict(json_schema_extra={"example": {"detail": "the server is busy; try again soon"}})

    detail: str


def _exemplify(schema: Record, frame: bool = False) -> None:
    schema["example"] = frame_example() if frame else example()


def frame_example() -> Record:
    """A frame's JSON form."""
    faces = [{"track": i, **face} for i, face in enumerate(example()["faces"])]
    return {**example(), "input": "camera", "frame": 41, "timestamp": 1.3667, "faces": faces}


@cache
def example() -> Record:
    """A picture's JSON form, without landmarks and attention, which are long."""
    made: Record = json.loads((files("mien.serve") / "example.json").read_text(encoding="utf-8"))
    return made
