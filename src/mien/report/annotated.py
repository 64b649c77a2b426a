"""A clip with its faces marked: H.264 in MP4, every frame at its own time, without sound.

Needs the extra `video`: PyAV (BSD-3-Clause), whose wheels hold FFmpeg and x264 (GPL-2.0 or later). OpenCV's wheel
cannot write H.264.
"""

from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import InputError
from mien.extras import optional
from mien.files import beside, put_in_place
from mien.report.draw import draw
from mien.results.frame import FrameReport

# Times are kept in this unit, a divisor of every usual frame rate.
_UNIT = Fraction(1, 90_000)


class AnnotatedClip:
    """A clip that is written frame by frame. It takes its place when it is closed.

    Every method raises OSError, or an error of FFmpeg, when the clip cannot be written; then abandon it.
    """

    def __init__(self, path: Path) -> None:
        self._av = optional("av", "video")
        self._path, self._beside = path, beside(path)
        self._container: Any = self._av.open(str(self._beside), "w")
        self._stream: Any = None

    def add(self, image: NDArray[np.uint8], frame: FrameReport) -> None:
        """Add an (H, W, 3) RGB frame, marked with what was read of it. InputError when its size is not the first's."""
        height, width = (side // 2 * 2 for side in image.shape[:2])  # the colours of H.264 come in pairs of pixels
        if self._stream is None:
            self._stream = self._container.add_stream("libx264", rate=30, options={"crf": "20", "preset": "veryfast"})
            self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
            self._stream.codec_context.time_base = _UNIT
        if (self._stream.width, self._stream.height) != (width, height):
            raise InputError(
                f"frame {frame.number} has another size, {width} x {height}: it cannot be in the same clip"
            )
        marked = draw(image, frame.report, frame.tracks)[:height, :width]
        shown = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(marked), format="rgb24")
        shown.pts, shown.time_base = round(frame.time / _UNIT), _UNIT
        self._container.mux(self._stream.encode(shown))

    def close(self) -> None:
        """Write what is left, and put the clip in its place."""
        if self._stream is not None:
            self._container.mux(self._stream.encode())
        self._container.close()
        put_in_place(self._beside, self._path)

    def abandon(self) -> None:
        """Leave an earlier clip as it was, and nothing of this one."""
        with suppress(Exception):  # the end of a clip may find no room either
            self._container.close()
        self._beside.unlink(missing_ok=True)
