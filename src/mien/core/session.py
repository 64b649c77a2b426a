"""Open an ONNX file: the one place where mien imports ONNX Runtime."""

import os
from collections.abc import Callable
from typing import Any

import onnxruntime
from onnxruntime import InferenceSession, RunOptions

from mien.core import onnx_file
from mien.errors import InputError, ModelError
from mien.telemetry import is_off

__all__ = ["MOST_THREADS", "InferenceSession", "RunOptions", "open_session"]

# For a program that had imported ONNX Runtime before mien, and so before its switch was set.
if is_off("ORT_DISABLE_TELEMETRY"):
    onnxruntime.disable_telemetry_events()

# More than any of these models can use; ten thousand never end, a million crash the interpreter.
MOST_THREADS = 256
# ONNX Runtime says "warning" of harmless shape annotations, and errors are raised as well as printed.
_FATAL_ONLY = 4


def open_session(model: bytes, threads: int = 1) -> InferenceSession:
    """An ONNX Runtime session on the CPU.

    One thread is fastest for nets this small; parallelism belongs across pictures. Raises ModelError when it cannot be
    opened, or names other files: a model file is one file.
    """
    if not 1 <= threads <= MOST_THREADS:
        raise InputError(f"threads must be 1 or more, and at most {MOST_THREADS}, but got {threads}")
    onnx_file.check(model)
    try:
        return Session(model, threads)
    except Exception as error:  # ONNX Runtime has a class of its own for each way to fail
        raise ModelError(f"not an ONNX model that ONNX Runtime {onnxruntime.__version__} can open: {error}") from error


class Session(InferenceSession):  # type: ignore[misc]
    """A session that a pickle and a fork take along: it is opened again from the model's bytes."""

    def __init__(self, model: bytes, threads: int) -> None:
        self._made_with = model, threads
        self._process = os.getpid()
        super().__init__(model, _options(threads), providers=["CPUExecutionProvider"])

    def run(self, *args: Any, **options: Any) -> Any:
        """As of any session, also in a child of the process that opened it."""
        if self._process != os.getpid():
            # Its threads stayed behind, and what they had locked is locked for ever; to end it would wait for them.
            _LEFT.append(self._sess)
            self.__init__(*self._made_with)  # type: ignore[misc]
        return super().run(*args, **options)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[bytes, int]]:
        return Session, self._made_with


# Sessions of a parent process, which are kept so that nothing ends them.
_LEFT: list[Any] = []


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Idle threads that spin steal the cores from the next session, which made two threads slower than one.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # The other format, ORT's own, is not looked into before it is opened.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    options.log_severity_level = _FATAL_ONLY
    return options
