"""Image and faces to upright crops that look like the faces the reader was trained on.

A frame is a (2, 3) matrix that takes pixels of the image to a crop whose sides are 1 long.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.core.borders import Area
from mien.core.detect import whole_picture
from mien.core.images import to_gray
from mien.results.face import Face

Floats = NDArray[np.float64]
# Where the detector's five points lie in FER2013 training faces, as shares of the side: the median over the faces it
# finds, mirrored and averaged. `python benchmarks/template.py` measures it again.
TEMPLATE = np.array([[0.310, 0.381], [0.690, 0.381], [0.500, 0.594], [0.350, 0.755], [0.650, 0.755]], dtype=np.float64)
# Where the same points, taken from 68 landmarks, lie in FER2013 faces; measured with it.
LANDMARK_TEMPLATE = np.array([[0.313, 0.390], [0.687, 0.390], [0.500, 0.584], [0.348, 0.771], [0.652, 0.771]])
# Landmarks that would turn a crop by more degrees, or resize or move it by a larger share, call for another crop.
_DEGREES, _SHARE = 3.0, 0.04
# Landmarks this far off any face shape, as a share of the distance between the eyes, are a failure.
_FARTHEST = 0.35
# A face is first cut at a whole multiple of the crop's side and then averaged down, so that nothing aliases.
MAX_MULTIPLE = 16
# A frame with a smaller determinant shows nothing in particular.
_NO_AREA = 1e-12
# Pixels around what a crop shows that take part in it.
_BESIDE = 2
# OpenCV counts the pixels of a side in 16 bits when it warps.
LONGEST_SIDE = 32_766


def align(
    image: NDArray[np.uint8],
    frames: Sequence[Floats],
    size: int,
    area: Area | None = None,
    *,
    color: bool = False,
    cubic: bool = False,
) -> NDArray[np.uint8]:
    """Gray crops, (N, size, size) uint8, of an (H, W, 3) RGB image.

    area: the part of it that holds the picture; left out, all of it. What lies beyond it repeats its outermost pixels.
    color: give RGB crops, (N, size, size, 3).   cubic: how faces smaller than a crop are enlarged; else linearly.
    """
    if area is not None:
        image = area.of(image)
        frames = [compose(frame, np.column_stack([np.eye(2), area.corner])) for frame in frames]
    crops = [_cut_out(image, frame, size, color, cubic) for frame in frames]
    return np.stack(crops) if crops else np.zeros((0, size, size, *([3] if color else [])), np.uint8)


def _cut_out(image: NDArray[np.uint8], frame: Floats, size: int, color: bool, cubic: bool) -> NDArray[np.uint8]:
    """One crop, for which no more than the part of the image that it shows is made gray."""
    left, top, right, bottom = _reach(frame, image.shape)
    part = image[top:bottom, left:right]
    frame = compose(frame, np.array([[1.0, 0, left], [0, 1.0, top]]))
    shown = _within_reach(part if color else to_gray(part))
    shrink = [part.shape[1] / shown.shape[1], part.shape[0] / shown.shape[0], 1]  # x, y
    return _cut(shown, frame * shrink, size, cubic)


def _reach(frame: Floats, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the pixels that a crop shows, and of those beside them; at least one."""
    height, width = shape[:2]
    if abs(np.linalg.det(frame[:, :2])) < _NO_AREA:
        return 0, 0, width, height
    corners = corners_of(frame)
    most = [width, height]
    low = np.clip(np.floor(corners.min(axis=0)) - _BESIDE, 0, np.subtract(most, 1)).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)) + _BESIDE, low + 1, most).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def crop(image: NDArray[np.uint8], size: int, channels: int = 1) -> NDArray[np.uint8]:
    """A picture that is one face already, (H, W, 3) or (H, W), as the crop that models see.

    channels: 1 for gray, (size, size); 3 for RGB, (size, size, 3), where the picture must be in colour.
    """
    frames = [to_crop_frame(face) for face in whole_picture(image)]
    return np.asarray(align(image, frames, size, color=channels == 3)[0])


def to_crop_frame(face: Face) -> Floats:
    """Return the frame of a face as detected.

    A face with points is turned, scaled and moved so that they meet the template (least squares, Umeyama 1991); a face
    without is cut out by the square around its box.
    """
    if face.points is None:
        x1, y1, x2, y2 = face.box.astype(np.float64)
        side = max(x2 - x1, y2 - y1, 1e-6)  # square, so that nothing is stretched
        corner = np.array([x1 + x2 - side, y1 + y2 - side]) / 2
        return np.column_stack([np.eye(2) / side, -corner / side])
    return similarity(face.points.astype(np.float64), TEMPLATE)


