"""What a run that was killed had read: the rows of its table, back to reports."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

import numpy as np

from mien.core.align import to_crop_frame
from mien.facs.observation import Hidden
from mien.results.expression import ExpressionScores
from mien.results.face import Face, FaceReport, ImageReport
from mien.results.frame import FrameReport
from mien.video.series import EXPRESSIONS, number

_RECT = ("FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight")


def recalled(rows: Iterable[Mapping[str, Any]]) -> Iterator[FrameReport]:
    """The frames that rows of one clip tell of, with all by which the next are read; the rest is left out."""
    for frame, group in groupby(rows, key=lambda row: number(row["frame"])):
        if frame is None:
            continue
        members = list(group)
        faces = [(number(row["track"]), _face(row)) for row in members if number(row["track"]) is not None]
        report = ImageReport((0, 0), tuple(face for _, face in faces))
        time = number(members[0]["timestamp"]) or 0.0
        yield FrameReport(int(frame), time, report, tuple(int(track or 0) for track, _ in faces))


def _face(row: Mapping[str, Any]) -> FaceReport:
    x, y, width, height = (number(row[name]) or 0.0 for name in _RECT)
    # To two decimals, as both corners had been before one became a width.
    box = np.round([x, y, x + width, y + height], 2)
    face = Face(box.astype(np.float32), None, number(row["FaceScore"]) or 0.0)
    points = [[number(row.get(f"{axis}_{i}")) for axis in "xy"] for i in range(68)]
    landmarks = None if points[0][0] is None else np.array(points, np.float32)
    probabilities = np.array([number(row[name]) or 0.0 for name in EXPRESSIONS], np.float32)
    return FaceReport(
        face,
        ExpressionScores(probabilities),
        to_crop_frame(face),
        "box" if landmarks is None else "reader",
        landmarks=landmarks,
        hidden=tuple(_hidden(str(row["hidden"]))) if row.get("hidden") else (),
    )


def _hidden(text: str) -> Iterator[Hidden]:
    for half in text.split("; "):
        side, _, reason = half.partition(": ")
        yield Hidden(side, reason)  # type: ignore[arg-type]  # what a table of mien's says is one of these
