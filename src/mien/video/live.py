"""Frames of one camera as they come: tracked as in a clip, smoothed without delay."""

from collections.abc import Iterator
from typing import Unpack

from mien.core.pipeline import PipelineOptions
from mien.errors import InputError
from mien.results.frame import FrameReport
from mien.video.analyze import Follower
from mien.video.frames import Frame
from mien.video.smooth import smoothed


class LiveReader:
    """Reads frames one by one, in the order of their times.

    smooth: seconds of the One-Euro filter; 0 gives what was read.   options: of Pipeline.
    """

    def __init__(self, smooth: float = 0.0, **options: Unpack[PipelineOptions]) -> None:
        if not smooth >= 0:
            raise InputError(f"smooth must be 0 or more seconds, but got {smooth}")
        self._follow = Follower(**options)
        self._newest: FrameReport | None = None
        self._smoothed = smoothed(self._reports(), smooth, live=True)

    def __call__(self, frame: Frame) -> FrameReport:
        """The faces of a frame, in the order of their tracks."""
        self._newest = self._follow(frame)
        return next(self._smoothed)

    def _reports(self) -> Iterator[FrameReport]:
        while self._newest is not None:
            yield self._newest
