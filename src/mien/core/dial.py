"""A face with an action unit stronger or weaker: its skin moved as a morphable head moves, on NumPy and OpenCV.

The 68 landmarks and 27 more points go where the head's go (mien.facs.head), turned as this head is turned and as large
as it is; the skin between them follows smoothly. Nothing is drawn: no teeth, no eyeball, no furrow.

Letters: P points, U units.
"""

from collections.abc import Mapping
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.core.align import compose, corners_of
from mien.core.images import ImageSource, read_image
from mien.errors import InputError
from mien.facs.head import REACH, load
from mien.facs.vocabulary import ActionUnit
from mien.results.face import FaceReport

Floats = NDArray[np.float64]
Image = NDArray[np.uint8]
# Beyond these a warp is no likely face: doses; degrees that a head is turned aside, or up or down.
LARGEST, STEEPEST = 1.5, 30.0
# Shares of the distance between the outer corners of the eyes: nearer lids are closed, lips further apart are open.
CLOSED, OPEN = 0.04, 0.06
# Units that part the lids when they are taken away, and that press the lips together when they are added.
_LIDS, _PRESS = (7, 43), (17, 24)
# Of a warped part, how far it reaches beyond the points, in reaches; and how finely its movement is computed.
_MARGIN, _STEPS = 3.0, 4


def dial(source: ImageSource, face: FaceReport, doses: Mapping[int, float]) -> Image:
    """Return the (H, W, 3) RGB picture with this face's action units changed, as in `{12: -0.8}`.

    source: the picture that the face was read in.
    doses: change by FACS number, equal on both sides; 1 is about the strongest movement that a person makes, below 0
    the unit is weakened.
    Raise InputError for what a warp cannot show: see `refusal`.
    """
    why = refusal(face, doses)
    if why:
        raise InputError(why)
    image = read_image(source).copy()
    part = Patch.of(image, face)
    x, y = part.corner
    height, width = part.image.shape[:2]
    image[y : y + height, x : x + width] = part.warped(doses)
    return image


def refusal(face: FaceReport, doses: Mapping[int, float]) -> str:
    """Why a face cannot be dialled so, in words; "" where it can.

    Without landmarks, with a hidden half or turned by more than STEEPEST degrees, nothing can. Units that open the
    mouth have no movement, for what is behind the lips is not in the picture; closed eyes cannot be opened, nor an open
    mouth pressed shut.
    """
    known = [int(unit) for unit in load().units]
    for unit, dose in doses.items():
        if unit not in known and unit in set(ActionUnit):
            return f"AU{int(unit)} cannot be dialled, for what is behind the lips is not in the picture"
        if unit not in known:
            return f"AU{int(unit)} cannot be dialled; those that can: {', '.join(map(str, known))}"
        if not abs(dose) <= LARGEST:
            return f"a dose must lie between {-LARGEST:g} and {LARGEST:g}, but that of AU{int(unit)} is {dose:g}"
    if face.landmarks is None:
        return "the face has no landmarks, so nothing says where its skin is; it takes a reader that gives them"
    if face.hidden:
        return f"the {face.hidden[0].side} half of the face is {face.hidden[0].reason}"
    if face.pose is not None and max(abs(face.pose.yaw), abs(face.pose.pitch)) > STEEPEST:
        return f"the head is turned by more than {STEEPEST:g} degrees"
    return _unseen(face.landmarks, doses)


def _unseen(landmarks: NDArray[np.floating], doses: Mapping[int, float]) -> str:
    between = _between_eyes(landmarks)
    if _aperture(landmarks) < CLOSED * between and any(doses.get(unit, 0.0) < 0 for unit in _LIDS):
        return "the eyes are closed, and what is behind the lids is not in the picture"
    gap = np.linalg.norm(landmarks[[61, 62, 63]] - landmarks[[67, 66, 65]], axis=1).mean()
    if gap > OPEN * between and any(doses.get(unit, 0.0) > 0 for unit in _PRESS):
        return "the mouth is open, and lips that are pressed together would be drawn over what is in it"
    return ""


