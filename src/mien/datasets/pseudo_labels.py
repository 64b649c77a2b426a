"""Labels that a teacher model gives to faces without such labels: landmarks, blendshapes, action units and head pose.

The teacher is MediaPipe's Face Landmarker. It is needed at development time only, in an environment of its own: its
package brings another OpenCV. Faces are shown to it enlarged and with margin, for its own detector misses tight crops.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.core.detect import Detector, YuNet, surest
from mien.datasets.base import Sample
from mien.errors import InputError
from mien.extras import optional
from mien.facs.blendshapes import BLENDSHAPES, ShapeCalibration, action_units, mirrored_shapes
from mien.facs.landmarks import MESH_TO_68, MIRRORED_68
from mien.facs.units import VECTOR
from mien.facs.vocabulary import Expression
from mien.results.record import Record

Image = NDArray[np.uint8]


class Mesh(NamedTuple):
    """What the face mesh model answers for a picture.

    points: (478, 2) pixels.   shapes: (52,) blendshapes in BLENDSHAPES order.
    rotation: (3, 3), from the face's axes to the camera's (x right, y up, z towards the camera).
    """

    points: NDArray[np.float64]
    shapes: NDArray[np.float64]
    rotation: NDArray[np.float64]


class MeshReading(NamedTuple):
    """What the teacher says of one face.

    landmarks: (68, 2) float32, pixels of the sample's image.   shapes: (52,) float32 blendshapes.
    pose: (3,) float32, yaw, pitch, roll in degrees: to the image's right, up, and clockwise in the image.
    attempt: which way of showing the face worked, from 0.
    """

    landmarks: NDArray[np.float32]
    shapes: NDArray[np.float32]
    pose: NDArray[np.float32]
    attempt: int


class MeshTeacher:
    """Shows a face in several ways until the mesh model accepts it.

    mesh: a picture to its Mesh, or None where it finds no face; `mediapipe_mesh` makes the real one.
    """

    def __init__(self, mesh: Callable[[Image], Mesh | None], detect: Detector | None = None) -> None:
        self._mesh = mesh
        self._detect = YuNet() if detect is None else detect

    def __call__(self, image: Image) -> MeshReading | None:
        """The reading of the one face in an (H, W, 3) RGB picture, or None when every attempt fails."""
        for attempt, (to_shown, size, mirror) in enumerate(self._attempts(image)):
            shown = cv2.warpAffine(
                image, to_shown, (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
            )
            face_mesh = self._mesh(np.ascontiguousarray(shown[:, ::-1] if mirror else shown))
            if face_mesh is not None:
                return _reading(face_mesh, to_shown, size, mirror, attempt)
        return None

    def _attempts(self, image: Image) -> Iterator[tuple[NDArray[np.float64], int, bool]]:
        """Matrix from the image to the picture shown, the side of that picture, and whether it is mirrored."""
        whole = _square(np.array([0, 0, image.shape[1], image.shape[0]], float), margin=0.25)
        face = surest(self._detect(image))
        if face is not None:
            yield _onto(_square(face.box.astype(float), margin=0.5), 256), 256, False
        yield _onto(whole, 360), 360, False
        yield _onto(whole, 576), 576, False
        yield _onto(whole, 360), 360, True


@contextmanager
def mediapipe_mesh(model: Path) -> Iterator[Callable[[Image], Mesh | None]]:
    """MediaPipe's Face Landmarker from its .task file, for a `with`; needs the extra `mediapipe`."""
    if not model.is_file():
        raise InputError(f"{model}: there is no such file; it is MediaPipe's face_landmarker .task file", "missing")
    mediapipe, vision = optional("mediapipe", "mediapipe"), optional("mediapipe.tasks.python.vision", "mediapipe")
    base = optional("mediapipe.tasks.python", "mediapipe").BaseOptions(model_asset_path=str(model))
    options = vision.FaceLandmarkerOptions(
        base_options=base,
        running_mode=vision.RunningMode.IMAGE,
        min_face_detection_confidence=0.3,
        output_face_blendshapes=True,
        output_facial_transformation_matrixes=True,
    )
    # Left to the end of the interpreter, its own clean-up prints a traceback.
    with vision.FaceLandmarker.create_from_options(options) as landmarker:

        def mesh(image: Image) -> Mesh | None:
            answer = landmarker.detect(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=image))
            if not answer.face_landmarks:
                return None
            points = np.array([(p.x * image.shape[1], p.y * image.shape[0]) for p in answer.face_landmarks[0]])
            scores = {shape.category_name: shape.score for shape in answer.face_blendshapes[0]}
            shapes = np.array([scores[name] for name in BLENDSHAPES])
            return Mesh(points, shapes, np.array(answer.facial_transformation_matrixes[0])[:3, :3])

        yield mesh


