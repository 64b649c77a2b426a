"""Try a model file that somebody else made, in a process of its own that can be ended.

ONNX Runtime computes what it can on opening a file, where nothing stops it: a file of a few bytes may loop for ever,
take all memory or end the process. So the first to open it is another process, with a deadline and a bound of memory.
What mien ships is known by its hash and needs none of this.
"""

import contextlib
import hashlib
import math
import sys

import numpy as np

from mien.core.interpreter import command
from mien.errors import ModelError

# Starting Python and ONNX Runtime included.
SECONDS = 30.0
# Besides what the file itself takes, which ONNX Runtime holds several times while it opens one.
MEMORY = 2 << 30
COPIES = 5
_passed: set[bytes] = set()


def attempt(model: bytes, name: str) -> None:
    """Raise ModelError when a model cannot be opened, or run once, within SECONDS and MEMORY.

    A file that has passed is not tried again in this process. Where no Python can be started, as in a program frozen
    into one file, nothing is tried.
    """
    digest = hashlib.sha256(model).digest()
    if digest in _passed or getattr(sys, "frozen", False):
        return
    import subprocess  # here, for models that mien ships do without it

    try:
        done = subprocess.run(
            command("mien.core.trial"), input=model, capture_output=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(f"{name}: opening it and running it once takes longer than {SECONDS:g} seconds") from error
    except OSError as error:
        raise ModelError(f"{name}: cannot be tried, for Python cannot be started ({error})") from error
    if done.returncode:
        cause = done.stdout.decode(errors="replace").strip()
        raise ModelError(f"{name}: {cause or f'ONNX Runtime does not survive it (exit code {done.returncode})'}")
    _passed.add(digest)


def main() -> None:
    """The other process: the model from standard input; what is wrong with it goes to standard output."""
    model = sys.stdin.buffer.read()
    bound(MEMORY + COPIES * len(model))
    try:
        _run_once(model)
    except MemoryError:
        sys.exit(_say("needs too much memory"))
    except ModelError as error:
        sys.exit(_say(str(error)))


def _say(cause: str) -> int:
    sys.stdout.buffer.write(cause.encode(errors="replace"))
    return 1


def _run_once(model: bytes) -> None:
    from mien.core.contract import Classifier  # here, under the bound of memory
    from mien.core.session import open_session

    session = open_session(model)
    inputs, outputs = session.get_inputs(), [output.name for output in session.get_outputs()]
    metadata = session.get_modelmeta().custom_metadata_map
    if "size" in metadata and len(inputs) == 1 and metadata.get("output", "logits") in outputs:
        Classifier(model)
        return
    # A model with inputs of its own kind: zeros may not suit it, so only the deadline and the memory count.
    with contextlib.suppress(Exception):
        session.run(None, {given.name: _zeros(given.shape, given.type) for given in inputs})


def _zeros(shape: list[object], kind: str) -> np.ndarray:
    sides = [side if isinstance(side, int) else 1 for side in shape]
    types = {"tensor(int64)": np.int64, "tensor(bool)": np.bool_, "tensor(float16)": np.float16}
    if math.prod(sides) > 1 << 28:
        raise MemoryError
    return np.zeros(sides, types.get(kind, np.float32))


def bound(most: int) -> None:
    """Let this process take so many bytes at most, where the system can; more is a MemoryError."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
