"""Decode a picture in a process of its own: for formats whose decoders nothing else can interrupt.

The process may take so many seconds of the processor and so much memory, and is ended when it takes more. It stays for
the next picture, and ends with the program.
"""

import atexit
import io
import json
import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.core.interpreter import command
from mien.core.limits import Limits, too_large
from mien.errors import InputError, InputWarning
from mien.results.record import Record

# So many pixels of these formats are decoded where mien runs: at most two seconds of work. What an AVIF or HEIC takes
# need not be what its header says.
HERE = {"WEBP": 16_000_000, "TIFF": 16_000_000, "JPEG2000": 2_000_000, "AVIF": 0, "HEIF": 0}
# Pixels of a JPEG times its scans; each scan goes over all pixels, and may be a few bytes long.
SCANNED = 1_500_000_000
# A process that waits instead of computing is ended after so many times its seconds.
PATIENCE = 20
_BY_PROCESSOR = hasattr(signal, "setitimer")
_TILE_WIDTH, _TILE_LENGTH = 322, 323  # tags of a TIFF


def wanted(image: Image.Image, scans: int) -> bool:
    """Whether a picture, of which only the header was read, is better decoded apart.

    scans: of a JPEG.   Never where no other Python can be started, as in a program frozen into one file.
    """
    pixels = image.width * image.height
    if image.format == "TIFF":
        tags: Any = getattr(image, "tag_v2", {})
        with suppress(TypeError, ValueError, OverflowError):  # a tag may hold anything
            pixels = max(pixels, int(tags.get(_TILE_WIDTH, 0)) * int(tags.get(_TILE_LENGTH, 0)))
    if image.format == "JPEG":
        costly = pixels * scans > SCANNED
    else:
        costly = image.format in HERE and pixels > HERE[image.format]
    return costly and not getattr(sys, "frozen", False)


def decode(data: bytes, name: str, limits: Limits) -> NDArray[np.uint8]:
    """The pixels of a file, (H, W, 3) RGB, as by mien.read_image, whose InputWarning is given here too.

    Raises InputError for what is no picture, takes too long or too much memory, or ends the process.
    """
    try:
        process = _idle.pop()
    except IndexError:
        process = _started(name)
    with process.limited(name, limits.seconds):
        answer, image = process.ask(data, {"length": len(data), "name": name, "limits": asdict(limits)})
    _idle.append(process)
    for message in answer["warnings"]:
        warnings.warn(message, InputWarning, stacklevel=2)
    if image is None:
        raise InputError(answer["error"], answer["status"])
    return image


def _started(name: str) -> "_Process":
    try:
        return _Process()
    except OSError as error:
        raise InputError(f"{name}: cannot be decoded, for Python cannot be started ({error})", "unreadable") from error


class _Process:
    """The other process, mien.core.decoder."""

    def __init__(self) -> None:
        # One decoder computes in one thread; the threads of a BLAS that nobody uses take memory.
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            command("mien.core.decoder"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pipesize=1 << 20,  # a photograph in one go, where the system allows it
            env=environment,
        )

    def ask(self, data: bytes, about: Record) -> tuple[Record, NDArray[np.uint8] | None]:
        """What it says of a file, and the pixels if there are any."""
        assert self._process.stdin is not None
        assert isinstance(self._process.stdout, io.BufferedReader)
        self._process.stdin.write(json.dumps(about).encode() + b"\n")
        self._process.stdin.write(data)
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise EOFError
        answer: Record = json.loads(line)
        if "shape" not in answer:
            return answer, None
        image = np.empty(answer["shape"], np.uint8)
        if self._process.stdout.readinto(image.data) < image.nbytes:
            raise EOFError
        return answer, image

    @contextmanager
    def limited(self, name: str, seconds: float) -> Iterator[None]:
        """End the process, and raise InputError, when what is done inside takes longer, or when it ends by itself."""
        over = threading.Event()

        def end() -> None:
            over.set()
            self._process.kill()

        late = threading.Timer(seconds * PATIENCE if _BY_PROCESSOR else seconds, end)
        late.daemon = True
        late.start()
        try:
            yield
        except (OSError, EOFError, ValueError) as error:
            self.kill()
            if over.is_set() or self._process.returncode == -getattr(signal, "SIGPROF", 0):
                raise too_large(name, f"decoding takes longer than {seconds:g} seconds") from error
            raise InputError(
                f"{name}: the picture crashes its decoder; save it again with another program", "unreadable"
            ) from error
        except BaseException:
            self.kill()
            raise
        finally:
            late.cancel()

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # what was not sent yet
                    pipe.close()


# Processes that wait for a picture: as many as were used at a time.
_idle: list[_Process] = []


def _end_all() -> None:
    while _idle:
        _idle.pop().kill()


atexit.register(_end_all)
if hasattr(os, "register_at_fork"):  # a child that was forked must not share them
    os.register_at_fork(after_in_child=_idle.clear)
