"""A clip, or a camera, to frames with their true times.

OpenCV decodes, in a thread of its own, and turns a phone's clip upright by its orientation. A time is what the file
says of the frame, never number / rate: phones and screen recorders write clips of variable rate.
"""

import os
import queue
import threading
import time as clock
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias, TypedDict

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import InputError, MienError

# The endings of clips, by which folders are searched. An animated GIF is a clip only for those who ask for its frames.
ENDINGS = frozenset(
    (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".ts", ".mts", ".m2ts", ".3gp")
) | {".ogv"}
# A file or the number of a camera.
Clip: TypeAlias = "str | PathLike[str] | int"
# Frames that are decoded ahead of the reader.
_AHEAD = 4
# A clip that ends so many seconds and frames before its header says is broken. Headers of sound clips are off by less.
_MISSING_SECONDS, _MISSING_FRAMES = 0.25, 3
# Newer OpenCV has the functions of the log level in a module of their own.
_LOGGING: Any = getattr(cv2.utils, "logging", cv2)
_SILENT = 0
# FFmpeg opens playlists and references; from a file on disk it must reach nothing but files.
_OPTIONS = {"OPENCV_FFMPEG_CAPTURE_OPTIONS": "protocol_whitelist;file", "OPENCV_FFMPEG_LOGLEVEL": "-8"}
_opening = threading.Lock()


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of a clip.

    number: in the file, from 0.   time: seconds from the first frame.   image: (H, W, 3) uint8 RGB, upright.
    """

    number: int
    time: float
    image: NDArray[np.uint8]


@dataclass(frozen=True)
class Span:
    """Which frames of a clip are read.

    fps: at most so many a second, the first at or after each step.   every: each such frame, counted in the file.
    start, end: seconds from the first frame; the end is left out.
    """

    fps: float | None = None
    every: int | None = None
    start: float | None = None
    end: float | None = None

    def __post_init__(self) -> None:
        if self.fps is not None and not self.fps > 0:
            raise InputError(f"fps must be above 0, but got {self.fps}")
        if self.every is not None and self.every < 1:
            raise InputError(f"every must be 1 or more, but got {self.every}")
        if self.fps is not None and self.every is not None:
            raise InputError("fps and every both say which frames to read; give one of them")
        if not 0 <= (self.start or 0.0) < (float("inf") if self.end is None else self.end):
            raise InputError(f"start must be 0 or more and lie before end, but got {self.start} and {self.end}")

    def step(self, number: int, time: float) -> int | None:
        """The step of the clip that a frame lies in, of which the first frame is read; None outside the span."""
        if time < (self.start or 0.0) or (self.end is not None and time >= self.end):
            return None
        if self.fps is not None:
            # A thousandth of a step early still counts: 29.97 frames a second are meant to fill 30.
            return int(np.floor(time * self.fps + 1e-3))
        every = self.every or 1
        return number // every if number % every == 0 else None


class SpanOptions(TypedDict, total=False):
    """The options of Span, for functions that pass them on."""

    fps: float | None
    every: int | None
    start: float | None
    end: float | None


def frames(
    source: Clip,
    *,
    fps: float | None = None,
    every: int | None = None,
    start: float | None = None,
    end: float | None = None,
) -> Iterator[Frame]:
    """Yield the frames of a clip or camera, in order.

    source: a file's path, or the number of a camera, from 0. The times of a camera's frames are those of their arrival.
    fps: read at most this many frames per second.
    every: read every Nth frame.
    start, end: seconds from the first frame; the end is excluded.
    Raise InputError at once if there is nothing to read, and after the last frame, with status "broken", if the clip
    ends long before its header states.
    """
    span = Span(fps, every, start, end)
    capture = _open(source)
    return _ahead(_selected(capture, source, span))


def length(source: Clip) -> tuple[int, float]:
    """Return the frames and seconds that a clip's header states; 0 if it states none."""
    capture = _open(source)
    try:
        return _header(capture)
    finally:
        capture.release()


