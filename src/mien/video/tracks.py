"""Who is who from frame to frame: faces to tracks.

As in ByteTrack (Zhang et al., ECCV 2022): a face moves on at its velocity; sure detections are assigned to tracks
first, then faint ones to what is left, which may continue a track but never begin one. A track that is out of sight
survives for a second. Positions are rounded as tables round them, so that rows are all a tracker needs to go on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import lap
import numpy as np
from numpy.typing import NDArray

from mien.results.face import Face

Floats = NDArray[np.float64]
NEW = -1
# Seconds that a track out of sight is waited for.
PATIENCE = 1.0
# Of each new speed, how much counts; the rest is the speed before. Boxes jitter by a few percent.
_AGILITY = 0.4
# A match costs 1 - GIoU, 0 (same box) to 2 (far apart). A face in sight overlaps where it is expected; one out of sight
# may be off by as much more for each second.
_FARTHEST, _FARTHER, _FARTHEST_FAINT = 1.0, 0.9, 0.6
# Nobody grows or shrinks by more than this factor between two frames, or per second out of sight.
_RESIZED, _RESIZING = 1.5, 1.5
# The five points of one face, in units of their own spread, keep their places within this distance (root mean square),
# the detector's beside those of the landmarks before; on a head that tilts and laughs 0.15 is usual, 0.26 the most.
_RESHAPED, _RESHAPING = 0.45, 0.3


@dataclass(frozen=True, eq=False)
class Track:
    """A face that is followed.

    box: (4,) x1 y1 x2 y2 where it was last.   time: of that, seconds.   velocity: (2,) of its centre, pixels a second.
    points: (5, 2) as they lay then, or None.   frames: in which it was seen.
    """

    id: int
    box: Floats
    time: float
    velocity: Floats
    points: Floats | None = None
    frames: int = 1

    def at(self, time: float) -> Floats:
        """(4,) the box that is expected at a time."""
        return self.box + np.tile(self.velocity * (time - self.time), 2)

    def moved(self, box: Floats, time: float) -> "Track":
        """The same track, seen again."""
        now = (_center(box) - _center(self.box)) / max(time - self.time, 1e-3)
        velocity = self.velocity + max(_AGILITY, 1 / self.frames) * (now - self.velocity)
        return Track(self.id, box, time, velocity, frames=self.frames + 1)


class Tracker:
    """Gives faces of consecutive frames their tracks; ids count from 0 and are never given twice."""

    def __init__(self, threshold: float = 0.0) -> None:
        """threshold: the lowest score of a face that may begin a track."""
        self.threshold = threshold
        self._tracks: list[Track] = []
        self._next = 0
        self._last = -np.inf

    def in_sight(self) -> list[Track]:
        """The tracks that the last frame showed."""
        return [track for track in self._tracks if track.time == self._last]

    def end_all(self) -> None:
        """End every track, as after a cut."""
        self._tracks = []

    def assign(self, time: float, faces: Sequence[Face]) -> list[int | None]:
        """The track of each face: an id, NEW, or None for a faint face that continues none. Changes nothing."""
        tracks = [track for track in self._tracks if time - track.time <= PATIENCE]
        ids: list[int | None] = [None] * len(faces)
        sure = [i for i, face in enumerate(faces) if face.score >= self.threshold]
        for i, j in _matches(time, tracks, [faces[i] for i in sure], _FARTHEST):
            ids[sure[j]] = tracks[i].id
        faint = [i for i, face in enumerate(faces) if face.score < self.threshold]
        left = [track for track in tracks if track.id not in ids and track.time == self._last]
        for i, j in _matches(time, left, [faces[i] for i in faint], _FARTHEST_FAINT):
            ids[faint[j]] = left[i].id
        for i in sure:
            ids[i] = NEW if ids[i] is None else ids[i]
        return ids

    def see(self, time: float, boxes: Sequence[NDArray[np.floating]], ids: Sequence[int]) -> list[int]:
        """Take the boxes of a frame with what `assign` says of each, or the ids that a table has; return the ids."""
        known = {track.id: track for track in self._tracks if time - track.time <= PATIENCE}
        given = []
        for box, id in zip(boxes, ids, strict=True):
            place: Floats = np.asarray(np.round(np.asarray(box, np.float64), 2), np.float64)
            number = self._next if id == NEW else id
            self._next = max(self._next, number + 1)
            track = known.get(number)
            known[number] = Track(number, place, time, np.zeros(2)) if track is None else track.moved(place, time)
            given.append(number)
        self._tracks, self._last = list(known.values()), time
        return given

    def remember(self, id: int, points: NDArray[np.floating] | None) -> None:
        """The five points by which a track of this frame is known in the next."""
        kept = None if points is None else np.asarray(points, np.float64)
        self._tracks = [replace(track, points=kept) if track.id == id else track for track in self._tracks]


def giou(a: Floats, b: Floats) -> Floats:
    """(len(a), len(b)) generalized overlaps of boxes, -1 (far apart) to 1 (the same); Rezatofighi et al., CVPR 2019."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    union = _area(a)[:, None] + _area(b)[None] - shared
    around_low, around_high = np.minimum(a[:, None, :2], b[None, :, :2]), np.maximum(a[:, None, 2:], b[None, :, 2:])
    around = (around_high - around_low).prod(axis=2)
    return np.asarray(shared / np.maximum(union, 1e-9) - (around - union) / np.maximum(around, 1e-9))


