"""The process that mien.core.apart starts to decode pictures.

It reads from standard input and writes to standard output until the input ends: a line of JSON with the length and name
of a file and its limits in, and the file; a line of JSON with the shape or the error out, and the pixels.
"""

import contextlib
import json
import signal
import sys
import warnings
from collections.abc import Iterator

import numpy as np

from mien.core.images import decode_here
from mien.core.limits import Limits
from mien.core.trial import bound
from mien.errors import InputError, InputWarning
from mien.results.record import Record

# What Python and the decoders themselves take.
_OWN_MEMORY = 300_000_000


def main() -> None:
    """Decode one file after the other."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program, which finishes what is running
    source, target = sys.stdin.buffer, sys.stdout.buffer
    while line := source.readline():
        about = json.loads(line)
        limits = Limits(**about["limits"])
        bound(limits.memory + _OWN_MEMORY)
        data = source.read(about["length"])
        with _seconds(limits.seconds):
            answer, image = _decoded(data, about["name"], limits)
        target.write(json.dumps(answer).encode() + b"\n")
        if image is not None:
            target.write(np.ascontiguousarray(image).data)
        target.flush()
        del data, image  # before the next file is read


def _decoded(data: bytes, name: str, limits: Limits) -> tuple[Record, np.ndarray | None]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", InputWarning)
        try:
            image = decode_here(data, name, limits)
            answer: Record = {"shape": image.shape}
        except InputError as error:
            image, answer = None, {"error": str(error), "status": error.status}
    answer["warnings"] = [str(each.message) for each in caught if issubclass(each.category, InputWarning)]
    return answer, image


@contextlib.contextmanager
def _seconds(most: float) -> Iterator[None]:
    """End this process when it has computed for so long, all threads together, where the system can."""
    if not hasattr(signal, "setitimer"):
        yield
        return
    signal.setitimer(signal.ITIMER_PROF, max(most, 1e-3))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
