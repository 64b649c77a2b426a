"""Decode pictures, within so much memory at a time."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from mien.core.images import begin
from mien.errors import InputError
from mien.serve.limits import Turnstile

_NAME = "the bytes given"


class Decoders:
    """Decodes for several threads.

    memory: bytes that decoding and what is decoded take at a time, by the estimate of mien.Limits.
    """

    def __init__(self, memory: int) -> None:
        self._turnstile = Turnstile(memory)

    @contextmanager
    def open(self, data: bytes | bytearray | memoryview) -> Iterator[NDArray[np.uint8]]:
        """The picture in a file's bytes as by mien.read_image; its memory counts until the end of the block.

        Raises InputError, which does not name it, for what is no picture, takes too long, or ends its decoder.
        """
        with _unnamed():
            memory, decode = begin(bytes(data), _NAME)
        with self._turnstile.pass_(memory):
            with _unnamed():
                image = decode()
            del decode  # it holds the decoder's own copy
            yield image


@contextmanager
def _unnamed() -> Iterator[None]:
    """Nobody gave bytes: they gave a picture, whose name those who answer know."""
    try:
        yield
    except InputError as error:
        raise InputError(str(error).removeprefix(f"{_NAME}: "), error.status) from error