def five_points(landmarks: NDArray[np.floating]) -> Floats:
    """(68, 2) landmarks to (5, 2): centres of the eyes, nose tip, mouth corners, image-left first."""
    eyes = landmarks[36:42].mean(axis=0), landmarks[42:48].mean(axis=0)
    return np.array([*eyes, landmarks[30], landmarks[48], landmarks[54]], dtype=np.float64)


def realigned(frame: Floats, landmarks: NDArray[np.floating] | None) -> Floats | None:
    """The frame that a crop's own landmarks ask for; the same one where they agree with it.

    landmarks: (68, 2), shares of the crop's side.   None when there are none, they do not lie as in a face, or the
    frame itself is degenerate.
    """
    if landmarks is None or abs(np.linalg.det(frame[:, :2])) < _NO_AREA:
        return None
    points = five_points(landmarks)
    onto = similarity(points, LANDMARK_TEMPLATE)
    between_eyes = np.linalg.norm(LANDMARK_TEMPLATE[1] - LANDMARK_TEMPLATE[0])
    errors = np.linalg.norm(points @ onto[:, :2].T + onto[:, 2] - LANDMARK_TEMPLATE, axis=1)
    scale = float(np.hypot(onto[0, 0], onto[1, 0]))
    if errors.max() > _FARTHEST * between_eyes or not 0.4 < scale < 2.5:
        return None
    turn = np.degrees(np.arctan2(onto[1, 0], onto[0, 0]))
    moved = onto @ [0.5, 0.5, 1] - 0.5
    if abs(turn) <= _DEGREES and abs(scale - 1) <= _SHARE and np.abs(moved).max() <= _SHARE:
        return frame
    return compose(onto, frame)


def compose(second: Floats, first: Floats) -> Floats:
    """The (2, 3) matrix that does the first, then the second."""
    return np.column_stack([second[:, :2] @ first[:, :2], second[:, :2] @ first[:, 2] + second[:, 2]])


def inverse(frame: Floats) -> Floats:
    """The (2, 3) matrix that undoes this one: from the crop back to pixels of the image."""
    back = np.linalg.inv(frame[:, :2])
    return np.column_stack([back, -back @ frame[:, 2]])


def corners_of(frame: Floats) -> Floats:
    """(4, 2) corners of a crop, in pixels of the image."""
    back = inverse(frame)
    return np.asarray(np.array([[0.0, 0], [1, 0], [0, 1], [1, 1]]) @ back[:, :2].T + back[:, 2])


def onto_pixels(frame: Floats, side: int) -> Floats:
    """The (2, 3) matrix that OpenCV warps with: from pixels of the image to those of a crop of so many.

    Pixel centres lie at half numbers, OpenCV counts them from 0.
    """
    matrix = frame * side
    matrix[:, 2] += matrix[:, :2].sum(axis=1) / 2 - 0.5
    return matrix


def similarity(source: Floats, target: Floats) -> Floats:
    """The (2, 3) turn, scale and shift that takes (N, 2) points closest to the target, without mirroring."""
    center_s, center_t = source.mean(axis=0), target.mean(axis=0)
    # In complex numbers a turn and a scale are one factor, found by ordinary least squares.
    s = (source - center_s) @ [1, 1j]
    t = (target - center_t) @ [1, 1j]
    factor = np.vdot(s, t) / max(np.vdot(s, s).real, 1e-12)
    matrix = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.column_stack([matrix, center_t - matrix @ center_s])


def _within_reach(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture, reduced when a side is longer than OpenCV can warp."""
    scale = LONGEST_SIDE / max(image.shape)
    if scale >= 1:
        return image
    height, width = (max(1, int(side * scale)) for side in image.shape[:2])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))


def _cut(image: NDArray[np.uint8], frame: Floats, size: int, cubic: bool) -> NDArray[np.uint8]:
    side = 1 / np.sqrt(max(abs(np.linalg.det(frame[:, :2])), 1e-12))  # of the crop, in pixels of the image
    multiple = int(np.clip(np.ceil(side / size - 0.05), 1, MAX_MULTIPLE))
    large = size * multiple
    way = cv2.INTER_CUBIC if cubic and side < size else cv2.INTER_LINEAR
    cut = cv2.warpAffine(image, onto_pixels(frame, large), (large, large), flags=way, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cut if multiple == 1 else cv2.resize(cut, (size, size), interpolation=cv2.INTER_AREA))
