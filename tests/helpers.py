"""Pictures, reports, votes and small data sets that several test files draw."""

import csv
import io
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.core.align import five_points, similarity, to_crop_frame
from mien.facs.landmarks import mean_face
from mien.facs.observation import Pose
from mien.facs.units import ActionUnits
from mien.facs.vocabulary import ASYMMETRIES, ActionUnit, Expression
from mien.results.expression import ExpressionScores
from mien.results.face import Face, FaceReport

ASTRONAUT = Path(__file__).parents[1] / "examples" / "astronaut.png"


def encoded(array: NDArray, format: str = "PNG", **options: object) -> bytes:
    """The picture as a file's bytes."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format, **options)
    return buffer.getvalue()


def noise(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def drawn_face(smiling: bool, seed: int = 0) -> NDArray[np.uint8]:
    """(48, 48) uint8: two eyes and a mouth that turns up or down, a little noisy."""
    y, x = np.mgrid[:48, :48]
    face = np.full((48, 48), 190.0)
    for eye in (15, 33):
        face[(x - eye) ** 2 + (y - 18) ** 2 < 9] = 40
    bend = (x - 24) ** 2 / 24
    face[(abs(y - (38 - bend if smiling else 33 + bend)) < 2) & (abs(x - 24) < 12)] = 40
    grain = np.random.default_rng(seed).normal(0, 8, face.shape)
    return (face + grain).clip(0, 255).astype(np.uint8)


def scores(given: Mapping[Expression, float]) -> ExpressionScores:
    """The probabilities given, and 0 for the rest."""
    return ExpressionScores(np.array([given.get(e, 0) for e in Expression], np.float32))


def units(given: Mapping[int, float], asymmetries: Mapping[int, float] | None = None) -> ActionUnits:
    """The intensities given by FACS number, and 0 for the rest; asymmetries likewise."""
    return ActionUnits(
        np.array([given.get(unit, 0) for unit in ActionUnit], np.float32),
        np.array([(asymmetries or {}).get(unit, 0) for unit in ASYMMETRIES], np.float32),
    )


def bare_report(face: Face, expression: ExpressionScores) -> FaceReport:
    """A face of which the reader says nothing but its expression."""
    return FaceReport(face, expression, to_crop_frame(face), "box" if face.points is None else "detector")


def full_report(**other: Any) -> FaceReport:
    """The face in ASTRONAUT with all that a reader can say of it, made by hand.   other: fields to say otherwise."""
    points = np.array([[200.1, 101.8], [247.1, 102.6], [220.4, 124.5], [198.6, 142.8], [239.7, 143.6]], np.float32)
    face = Face(np.array([178.2, 62.9, 268.1, 176.2], np.float32), points, 0.93)
    made = FaceReport(
        face,
        scores({Expression.HAPPINESS: 0.93, Expression.NEUTRAL: 0.05, Expression.SURPRISE: 0.02}),
        to_crop_frame(face),
        "reader",
        units({12: 0.8, 6: 0.6, 25: 0.5, 4: 0.15, 7: 0.12, 14: 0.07}, {12: 0.2}),
        _landmarks(points),
        Pose(yaw=-12.0, pitch=4.0, roll=1.0),
        _attention(),
    )
    return replace(made, **other)


def _landmarks(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean face's 68 landmarks, where these five points are."""
    mean = mean_face()
    onto = similarity(five_points(mean), points.astype(np.float64))
    return np.asarray(mean @ onto[:, :2].T + onto[:, 2], np.float32)


def _attention() -> NDArray[np.float32]:
    """(12, 12) float32, strongest at the corners of the mouth, weaker at the eyes."""
    y, x = np.mgrid[:12, :12] / 11
    spots = ((0.33, 0.74, 1.0), (0.67, 0.74, 0.9), (0.32, 0.4, 0.5), (0.68, 0.4, 0.5))
    return np.asarray(sum(v * np.exp(-((x - a) ** 2 + (y - b) ** 2) / 0.012) for a, b, v in spots), np.float32)


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def write_fer2013(folder: Path, rows: Sequence[tuple[object, NDArray[np.uint8], str]]) -> Path:
    """fer2013.csv from labels, (48, 48) faces and usages."""
    return write_csv(
        folder / "fer2013.csv",
        ("emotion", "pixels", "Usage"),
        [(label, " ".join(map(str, face.ravel())), usage) for label, face, usage in rows],
    )


def running(code: str) -> Callable[[str], list[str]]:
    """In place of mien.core.interpreter.command: a Python that runs this, whatever module is asked for."""
    return lambda module: [sys.executable, "-c", code, json.dumps(sys.path)]
