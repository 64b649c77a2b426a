"""Which half of a face cannot be seen: turned away, outside the picture, or covered by a hand, hair or shadow."""

from collections.abc import Iterator
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.core.detect import Detector, YuNet
from mien.facs.observation import Hidden, Pose, Side

# Turned further than this, in degrees, the far half of a face is too narrow to read.
TURNED = 40.0
# From here on a far half that is no face beside its mirror image is put down to the turn.
SIDEWAYS = 20.0
# A half of which so many of its landmarks lie outside the picture is not seen.
OUTSIDE = 0.5
# Below this score of the face detector, a half beside its own mirror image is no face.
COVERED = 0.2
# How large such a pair of halves is shown to the detector, and with how much margin.
SHOWN, MARGIN = 144, 24
# First, both pairs of a face are shown small and beside each other. What scores this much there is a face: of 400 faces
# with and 400 without a covered half, no answer is then another than at full size (benchmarks/visibility.py).
SMALL, SMALL_MARGIN, CLEAR = 80, 8, 0.7
# Landmarks of the face's two halves without the midline: brow, eye, nose wing and lips, by where they are in the image.
_IMAGE_LEFT = (*range(17, 22), 31, 32, *range(36, 42), 48, 49, 50, 58, 59)
_IMAGE_RIGHT = (*range(22, 27), 34, 35, *range(42, 48), 52, 53, 54, 55, 56)


@lru_cache(maxsize=4)
def detector(threads: int = 1) -> Detector:
    """What tells whether a half beside its mirror image is a face; such pictures are looked at as they are."""
    return YuNet(COVERED, rotations="never", threads=threads, enlarged=())


def hidden(
    crop: NDArray[np.uint8],
    landmarks: NDArray[np.floating],
    pose: Pose,
    size: tuple[int, int],
    detect: Detector,
) -> Iterator[Hidden]:
    """The halves that cannot be seen, the subject's left being on the image's right.

    crop: (S, S) uint8 gray, aligned.   landmarks: (68, 2), pixels of the image.   pose: in the crop.
    size: (height, width) of the image.   detect: of `detector`.
    """
    halves = np.split(crop, [crop.shape[1] // 2, crop.shape[1] - crop.shape[1] // 2], axis=1)
    clear: tuple[bool, bool] | None = None
    seen: tuple[tuple[Side, tuple[int, ...], NDArray[np.uint8], float], ...] = (
        ("right", _IMAGE_LEFT, halves[0], -pose.yaw),
        ("left", _IMAGE_RIGHT, halves[-1][:, ::-1], pose.yaw),
    )
    for i, (side, points, half, away) in enumerate(seen):
        x, y = landmarks[list(points)].T
        if away > TURNED:
            yield Hidden(side, "turned away")
        elif np.mean((x < 0) | (y < 0) | (x > size[1]) | (y > size[0])) >= OUTSIDE:
            yield Hidden(side, "outside the picture")
        else:
            clear = clear or _clear(halves[0], halves[-1][:, ::-1], detect)
            if not clear[i] and not detect(in_color(doubled(half, SHOWN, MARGIN))):
                yield Hidden(side, "turned away" if away > SIDEWAYS else "covered or unclear")


def _clear(left: NDArray[np.uint8], right: NDArray[np.uint8], detect: Detector) -> tuple[bool, bool]:
    """Whether two halves are clearly faces, each beside its mirror image."""
    shown = [doubled(half, SMALL, SMALL_MARGIN) for half in (left, right)]
    faces = [face for face in detect(in_color(np.hstack(shown))) if face.score >= CLEAR]
    on_the_left = [face.center[0] < shown[0].shape[1] for face in faces]
    return any(on_the_left), not all(on_the_left)


def doubled(half: NDArray[np.uint8], side: int, margin: int) -> NDArray[np.uint8]:
    """An image-left half of a face and its mirror image side by side, gray, as a picture to find a face in."""
    whole = cv2.resize(np.hstack([half, half[:, ::-1]]), (side, side), interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.copyMakeBorder(whole, margin, margin, margin, margin, cv2.BORDER_REPLICATE))


def in_color(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A gray picture (H, W) as the detector takes it, (H, W, 3)."""
    return np.ascontiguousarray(np.stack([gray] * 3, axis=-1))