@dataclass(frozen=True, eq=False)
class PseudoLabels:
    """A teacher's labels of N samples, in their order; rows where it failed are NaN.

    found: (N,) bool.   landmarks: (N, 68, 2).   shapes: (N, 52).   pose: (N, 3).   action_units: (N, 24).
    source: of each sample.   calibration: what made action units of shapes.
    about: how often the teacher found a face, by expression and by attempt, dead shapes, and its file.
    """

    found: NDArray[np.bool_]
    landmarks: NDArray[np.float32]
    shapes: NDArray[np.float32]
    pose: NDArray[np.float32]
    action_units: NDArray[np.float32]
    source: list[str]
    calibration: ShapeCalibration
    about: Record

    def rows(self, samples: Sequence[Sample]) -> NDArray[np.int64]:
        """Return the (N,) row of each sample; raise InputError for a sample without one."""
        place = {source: i for i, source in enumerate(self.source)}
        missing = next((sample.source for sample in samples if sample.source not in place), None)
        if missing is not None:
            raise InputError(
                f"the pseudo-labels have no row for {missing!r}; theirs begin with {self.source[:1]}: "
                "they were made of other data"
            )
        return np.array([place[sample.source] for sample in samples], np.int64)


def label(
    dataset: Sequence[Sample],
    teacher: Callable[[Image], MeshReading | None],
    calibration: ShapeCalibration | None = None,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> PseudoLabels:
    """Ask the teacher about every sample.

    calibration: that of the training faces, for any other split; left out, it is fitted on these samples, of which
    those count as neutral whose label, or largest vote, is.   progress: wraps the indices, to show how far it is.
    """
    count = len(dataset)
    landmarks = np.full((count, 68, 2), np.nan, np.float32)
    shapes = np.full((count, len(BLENDSHAPES)), np.nan, np.float32)
    pose = np.full((count, 3), np.nan, np.float32)
    attempts: dict[int, int] = {}
    shown, sources = [], []
    for i in progress(range(count)):
        sample = dataset[i]
        sources.append(sample.source)
        shown.append(shown_expression(sample))
        reading = teacher(sample.image)
        if reading is not None:
            landmarks[i], shapes[i], pose[i] = reading.landmarks, reading.shapes, reading.pose
            attempts[reading.attempt] = attempts.get(reading.attempt, 0) + 1
    labelled = ~np.isnan(pose[:, 0])
    if calibration is None:
        neutral = np.array([e is Expression.NEUTRAL for e in shown], bool)
        if not (labelled & neutral).any():
            raise InputError("no neutral face was found to calibrate on; give the calibration of the training faces")
        calibration = ShapeCalibration.fit(shapes[labelled].astype(np.float64), neutral[labelled])
    units = np.full((count, VECTOR), np.nan, np.float32)
    units[labelled] = action_units(calibration(shapes[labelled].astype(np.float64)))
    about = {
        "found": int(labelled.sum()),
        "faces": count,
        "by_expression": _success(shown, labelled),
        "attempts": {str(k): v for k, v in sorted(attempts.items())},
        "dead": list(calibration.dead),
    }
    return PseudoLabels(labelled, landmarks, shapes, pose, units, sources, calibration, about)


def _success(shown: Sequence[Expression | None], labelled: NDArray[np.bool_]) -> dict[str, dict[str, float]]:
    """Return the faces and the labelled faces of each expression that occurs, and of samples that show none."""
    total, hits = Counter(shown), Counter(e for e, ok in zip(shown, labelled, strict=True) if ok)
    return {
        "none" if e is None else e.label: {"found": hits[e], "faces": total[e], "rate": round(hits[e] / total[e], 4)}
        for e in (*Expression, None)
        if total[e]
    }


def shown_expression(sample: Sample) -> Expression | None:
    """The label of a sample, or the largest of its votes; None where that is no expression."""
    if sample.votes is None:
        return sample.expression
    top = int(sample.votes.argmax())
    return Expression(top) if top < len(Expression) and sample.votes[top] > 0 else None


def write(labels: PseudoLabels, path: Path, model: Path | None = None) -> None:
    """One row a sample to Parquet; rows that failed are null. Calibration and teacher stand in the file's metadata."""
    arrow, parquet = optional("pyarrow", "parquet"), optional("pyarrow.parquet", "parquet")
    about = labels.about | {"rest": labels.calibration.rest.tolist(), "most": labels.calibration.most.tolist()}
    if model is not None:
        about |= {"teacher": model.name, "sha256": hashlib.sha256(model.read_bytes()).hexdigest()}
    columns: dict[str, object] = {"source": labels.source, "found": labels.found}
    for name, width in _WIDTHS.items():
        values = getattr(labels, name).reshape(len(labels.found), width)
        rows = [row if ok else None for row, ok in zip(values, labels.found, strict=True)]
        columns[name] = arrow.array(rows, arrow.list_(arrow.float32(), width))
    parquet.write_table(arrow.table(columns).replace_schema_metadata({"mien": json.dumps(about)}), path)


def read(path: Path) -> PseudoLabels:
    """Read the labels that `write` wrote; raise InputError for another file."""
    parquet = optional("pyarrow.parquet", "parquet")
    if not path.is_file():
        raise InputError(f"{path}: there is no such file", "missing")
    try:
        table = parquet.read_table(path)
        about = json.loads(table.schema.metadata[b"mien"])
        labelled = table["found"].to_numpy()
        arrays = {}
        for name, width in _WIDTHS.items():
            arrays[name] = np.full((len(labelled), width), np.nan, np.float32)
            rows = [row for row in table[name].to_pylist() if row is not None]
            arrays[name][labelled] = np.array(rows, np.float32).reshape(-1, width)
        calibration = ShapeCalibration(np.array(about.pop("rest")), np.array(about.pop("most")))
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise InputError(f"{path}: not a file of pseudo-labels; `mien pseudo-label` writes them") from error
    return PseudoLabels(
        found=labelled,
        landmarks=arrays["landmarks"].reshape(-1, 68, 2),
        shapes=arrays["shapes"],
        pose=arrays["pose"],
        action_units=arrays["action_units"],
        source=table["source"].to_pylist(),
        calibration=calibration,
        about=about,
    )


_WIDTHS = {"landmarks": 136, "shapes": len(BLENDSHAPES), "pose": 3, "action_units": VECTOR}


def _square(box: NDArray[np.float64], margin: float) -> NDArray[np.float64]:
    """The square around a box, enlarged by a share of its side on each side: x1, y1 and the side."""
    center = (box[:2] + box[2:]) / 2
    side = float((box[2:] - box[:2]).max()) * (1 + 2 * margin)
    return np.array([*(center - side / 2), side])


def _onto(square: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """The (2, 3) matrix, between pixel centres, that takes a square of the image to a picture of this side."""
    scale = size / square[2]
    offset = (0.5 - square[:2]) * scale - 0.5
    return np.array([[scale, 0, offset[0]], [0, scale, offset[1]]])


def _reading(face_mesh: Mesh, to_shown: NDArray[np.float64], size: int, mirror: bool, attempt: int) -> MeshReading:
    points, shapes, (yaw, pitch, roll) = face_mesh.points[MESH_TO_68], face_mesh.shapes, _pose(face_mesh.rotation)
    if mirror:
        points = (points * [-1, 1] + [size, 0])[MIRRORED_68]
        shapes, yaw, roll = shapes[mirrored_shapes()], -yaw, -roll
    # The mesh counts from the picture's corner; so do landmarks of an image. The matrix counts from pixel centres.
    landmarks = (points - 0.5 - to_shown[:, 2]) / to_shown[0, 0] + 0.5
    return MeshReading(
        landmarks.astype(np.float32), shapes.astype(np.float32), np.array([yaw, pitch, roll], np.float32), attempt
    )


def _pose(rotation: NDArray[np.float64]) -> tuple[float, float, float]:
    """Yaw, pitch and roll in degrees from where the face's forward and upward axes point."""
    forward, up = rotation[:, 2], rotation[:, 1]
    yaw = np.degrees(np.arctan2(forward[0], forward[2]))
    pitch = np.degrees(np.arcsin(np.clip(forward[1] / np.linalg.norm(forward), -1, 1)))
    roll = np.degrees(np.arctan2(up[0], up[1]))
    return float(yaw), float(pitch), float(roll)
