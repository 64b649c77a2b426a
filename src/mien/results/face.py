"""Results, as immutable records, from one face to one picture. Pixels are those of the upright image."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien.arrays import fixed, rounded
from mien.facs.observation import Hidden, Pose, is_unclear
from mien.facs.units import ActionUnits
from mien.facs.vocabulary import ASYMMETRIES, ActionUnit, Expression
from mien.results import notebook
from mien.results.expression import ExpressionScores
from mien.results.record import Record
from mien.text import readable

if TYPE_CHECKING:  # most faces have neither
    from mien.results.explanation import Explanation
    from mien.results.scan import Attributes

# What a crop was aligned on.
LandmarkSource: TypeAlias = Literal["reader", "detector", "box"]
# What became of a picture: of one that was read, or of the questions about it.
ReportStatus: TypeAlias = Literal[
    "ok", "no_face", "no_match", "repaired", "cannot_tell", "out_of_vocabulary", "refused", "empty", "missed",
    "transport_error", "timeout",
]  # fmt: skip


@dataclass(frozen=True, eq=False, init=False)
class Face:
    """One face as detected, in pixels of the original image (x right, y down).

    box: (4,) float32, x1 y1 x2 y2; may reach past the border.
    points: (5, 2) float32, eyes, nose tip, mouth corners; of each pair first the one that is image-left in an upright
    face. None if nothing located them.
    score: the detector's confidence, 0 to 1.
    """

    box: NDArray[np.float32]
    points: NDArray[np.float32] | None
    score: float

    def __init__(self, box: ArrayLike, points: ArrayLike | None, score: float) -> None:
        object.__setattr__(self, "box", fixed(box, (4,), "box"))
        object.__setattr__(self, "points", None if points is None else fixed(points, (5, 2), "points"))
        # A detector of one's own may give NumPy's, which JSON does not know.
        object.__setattr__(self, "score", float(score))

    @property
    def center(self) -> tuple[float, float]:
        """x and y of the center of the box."""
        x1, y1, x2, y2 = map(float, self.box)
        return (x1 + x2) / 2, (y1 + y2) / 2

    @property
    def area(self) -> float:
        """Area of the box in pixels."""
        x1, y1, x2, y2 = map(float, self.box)
        return (x2 - x1) * (y2 - y1)


@dataclass(frozen=True, eq=False, init=False)
class Reading:
    """A reader's answers about one crop; None for what it does not answer.

    landmarks: (68, 2) float32, iBUG order, in shares of the crop's side from its upper left corner.
    pose: head pose in the crop.   attention: (h, w) float32, 0 or more: weight of each part of the crop.
    readability: estimated share of people who could read the face, 0 to 1.
    """

    expression: ExpressionScores
    action_units: ActionUnits | None = None
    landmarks: NDArray[np.float32] | None = None
    pose: Pose | None = None
    attention: NDArray[np.float32] | None = None
    readability: float | None = None

    def __init__(
        self,
        expression: ExpressionScores,
        action_units: ActionUnits | None = None,
        landmarks: ArrayLike | None = None,
        pose: Pose | None = None,
        attention: ArrayLike | None = None,
        readability: float | None = None,
    ) -> None:
        placed = None if landmarks is None else fixed(landmarks, (68, 2), "landmarks")
        looked = None if attention is None else fixed(attention, np.shape(attention), "attention")
        for name, value in (
            ("expression", expression),
            ("action_units", action_units),
            ("landmarks", placed),
            ("pose", pose),
            ("attention", looked),
            ("readability", readability),
        ):
            object.__setattr__(self, name, value)


@dataclass(frozen=True, eq=False)
class FaceReport:
    """Everything that was measured on one face; None for what the model does not measure.

    crop: (2, 3) float64, maps pixels of the image to the crop, whose sides have length 1.
    landmark_source: what the crop was aligned on: "reader" (its own 68 landmarks), "detector" (five points) or "box"
    (not rotated).
    landmarks: (68, 2) float32, iBUG order, pixels of the image.   pose: head pose in the image.
    attention: (h, w) float32, 0 or more: weight of each part of the crop.
    readability: estimated share of people who could read the face, 0 to 1.
    hidden: halves of the face that cannot be seen; their values are guesses.
    explanation: text that explains the expression.
    attributes: answers of a scan; None without a scan.
    """

    face: Face
    expression: ExpressionScores
    crop: NDArray[np.float64]
    landmark_source: LandmarkSource
    action_units: ActionUnits | None = None
    landmarks: NDArray[np.float32] | None = None
    pose: Pose | None = None
    attention: NDArray[np.float32] | None = None
    hidden: tuple[Hidden, ...] = ()
    explanation: "Explanation | None" = None
    attributes: "Attributes | None" = None
    readability: float | None = None

    def __repr__(self) -> str:
        box = " ".join(f"{v:.0f}" for v in self.box)
        return f"<FaceReport {self.expression.top.label} {100 * self.expression.confidence:.0f} %, box {box}>"

    @property
    def box(self) -> NDArray[np.float32]:
        """(4,) float32, x1 y1 x2 y2."""
        return self.face.box

    @property
    def unclear(self) -> bool:
        """Whether fewer than half of the people could read the face; False if that is not known."""
        return is_unclear(self.readability)

    @property
    def points(self) -> NDArray[np.float32] | None:
        """(5, 2) float32, eyes, nose tip, mouth corners, image-left first, or None."""
        return self.face.points

    def to_dict(self) -> Record:
        """Return the JSON form, with rounded numbers and None for missing values."""
        return {
            "box": rounded(self.box, 2),
            "score": round(self.face.score, 4),
            "points": None if self.points is None else rounded(self.points, 2),
            "landmark_source": self.landmark_source,
            "expression": {
                "top": self.expression.top.label,
                "confidence": rounded(self.expression.confidence, 4),
                "probabilities": {e.label: rounded(self.expression[e], 4) for e in Expression},
            },
            "action_units": self._action_units(),
            "asymmetries": self._asymmetries(),
            "landmarks": None if self.landmarks is None else rounded(self.landmarks, 2),
            "pose": None if self.pose is None else {k: rounded(v, 1) for k, v in asdict(self.pose).items()},
            "attention": None if self.attention is None else rounded(self.attention, 3),
            "crop": rounded(self.crop, 6),
            "readability": None if self.readability is None else rounded(self.readability, 3),
            "hidden": [asdict(half) for half in self.hidden],
            "explanation": None if self.explanation is None else self.explanation.to_dict(),
            "attributes": None if self.attributes is None else self.attributes.to_dict(),
        }

    def _action_units(self) -> dict[str, float] | None:
        units = self.action_units
        return None if units is None else {u.column: rounded(units[u], 3) for u in ActionUnit}

    def _asymmetries(self) -> dict[str, float] | None:
        units = self.action_units
        return None if units is None else {u.column: rounded(units.asymmetry(u), 3) for u in ASYMMETRIES}


@dataclass(frozen=True, eq=False)
class ImageReport:
    """All faces of one picture in reading order: from left to right, within a column from the top.

    size: (height, width) of the upright picture in pixels.
    model: name of the model that read the faces.
    target: description of the only person that a scan asked about; None for everybody.
    unmatched: answers of a scan about people whose face was not detected, or its failure.
    preview: the picture as a small JPEG, which a notebook shows; None elsewhere.
    prior: assumed frequencies of expressions, in the form of mien.facs.prior.named_prior; "" for those that the model
    learned.
    """

    size: tuple[int, int]
    faces: tuple[FaceReport, ...]
    model: str = ""
    target: str | None = None
    unmatched: tuple["Attributes", ...] = ()
    preview: bytes | None = None
    prior: str = ""

    def __repr__(self) -> str:
        return f"<ImageReport {notebook.in_words(self)}>"

    def _repr_html_(self) -> str:
        return notebook.html(self)

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", readable(self.model))
        object.__setattr__(self, "target", None if self.target is None else readable(self.target))

    @property
    def largest(self) -> FaceReport | None:
        """The face with the largest box, as in a portrait with people behind; None if there is no face."""
        return max(self.faces, key=lambda face: face.face.area, default=None)

    @property
    def status(self) -> ReportStatus:
        """ "ok"; "no_face"; "no_match" if nobody is the target; or how a scan failed."""
        if self.faces:
            return "ok"
        if self.unmatched:
            status = self.unmatched[0].status
            return "ok" if status.value == "repaired" else status.value
        return "no_face" if self.target is None else "no_match"

    def to_dict(self) -> Record:
        """Return the JSON form; target and unmatched only if a scan has one of them."""
        scan = {"target": self.target, "unmatched": [each.to_dict() for each in self.unmatched]}
        return {
            "status": self.status,
            "width": self.size[1],
            "height": self.size[0],
            "model": self.model,
            "faces": [face.to_dict() for face in self.faces],
            **({"prior": self.prior} if self.prior else {}),
            **(scan if self.target is not None or self.unmatched else {}),
        }
