"""How far the eyes of a face move when its picture is flipped, turned, shrunk, darkened, blurred or made noisy.

python benchmarks/alignment.py [PHOTO ...] [--model NAME|FILE.onnx] [-o FILE.json]

Every copy is read from scratch; its eye centres are mapped back to the picture and compared with those of the picture
itself, in per cent of the distance between the eyes. Beside it the same for the detector's own five points.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

import mien
from mien.core.align import five_points
from mien.core.pipeline import Pipeline
from mien.results.face import FaceReport
from publish import publish

PHOTO = Path(__file__).parents[1] / "examples" / "astronaut.png"
Image = NDArray[Any]
Floats = NDArray[Any]
IDENTITY = np.array([[1.0, 0, 0], [0, 1.0, 0]])


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("photos", nargs="*", type=Path, default=[PHOTO])
    arguments.add_argument("--model", default="reader")
    arguments.add_argument("-o", "--output", type=Path)
    given = arguments.parse_args()
    pipeline = Pipeline(model=given.model)
    moved: dict[str, dict[str, list[float]]] = {}
    lost: dict[str, int] = {}
    for photo in given.photos:
        image = mien.read_image(photo)
        faces = pipeline(image).faces
        for name, copy, to_copy in copies(image):
            found = pipeline(copy).faces
            for face in faces:
                twin = same(face, found, to_copy)
                if twin is None:
                    lost[name] = lost.get(name, 0) + 1
                    continue
                for source, points in SOURCES.items():
                    moved.setdefault(source, {}).setdefault(name, []).append(shift(points, face, twin, to_copy))
    result = {
        "measure": "movement of eye centres, per cent of the inter-ocular distance",
        "photos": [photo.name for photo in given.photos],
        "model": given.model,
        **{source: summary(moves) for source, moves in moved.items()},
        "not_found_in_copy": lost,
    }
    publish(result, given.output)


def copies(image: Image) -> Iterator[tuple[str, Image, Floats]]:
    """Name, picture and the matrix from the image to it."""
    height, width = image.shape[:2]
    yield "flip", np.ascontiguousarray(image[:, ::-1]), np.array([[-1.0, 0, width], [0, 1.0, 0]])
    for degrees in (20, -20):
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
        turned = cv2.warpAffine(image, turn, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        yield f"roll {degrees}", turned, turn
    for share in (2, 4):
        size = (width // share, height // share)
        scale = np.array([[size[0] / width, 0, 0], [0, size[1] / height, 0]])
        yield f"1/{share} size", cv2.resize(image, size, interpolation=cv2.INTER_AREA), scale
    yield "dark", (image * 0.35).astype(np.uint8), IDENTITY
    noise = np.random.default_rng(0).normal(0, 15, image.shape)
    yield "noise", (image + noise).clip(0, 255).astype(np.uint8), IDENTITY
    yield "blur", cv2.GaussianBlur(image, (0, 0), max(1.0, min(height, width) / 300)), IDENTITY


def same(face: FaceReport, found: tuple[FaceReport, ...], to_copy: Floats) -> FaceReport | None:
    """The face of the copy whose box has its centre nearest, if it is within half a face."""
    box = face.box.reshape(2, 2).astype(float)
    center, side = box.mean(axis=0) @ to_copy[:, :2].T + to_copy[:, 2], np.ptp(box[:, 0])
    side *= np.sqrt(abs(np.linalg.det(to_copy[:, :2])))
    off = [np.linalg.norm(other.box.reshape(2, 2).mean(axis=0) - center) for other in found]
    return found[int(np.argmin(off))] if off and min(off) < side / 2 else None


def shift(points: Callable[[FaceReport], Floats], face: FaceReport, twin: FaceReport, to_copy: Floats) -> float:
    """How far the two eye centres move, on average, in per cent of their distance."""
    eyes = points(face)[:2]
    back = np.linalg.inv(np.vstack([to_copy, [0, 0, 1]]))[:2]
    moved = points(twin)[:2] @ back[:, :2].T + back[:, 2]
    if np.linalg.det(to_copy[:, :2]) < 0:
        moved = moved[::-1]
    return float(100 * np.linalg.norm(moved - eyes, axis=1).mean() / np.linalg.norm(eyes[1] - eyes[0]))


def of_reader(face: FaceReport) -> Floats:
    """Five points of the landmarks; where they failed, the detector's."""
    return five_points(face.landmarks) if face.landmarks is not None else of_detector(face)


def of_detector(face: FaceReport) -> Floats:
    assert face.points is not None
    return face.points.astype(np.float64)


SOURCES: dict[str, Callable[[FaceReport], Floats]] = {"reader": of_reader, "detector": of_detector}


def summary(moves: dict[str, list[float]]) -> dict[str, Any]:
    together = [value for values in moves.values() for value in values]
    return {
        "median": round(float(np.median(together)), 2),
        "p95": round(float(np.percentile(together, 95)), 2),
        "n": len(together),
        "median_by_copy": {name: round(float(np.median(values)), 2) for name, values in moves.items()},
    }


if __name__ == "__main__":
    main()
