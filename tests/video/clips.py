"""Clips that tests draw: no clip is kept in the repository."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mien.core.images import read_image
from tests.helpers import ASTRONAUT

Picture = NDArray[np.uint8]


def write_clip(path: Path, frames: Sequence[Picture], rate: float = 25.0, codec: str = "MJPG") -> Path:
    """A clip of constant rate of (H, W, 3) uint8 RGB frames."""
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), rate, (width, height))
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[:, :, ::-1]))
    writer.release()
    return path


def write_at(path: Path, frames: Sequence[Picture], times: Sequence[float]) -> Path:
    """A clip whose frames are shown at these seconds, to the millisecond; needs PyAV."""
    av: Any = pytest.importorskip("av")
    height, width = frames[0].shape[:2]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4")
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for image, time in zip(frames, times, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = round(1000 * time), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def blank(gray: int = 128, size: tuple[int, int] = (48, 64)) -> Picture:
    return np.full((*size, 3), gray, np.uint8)


def head() -> Picture:
    """The astronaut's head with its surroundings, 140 x 140."""
    return np.ascontiguousarray(read_image(ASTRONAUT)[40:190, 145:295][:140, :140])


def scene(places: Sequence[tuple[float, float, float]], size: tuple[int, int] = (360, 640), gray: int = 90) -> Picture:
    """A picture with the astronaut's head pasted at these centres, x and y, in these sizes; later ones lie in front."""
    picture = blank(gray, size)
    face = head()
    for x, y, side in places:
        pasted = np.asarray(Image.fromarray(face).resize((round(side), round(side))))
        left, top = round(x - side / 2), round(y - side / 2)
        x1, y1, x2, y2 = max(left, 0), max(top, 0), min(left + len(pasted), size[1]), min(top + len(pasted), size[0])
        if x1 < x2 and y1 < y2:
            picture[y1:y2, x1:x2] = pasted[y1 - top : y2 - top, x1 - left : x2 - left]
    return picture


def moving(place: Callable[[int], Sequence[tuple[float, float, float]]], count: int) -> list[Picture]:
    return [scene(place(number)) for number in range(count)]
