"""Decode pictures in processes of their own, which can be ended, and whose crash or memory is not the server's."""

import io
import json
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import InputError
from mien.serve.limits import Turnstile


class Decoders:
    """Up to as many processes as are used at a time; they are started when needed and kept.

    seconds: for a picture.   pixels: decoded at a time, by all of them.
    """

    def __init__(self, seconds: float, pixels: int) -> None:
        self._seconds, self._turnstile = seconds, Turnstile(pixels)
        self._idle: list[_Process] = []
        weakref.finalize(self, _end, self._idle)

    @contextmanager
    def open(self, data: bytes | bytearray | memoryview) -> Iterator[NDArray[np.uint8]]:
        """The picture in a file's bytes as by mien.read_image; its pixels count as decoded until the end of the block.

        Raises InputError for what is no picture, takes too long, or ends the process.
        """
        process = self._idle.pop() if self._idle else _Process()
        with process.limited(self._seconds):
            pixels = process.begin(data)
        with self._turnstile.pass_(pixels):
            with process.limited(self._seconds):
                answer = process.finish()
            self._idle.append(process)
            if isinstance(answer, InputError):
                raise answer
            yield answer


def _end(idle: list["_Process"]) -> None:
    for process in idle:
        process.kill()


class _Process:
    def __init__(self) -> None:
        # One decoder computes in one thread; the threads of a BLAS that nobody uses take memory.
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mien.serve.decoder"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pipesize=1 << 20,  # a photograph in one go, where the system allows it
            env=environment,
        )

    def begin(self, data: bytes | bytearray | memoryview) -> int:
        """Send a file; return how many pixels it claims to have."""
        self._write(len(data).to_bytes(8, "little"), data)
        return int(self._answer()["pixels"])

    def finish(self) -> NDArray[np.uint8] | InputError:
        """The pixels, or why there are none."""
        self._write(b"\n")
        answer = self._answer()
        if "error" in answer:
            return InputError(answer["error"], answer["status"])
        image = np.empty(answer["shape"], np.uint8)
        assert isinstance(self._process.stdout, io.BufferedReader)
        if self._process.stdout.readinto(image.data) < image.nbytes:
            raise EOFError
        return image

    @contextmanager
    def limited(self, seconds: float) -> Iterator[None]:
        """End the process, and raise InputError, when what is done inside takes longer, or when it ends by itself."""
        over = threading.Event()

        def end() -> None:
            over.set()
            self.kill()

        late = threading.Timer(seconds, end)
        late.start()
        try:
            yield
        except (OSError, EOFError, ValueError) as error:
            why = f"takes longer than {seconds:g} s to decode" if over.is_set() else "crashes its decoder"
            self.kill()
            raise InputError(f"the picture {why}; save it again with another program", "unreadable") from error
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

    def _write(self, *parts: bytes | bytearray | memoryview) -> None:
        assert self._process.stdin is not None
        for part in parts:
            self._process.stdin.write(part)
        self._process.stdin.flush()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise EOFError
        answer: dict[str, Any] = json.loads(line)
        return answer
