"""A clip to a report a frame: faces are detected, tracked and read.

A face that is followed needs no detector over the whole frame: it is read in the crop that its landmarks of the frame
before ask for, and every third frame YuNet looks at a small window where the face is expected. The whole frame is
searched every few frames, at once when a face is not where it should be, when nobody is in sight, and after a cut.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from mien.core.align import LANDMARK_TEMPLATE, Floats, five_points, similarity
from mien.core.detect import Rotations, YuNet
from mien.core.pipeline import MAX_SIDE, ROTATIONS, THRESHOLD, Pipeline, PipelineOptions
from mien.errors import InputError
from mien.facs.observation import Hidden
from mien.results.face import Face, ImageReport
from mien.results.frame import FrameReport
from mien.video.cuts import CUT, colors, distance
from mien.video.frames import Clip, Frame, frames
from mien.video.smooth import smoothed
from mien.video.tracks import Tracker
from mien.video.windows import Windows

# The whole frame is searched every so many frames.
DETECT_EVERY = 12
# In between, a face is looked for in its window every so many frames; in the others it is where it was moving to.
WINDOW_EVERY = 3
# Frames further apart than this, in seconds, are searched each: too much has moved.
FOLLOWED = 0.15
# A face that scores this much less than is asked of a new one may still continue a track.
FAINTER = 0.3


@dataclass(frozen=True, eq=False)
class _Last:
    """What the last frame showed of a track, rounded as in a table, which may be where it comes from."""

    landmarks: NDArray[np.float64] | None
    hidden: tuple[Hidden, ...]
    score: float


class Follower:
    """Reads the frames of one clip, in order.

    detect_every: how many frames go by between two searches of the whole frame; 1 searches each, and reads each face
    as in a photograph.   threshold, detect and the rest: of Pipeline; rotations "auto" is "never" here.
    """

    def __init__(self, detect_every: int = DETECT_EVERY, **options: Unpack[PipelineOptions]) -> None:
        if detect_every < 1:
            raise InputError(f"detect_every must be 1 or more, but got {detect_every}")
        threshold = float(options.get("threshold", THRESHOLD))
        own = options.get("detect") is not None or options.get("assume_crop", False)
        self._windows: Windows | None = None
        if not own:
            faint = max(threshold - FAINTER, threshold / 2)
            max_side = options.pop("max_side", MAX_SIDE)
            # Clips say how they are turned, and an empty frame in four turns would take four times as long.
            rotations: Rotations = "always" if options.pop("rotations", ROTATIONS) == "always" else "never"
            threads = options.get("threads", 1)
            options.pop("threshold", None)
            options["detect"], windows = _searchers(faint, max_side, rotations, threads)
            if detect_every > 1:
                self._windows = windows
        self._pipeline = Pipeline(**options)
        self._every = detect_every
        self._tracker = Tracker(0.0 if own else threshold)
        self._last: dict[int, _Last] = {}
        self._colors: NDArray[np.float32] | None = None
        self._count, self._time = 0, -np.inf

    def __call__(self, frame: Frame) -> FrameReport:
        """The faces of a frame, in the order of their tracks."""
        self._cut(frame)
        faces, ids, searched = self._faces(frame)
        image = frame.image
        starts = [self._start(id) for id in ids]
        known = [None if searched or id not in self._last else self._last[id].hidden for id in ids]
        reports = list(self._pipeline.read_faces(image, faces, starts, known))
        ids = self._tracker.see(frame.time, [face.box for face in faces], ids)
        order = sorted(range(len(ids)), key=lambda i: ids[i])
        report = ImageReport(image.shape[:2], tuple(reports[i] for i in order), self._pipeline.model)
        answer = FrameReport(frame.number, frame.time, report, tuple(ids[i] for i in order))
        self._remember(answer)
        return answer

    def recall(self, frame: Frame, seen: FrameReport) -> None:
        """Take a frame as it was read before, so that the next ones go on from it."""
        self._cut(frame)
        self._tracker.see(frame.time, [face.box for face in seen.report.faces], seen.tracks)
        self._remember(seen)

    def _cut(self, frame: Frame) -> None:
        before, self._colors = self._colors, colors(frame.image)
        if before is not None and distance(before, self._colors) > CUT:
            self._tracker.end_all()

    def _remember(self, seen: FrameReport) -> None:
        self._last = {
            id: _Last(
                None if face.landmarks is None else _rounded(face.landmarks),
                face.hidden,
                round(face.face.score, 4),
            )
            for id, face in zip(seen.tracks, seen.report.faces, strict=True)
        }
        for id, last in self._last.items():
            if last.landmarks is not None:
                self._tracker.remember(id, five_points(last.landmarks))
        self._count, self._time = self._count + 1, seen.time

    def _start(self, id: int) -> Floats | None:
        """The frame in which a followed face is read: where its landmarks of the frame before lay."""
        last = self._last.get(id)
        if self._every == 1 or last is None or last.landmarks is None:
            return None
        return similarity(five_points(last.landmarks), LANDMARK_TEMPLATE)

    def _faces(self, frame: Frame) -> tuple[list[Face], list[int], bool]:
        """The faces of a frame that have a track, what `assign` says of each, and whether all of it was searched."""
        followed = self._followed(frame)
        if followed is not None:
            return *followed, False
        return *self._assigned(frame, self._pipeline.detect(frame.image)), True

    def _followed(self, frame: Frame) -> tuple[list[Face], list[int]] | None:
        """The faces of the frame before where they are now, and their tracks; None to search the whole frame."""
        tracks = self._tracker.in_sight()
        if self._windows is None or self._count % self._every == 0 or frame.time - self._time > FOLLOWED or not tracks:
            return None
        expected = [track.at(frame.time) for track in tracks]
        lasts = [self._last[track.id] for track in tracks]
        if self._count % WINDOW_EVERY and all(last.landmarks is not None for last in lasts):
            faces = [Face(box.astype(np.float32), None, last.score) for box, last in zip(expected, lasts, strict=True)]
            return faces, [track.id for track in tracks]
        if not self._windows.worth(len(tracks), frame.image.shape):
            return None
        faces, ids = self._assigned(frame, self._windows(frame.image, expected))
        return (faces, ids) if {track.id for track in tracks} <= set(ids) else None

    def _assigned(self, frame: Frame, faces: Sequence[Face]) -> tuple[list[Face], list[int]]:
        ids = self._tracker.assign(frame.time, faces)
        kept = [(face, id) for face, id in zip(faces, ids, strict=True) if id is not None]
        return [face for face, _ in kept], [id for _, id in kept]


@lru_cache(maxsize=4)
def _searchers(threshold: float, max_side: int, rotations: Rotations, threads: int) -> tuple[YuNet, Windows]:
    """Return the detector; all cameras share one, because each takes 15 MB."""
    return YuNet(threshold, max_side, rotations, threads), Windows(threshold, rotations, threads)


def _rounded(points: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(np.round(points.astype(np.float64), 2), np.float64)


def analyze_video(
    source: Clip,
    *,
    fps: float | None = None,
    every: int | None = None,
    start: float | None = None,
    end: float | None = None,
    smooth: float = 0.0,
    detect_every: int = DETECT_EVERY,
    **options: Unpack[PipelineOptions],
) -> Iterator[FrameReport]:
    """Read the faces in a clip, frame by frame; memory does not grow with its length.

    source: a file's path, or the number of a camera.
    fps: read at most this many frames per second.
    every: read every Nth frame.
    start, end: seconds from the first frame; the end is excluded.
    smooth: smooth probabilities, action units and pose over this many seconds; 0 for none. A clip is smoothed by a
    Gaussian that reaches this far to both sides, a camera by a One-Euro filter, which adds no delay.
    detect_every: search every Nth frame for faces, and follow them in between; 1 searches each frame.
    options: see Pipeline.
    Raise InputError at once if there is no clip, and after the last frame if the clip breaks off.
    """
    follow = _follower(smooth, detect_every, options)
    chosen = frames(source, fps=fps, every=every, start=start, end=end)
    return smoothed(_reports(follow, chosen, ()), smooth, live=isinstance(source, int))


def read_frames(
    chosen: Iterable[Frame],
    *,
    smooth: float = 0.0,
    detect_every: int = DETECT_EVERY,
    after: Iterable[FrameReport] = (),
    **options: Unpack[PipelineOptions],
) -> Iterator[FrameReport]:
    """Read frames of one's own, in the order of their times; the rest as in analyze_video.

    after: what was read of the first frames before, by the same options, as `recalled` gives it. They are not read
    again, and what is read of the others is what an unbroken run would have read.
    """
    return smoothed(_reports(_follower(smooth, detect_every, options), chosen, after), smooth)


def _follower(smooth: float, detect_every: int, options: PipelineOptions) -> Follower:
    if smooth < 0:
        raise InputError(f"smooth must be 0 or more seconds, but got {smooth}")
    return Follower(detect_every, **options)


def _reports(follow: Follower, chosen: Iterable[Frame], after: Iterable[FrameReport]) -> Iterator[FrameReport]:
    known = iter(after)
    seen = next(known, None)
    for frame in chosen:
        if seen is None:
            yield follow(frame)
        elif seen.number == frame.number:
            follow.recall(frame, seen)
            seen = next(known, None)
        else:
            raise InputError(
                f"what was read before has frame {seen.number} next, the clip {frame.number}: it was another clip, or "
                "read with other options"
            )
