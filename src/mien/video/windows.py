"""Look for faces only where they are expected: a small window around each, a twentieth of a frame's work."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.core.detect import Rotations, YuNet
from mien.core.turns import NMS_IOU
from mien.results.face import Face

# A window is so many times as wide as the face in it, and looked at in so many pixels a side.
REACH, SIDE = 2.0, 96


class Windows:
    """YuNet on windows of a frame."""

    def __init__(self, threshold: float, rotations: Rotations = "never", threads: int = 1) -> None:
        self._detect = YuNet(threshold, SIDE, rotations, threads, enlarged=())
        self._threshold = threshold

    def worth(self, count: int, shape: tuple[int, ...]) -> bool:
        """Whether so many windows cost less than half of the whole frame, which YuNet sees 640 pixels wide."""
        height, width = shape[:2]
        scale = min(1.0, 640 / max(height, width))
        return 0 < count * SIDE**2 <= height * width * scale**2 / 2

    def __call__(self, image: NDArray[np.uint8], boxes: Sequence[NDArray[np.float64]]) -> list[Face]:
        """The faces in windows about these boxes of an (H, W, 3) image, each once."""
        faces = [face for box in boxes for face in self._look(image, box)]
        corners = [[*face.box[:2].tolist(), *(face.box[2:] - face.box[:2]).tolist()] for face in faces]
        kept = cv2.dnn.NMSBoxes(corners, [face.score for face in faces], self._threshold, NMS_IOU)
        return [faces[int(i)] for i in kept]

    def _look(self, image: NDArray[np.uint8], box: NDArray[np.float64]) -> list[Face]:
        side = REACH * float((box[2:] - box[:2]).max())
        low = np.clip(np.floor((box[:2] + box[2:] - side) / 2), 0, [image.shape[1], image.shape[0]]).astype(int)
        high = np.clip(np.ceil((box[:2] + box[2:] + side) / 2), 0, [image.shape[1], image.shape[0]]).astype(int)
        if (high - low < 8).any():
            return []
        window = image[low[1] : high[1], low[0] : high[0]]
        scale = SIDE / max(window.shape[:2])
        if scale != 1:
            size = (max(1, round(window.shape[1] * scale)), max(1, round(window.shape[0] * scale)))
            way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
            window = np.asarray(cv2.resize(window, size, interpolation=way), np.uint8)
        stretch = (high - low) / np.array([window.shape[1], window.shape[0]])
        return [
            Face(
                np.asarray(face.box * np.tile(stretch, 2) + np.tile(low, 2), np.float32),
                None if face.points is None else np.asarray(face.points * stretch + low, np.float32),
                face.score,
            )
            for face in self._detect(window)
        ]