def _matches(time: float, tracks: Sequence[Track], faces: Sequence[Face], farthest: float) -> list[tuple[int, int]]:
    """Pairs of a track and a face that together cost least; those that cannot be one face stay alone."""
    if not tracks or not faces:
        return []
    expected = np.stack([track.at(time) for track in tracks])
    boxes = np.stack([face.box for face in faces]).astype(np.float64)
    gone = np.array([time - track.time for track in tracks])[:, None]
    cost = 1 - giou(expected, boxes)
    limit = farthest + _FARTHER * np.maximum(gone - 0.1, 0)
    ratio = np.abs(np.log(np.maximum(_area(expected), 1e-9)[:, None] / np.maximum(_area(boxes), 1e-9)[None])) / 2
    impossible = (cost > limit) | (ratio > np.log(_RESIZED) + np.log(_RESIZING) * gone)
    impossible |= _reshaped(tracks, faces) > _RESHAPED + _RESHAPING * gone
    most = 2 + _FARTHER * PATIENCE
    cost = np.where(impossible, 10 * most, cost)
    _, columns, _ = lap.lapjv(cost, extend_cost=True, cost_limit=most)
    return [(i, int(j)) for i, j in enumerate(columns) if j >= 0 and not impossible[i, j]]


def _reshaped(tracks: Sequence[Track], faces: Sequence[Face]) -> Floats:
    """(tracks, faces) how differently the five points lie in the boxes; 0 where either has none."""
    known, shown = _shapes([track.points for track in tracks]), _shapes([face.points for face in faces])
    squares = (known[:, None] - shown[None]) ** 2
    return np.asarray(np.nan_to_num(np.sqrt(squares.mean(axis=(2, 3)))))


def _shapes(all_points: Sequence[NDArray[np.floating] | None]) -> Floats:
    """(N, 5, 2) shapes; NaN of who has none."""
    nothing = np.full((5, 2), np.nan)
    return np.stack([nothing if points is None else _shape(points) for points in all_points])


def _shape(points: NDArray[np.floating]) -> Floats:
    """(5, 2) points about their middle, in units of their own size."""
    centered = points.astype(np.float64) - points.mean(axis=0)
    return np.asarray(centered / max(float(np.sqrt((centered**2).mean())), 1e-6))


def _center(box: Floats) -> Floats:
    return (box[:2] + box[2:]) / 2


def _area(boxes: Floats) -> Floats:
    return np.asarray(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1))
