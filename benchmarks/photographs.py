"""Does a reader say the same of a photograph and of its copies?

python benchmarks/photographs.py PHOTO|FOLDER ... [--model NAME|FILE.onnx ...] [--confident 0.6] [-o FILE.json]

Copies: half the size, JPEG of quality 40, gray, a fifth lighter and darker, mirrored, and with lips lighter and darker
by 30 %. The faces are those found in the photograph itself, moved along with the copy: only reading is compared.
A reading counts as confident where the photograph's first word has at least that probability. Intervals are Wilson's.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.core.images import ENDINGS, read_image
from mien.core.pipeline import Pipeline
from mien.evaluation.intervals import wilson_interval
from mien.results.face import Face, FaceReport
from publish import publish

Image = NDArray[np.uint8]
_LIPS, _MOUTH = slice(48, 60), slice(60, 68)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("photos", nargs="+", type=Path)
    arguments.add_argument("--model", action="append")
    arguments.add_argument("--confident", type=float, default=0.6)
    arguments.add_argument("-o", "--output", type=Path)
    given = arguments.parse_args()
    models = given.model or ["reader"]
    result = {Path(model).stem: agreement(list(pictures(given.photos)), model, given.confident) for model in models}
    about = {"measure": "share of faces that keep their first word in a copy", "confident": given.confident}
    publish(about | result, given.output)


def pictures(paths: list[Path]) -> Iterator[Path]:
    """Files, and the pictures in folders."""
    for path in paths:
        inside = sorted(p for p in path.iterdir() if p.suffix.lower() in ENDINGS) if path.is_dir() else [path]
        yield from inside


def agreement(paths: list[Path], model: str, confident: float) -> dict[str, Any]:
    """For each copy, of how many faces the first word is the same, over all and over confident readings."""
    pipeline = Pipeline(model=model)
    kept: dict[str, list[tuple[bool, bool]]] = {name: [] for name in COPIES}
    faces = 0
    for path in paths:
        image = read_image(path)
        reports = pipeline(image).faces
        faces += len(reports)
        for name, copy in COPIES.items():
            changed, moved = copy(image, reports)
            again = Pipeline(lambda _, moved=moved: moved, read=pipeline.read)(changed).faces
            for before, after in zip(reports, again, strict=True):
                same = before.expression.top == after.expression.top
                kept[name].append((same, before.expression.confidence >= confident))
    return {"photographs": len(paths), "faces": faces} | {name: told(pairs) for name, pairs in kept.items()}


def told(pairs: list[tuple[bool, bool]]) -> dict[str, Any]:
    """Shares with intervals."""
    sure = [same for same, confident in pairs if confident]
    found = {"all": [same for same, _ in pairs], "confident": sure}
    return {name: share(values) for name, values in found.items() if values}


def share(values: list[bool]) -> dict[str, float | int]:
    low, high = wilson_interval(sum(values), len(values))
    return {"value": sum(values) / len(values), "low": low, "high": high, "n": len(values)}


# ---- copies: a photograph and what was read in it to a changed one, and where its faces are ----

Copy = Callable[[Image, tuple[FaceReport, ...]], tuple[Image, list[Face]]]


def toned(change: Callable[[Image], Image]) -> Copy:
    """A copy whose pixels change and whose faces stay."""
    return lambda image, reports: (change(image), [report.face for report in reports])


def half(image: Image, reports: tuple[FaceReport, ...]) -> tuple[Image, list[Face]]:
    height, width = image.shape[0] // 2, image.shape[1] // 2
    scale = np.array([width / image.shape[1], height / image.shape[0]], np.float32)
    small = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    faces = [r.face for r in reports]
    return small, [
        replace(f, box=f.box * np.tile(scale, 2), points=None if f.points is None else f.points * scale) for f in faces
    ]


def mirrored(image: Image, reports: tuple[FaceReport, ...]) -> tuple[Image, list[Face]]:
    width, faces = image.shape[1], []
    for face in (report.face for report in reports):
        x1, y1, x2, y2 = face.box
        points = None if face.points is None else (face.points * [-1, 1] + [width, 0])[[1, 0, 2, 4, 3]]
        faces.append(replace(face, box=np.array([width - x2, y1, width - x1, y2], np.float32), points=points))
    return np.ascontiguousarray(image[:, ::-1]), faces


def lips(factor: float) -> Copy:
    """Between the outer and the inner line of the lips, with a soft edge."""

    def copy(image: Image, reports: tuple[FaceReport, ...]) -> tuple[Image, list[Face]]:
        painted = image.astype(np.float32)
        for points in (report.landmarks for report in reports if report.landmarks is not None):
            mask = np.zeros(image.shape[:2], np.float32)
            cv2.fillPoly(mask, [np.round(points[_LIPS]).astype(np.int32)], 1.0)
            cv2.fillPoly(mask, [np.round(points[_MOUTH]).astype(np.int32)], 0.0)
            width = float(np.linalg.norm(points[48] - points[54]))
            mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), max(width / 40, 0.3)))
            painted *= 1 + (factor - 1) * mask[:, :, None]
        return np.clip(np.round(painted), 0, 255).astype(np.uint8), [report.face for report in reports]

    return copy


def jpeg(image: Image) -> Image:
    _, data = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 40])
    return np.ascontiguousarray(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[:, :, ::-1])


def gray(image: Image) -> Image:
    return np.repeat(np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)[:, :, None], 3, axis=2)


def lit(factor: float) -> Copy:
    return toned(lambda image: np.clip(np.round(image.astype(np.float32) * factor), 0, 255).astype(np.uint8))


COPIES: dict[str, Copy] = {
    "half the size": half,
    "JPEG 40": toned(jpeg),
    "gray": toned(gray),
    "a fifth lighter": lit(1.2),
    "a fifth darker": lit(0.8),
    "mirrored": mirrored,
    "lips lighter": lips(1.3),
    "lips darker": lips(0.7),
}


if __name__ == "__main__":
    main()