def pixels(source: Clip) -> int:
    """Return the pixels of a frame that a clip's header states; 0 if it states none."""
    capture = _open(source)
    try:
        return int(capture.get(cv2.CAP_PROP_FRAME_WIDTH) * capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    finally:
        capture.release()


def is_clip(path: str | PathLike[str]) -> bool:
    """Whether a file's name ends as those of clips do."""
    return Path(path).suffix.lower() in ENDINGS


def _header(capture: cv2.VideoCapture) -> tuple[int, float]:
    count, rate = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
    if not (0 < count < 1e9 and 0 < rate < 1e5):
        return 0, 0.0
    return int(count), count / rate


def _open(source: Clip) -> cv2.VideoCapture:
    if isinstance(source, int):
        with _quiet():
            capture = cv2.VideoCapture(source)
        if not capture.isOpened():
            raise InputError(f"camera {source}: there is no such camera, or another program uses it", "missing")
        return capture
    path = Path(source)
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise InputError(f"{path}: is a folder; expected a clip", "unreadable")
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file", "missing") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error})", "unreadable") from error
    if size == 0:
        raise InputError(f"{path}: the file is empty", "unreadable")
    # The absolute path, or FFmpeg would take a name such as "concat:..." for more than a name.
    with _opening, _quiet():
        capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise InputError(
            f"{path}: no video that can be read: a sound file, a damaged clip, or none; MP4, MOV, AVI, MKV and WebM "
            "can be",
            "unreadable",
        )
    return capture


@contextmanager
def _quiet() -> Iterator[None]:
    """OpenCV and FFmpeg say nothing of their own about a file that cannot be opened; the error says it."""
    before = {name: os.environ.get(name) for name in _OPTIONS}
    level = _LOGGING.getLogLevel()
    os.environ.update(_OPTIONS)
    _LOGGING.setLogLevel(_SILENT)
    try:
        yield
    finally:
        _LOGGING.setLogLevel(level)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _selected(capture: cv2.VideoCapture, source: Clip, span: Span) -> Iterator[Frame]:
    """The frames of the span; the others are not converted to pixels."""
    number, last_step, first, time = -1, -1, 0.0, -1.0
    try:
        count, seconds = _header(capture)
        while capture.grab():
            number += 1
            # Read after the frame was grabbed, this is the time of that frame.
            stamp = clock.monotonic() if isinstance(source, int) else capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            first = stamp if number == 0 else first
            time = _later(stamp - first, time, seconds / count if count else 0.04)
            if span.end is not None and time >= span.end:
                return
            step = span.step(number, time)
            if step is None or step == last_step:
                continue
            good, image = capture.retrieve()
            if not good:
                break
            last_step = step
            yield Frame(number, time, np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8))
        if number < 0:
            shown = f"camera {source}: gives" if isinstance(source, int) else f"{source}: holds"
            raise InputError(f"{shown} no frame that can be read", "unreadable")
        frame = seconds / count if count else 0.0
        if seconds - (time + frame) > _MISSING_SECONDS and count - (number + 1) > _MISSING_FRAMES:
            raise InputError(
                f"{source}: broken after {time:.3f} s: {number + 1} frames of the {count} that its header promises",
                "broken",
            )
    finally:
        capture.release()


def _later(time: float, before: float, frame: float) -> float:
    """The time of a frame, or a frame later than the one before where a stream carries no times of its own."""
    return time if time > before else before + frame


def _ahead(made: Iterator[Frame]) -> Iterator[Frame]:
    """The same frames, made in a thread of their own while others are read."""
    made_ahead: queue.Queue[Frame | MienError | None] = queue.Queue(_AHEAD)
    stopped = threading.Event()

    def put(item: Frame | MienError | None) -> None:
        while not stopped.is_set():
            with suppress(queue.Full):
                made_ahead.put(item, timeout=0.1)
                return

    def work() -> None:
        try:
            for frame in made:
                put(frame)
                if stopped.is_set():
                    break
        except MienError as error:
            put(error)
        except cv2.error as error:
            put(InputError(f"a frame could not be decoded ({error})", "broken"))
        finally:
            made.close()  # type: ignore[attr-defined]
            put(None)

    thread = threading.Thread(target=work, daemon=True, name="mien-frames")
    thread.start()
    try:
        while (item := made_ahead.get()) is not None:
            if isinstance(item, MienError):
                raise item
            yield item
    finally:
        stopped.set()
        thread.join()
