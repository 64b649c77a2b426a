"""Small pictures of the faces of a clip: at what happens, and every few seconds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import InputError
from mien.video.events import Event
from mien.video.frames import frames
from mien.video.series import EXPRESSIONS, Recording, Series

# Seconds between two pictures when nothing happens, and how many a recording has at the most.
EVERY, MOST = 2.0, 360
# The side in pixels, and how much of the surroundings is shown, in widths of the face.
SIDE, REACH = 96, 1.5


@dataclass(frozen=True, eq=False)
class Thumbnail:
    """A face at a time.   image: (SIDE, SIDE, 3) uint8 RGB."""

    track: int
    frame: int
    time: float
    image: NDArray[np.uint8]


def thumbnails(recording: Recording, events: Iterable[Event], path: str) -> list[Thumbnail]:
    """Pictures of the tracks of a recording, from its clip; none when the clip is not there any more.

    events: events, whose apexes are shown.
    """
    wanted = _wanted(recording, list(events))
    made = []
    try:
        for frame in frames(path, end=float(recording.times[-1]) + 1) if wanted else ():
            for series, index in wanted.get(frame.number, ()):
                box = series.boxes[index]
                made.append(Thumbnail(series.track, frame.number, frame.time, cut(frame.image, box)))
    except InputError:  # the table outlives its clip, and a broken clip has pictures up to its end
        pass
    return made


def cut(image: NDArray[np.uint8], box: NDArray[np.float64]) -> NDArray[np.uint8]:
    """(SIDE, SIDE, 3) the surroundings of a box of x, y, width and height, of an (H, W, 3) image."""
    x, y, width, height = box
    scale = SIDE / (REACH * max(width, height, 1.0))
    matrix = np.array([[scale, 0, SIDE / 2 - scale * (x + width / 2)], [0, scale, SIDE / 2 - scale * (y + height / 2)]])
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.warpAffine(image, matrix, (SIDE, SIDE), flags=way, borderMode=cv2.BORDER_REPLICATE))


def _wanted(recording: Recording, events: Sequence[Event]) -> Mapping[int, list[tuple[Series, int]]]:
    """Frame number to the tracks, and places in them, that are shown there."""
    chosen: dict[int, list[tuple[Series, int]]] = {}
    for series in recording.tracks:
        share = max(8, MOST // len(recording.tracks))
        apexes = [e.apex_frame for e in events if e.track == series.track and e.name in EXPRESSIONS][: share // 2]
        step = max(EVERY, float(series.ends[-1] - series.times[0]) / (share - len(apexes)))
        steps = np.arange(series.times[0], series.ends[-1], step)
        regular = np.clip(np.searchsorted(series.times, steps), 0, len(series.times) - 1)
        for index in sorted({*regular.tolist(), *np.searchsorted(series.frames, apexes).tolist()}):
            chosen.setdefault(int(series.frames[index]), []).append((series, int(index)))
    return chosen
