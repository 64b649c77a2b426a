"""Decode pictures, so many pixels at a time."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from mien.core.images import begin
from mien.serve.limits import Turnstile


class Decoders:
    """Decodes for several threads.

    pixels: decoded at a time, by all of them.
    """

    def __init__(self, pixels: int) -> None:
        self._turnstile = Turnstile(pixels)

    @contextmanager
    def open(self, data: bytes | bytearray | memoryview) -> Iterator[NDArray[np.uint8]]:
        """The picture in a file's bytes as by mien.read_image; its pixels count as decoded until the end of the block.

        Raises InputError for what is no picture, takes too long, or ends its decoder.
        """
        pixels, decode = begin(bytes(data), "the bytes given")
        with self._turnstile.pass_(pixels):
            yield decode()