class Patch(NamedTuple):
    """The part of a picture that a warp of a face may change.

    image: (h, w, 3) uint8.   corner: x, y of its first pixel in the picture.
    points: (P, 2) of the face in it.   camera: (2, 3), takes the head's movements to pixels.
    """

    image: Image
    corner: tuple[int, int]
    points: Floats
    camera: Floats

    @staticmethod
    def of(image: Image, face: FaceReport) -> "Patch":
        """The part of an (H, W, 3) picture around a face with landmarks."""
        assert face.landmarks is not None, "refusal() says so"
        landmarks = face.landmarks.astype(np.float64)
        camera = camera_of(landmarks)
        points = load().rest.astype(np.float64) @ camera[:, :3].T + camera[:, 3]
        points[:68] = landmarks
        seen = np.concatenate([points, corners_of(face.crop)])
        margin = _MARGIN * REACH * _between_eyes(landmarks)
        first = np.floor(np.maximum(points.min(axis=0) - margin, 0))
        first = np.maximum(np.minimum(first, np.floor(seen.min(axis=0))), 0).astype(int)
        last = np.ceil(np.maximum(points.max(axis=0) + margin, seen.max(axis=0))).astype(int)
        x1, y1 = np.minimum(first, [image.shape[1] - 1, image.shape[0] - 1])
        x2, y2 = np.clip(last, [x1 + 1, y1 + 1], [image.shape[1], image.shape[0]])
        return Patch(image[y1:y2, x1:x2], (int(x1), int(y1)), points - (x1, y1), camera[:, :3])

    def reduced(self, longest: int) -> "Patch":
        """The same with a side of at most so many pixels, which is faster to warp; its corner is then of no use."""
        scale = longest / max(self.image.shape[:2])
        if scale >= 1:
            return self
        height, width = (max(1, round(scale * side)) for side in self.image.shape[:2])
        small = np.asarray(cv2.resize(self.image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        factor = np.array([width / self.image.shape[1], height / self.image.shape[0]])
        return Patch(small, self.corner, self.points * factor, self.camera * factor[:, None])

    def frame(self, frame: Floats, original: "Patch") -> Floats:
        """A frame of the picture as one of this part.   original: the part before it was reduced."""
        factor = np.array(original.image.shape[1::-1]) / self.image.shape[1::-1]
        onto = np.column_stack([np.diag(factor), np.array(original.corner, np.float64)])
        return compose(frame, onto)

    def warped(self, doses: Mapping[int, float]) -> Image:
        """The part with the face's units changed."""
        shapes = load()
        opening = np.clip(_aperture(self.points[:68]) / _between_eyes(self.points[:68]) / 0.1, 0.5, 1.3)
        move = np.zeros_like(shapes.rest, dtype=np.float64)
        for unit, dose in doses.items():
            # Lids travel as far as these eyes are open.
            share = dose * opening if unit in _LIDS else dose
            move += share * shapes.moves[int(np.flatnonzero(shapes.units == unit)[0])]
        return self._moved(move @ self.camera.T)

    def _moved(self, shift: Floats) -> Image:
        """shift: (P, 2), by how many pixels the points go."""
        height, width = self.image.shape[:2]
        reach = REACH * _between_eyes(self.points[:68])
        moved = self.points + shift
        weights = np.linalg.solve(_kernel(moved, moved, reach) + 0.02 * np.eye(len(moved)), shift)
        columns, rows = (max(2, int(np.ceil(side / reach * _STEPS))) for side in (width, height))
        columns, rows = min(columns, width), min(rows, height)
        x, y = (np.arange(columns) + 0.5) * width / columns, (np.arange(rows) + 0.5) * height / rows
        places = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        back = (_kernel(places, moved, reach) @ weights).reshape(rows, columns, 2).astype(np.float32)
        field = np.asarray(cv2.resize(back, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
        field = field * self._fade(reach)[..., None]
        to_x = np.arange(width, dtype=np.float32)[None] - field[..., 0]
        to_y = np.arange(height, dtype=np.float32)[:, None] - field[..., 1]
        return np.asarray(cv2.remap(self.image, to_x, to_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE))

    def _fade(self, reach: float) -> NDArray[np.float32]:
        """(h, w) 1 within, down to 0 at the edges of the part, so that it fits the picture around it."""
        height, width = self.image.shape[:2]
        low, high = self.points.min(axis=0) - reach, self.points.max(axis=0) + reach
        sides = []
        for length, first, last in ((height, low[1], high[1]), (width, low[0], high[0])):
            at = np.arange(length) + 0.5
            # An edge that the face itself reaches is the picture's.
            before = np.clip(at / max(first, 1e-6), 0, 1) if first > 0 else np.ones(length)
            after = np.clip((length - at) / max(length - last, 1e-6), 0, 1) if last < length else np.ones(length)
            sides.append(before * after)
        return np.outer(sides[0], sides[1]).astype(np.float32)


def camera_of(landmarks: Floats) -> Floats:
    """The (2, 4) affine camera that takes the head's 68 points closest to (68, 2) landmarks."""
    inner = slice(17, 68)  # the jaw is what heads differ in most
    scale = _between_eyes(landmarks)
    design = np.column_stack([load().rest[inner], np.ones(51)]).astype(np.float64)
    pull = np.diag([0.0, 0.0, 0.05, 0.0])
    solved = np.linalg.solve(design.T @ design + pull, design.T @ (landmarks[inner] / scale))
    return np.asarray(scale * solved.T)


def _kernel(one: Floats, other: Floats, reach: float) -> Floats:
    # Matern's of order 3/2: smooth where points lie, and soon 0 away from them.
    scaled = np.linalg.norm(one[:, None] - other[None], axis=-1) * (3**0.5) / reach
    return np.asarray((1 + scaled) * np.exp(-scaled))


def _between_eyes(landmarks: NDArray[np.floating]) -> float:
    return max(float(np.linalg.norm(landmarks[36] - landmarks[45])), 1e-6)


def _aperture(landmarks: NDArray[np.floating]) -> float:
    """Return the mean distance between the lids."""
    upper, lower = landmarks[[37, 38, 43, 44]], landmarks[[41, 40, 47, 46]]
    return float(np.linalg.norm(upper - lower, axis=1).mean())
