"""A process that decodes pictures: `python -m mien.serve.decoder`, as mien.serve.decoders starts it.

It reads from standard input and writes to standard output until the input ends: the length and bytes of a file in; a
line of JSON that says how many pixels the file claims to have out; a byte in, which lets it decode them; a line of JSON
with the shape or the error out, and the pixels. It imports little, so that it starts fast.
"""

import io
import json
import signal
import sys

import numpy as np
from PIL import Image

from mien.core.images import FORMATS, read_image
from mien.errors import InputError


def _claimed(data: bytes) -> int:
    """The pixels that a file's header claims; 0 when read_image will refuse it."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            return image.width * image.height
    except Exception:  # Pillow's parsers raise whatever they trip over
        return 0


def _serve() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which finishes what is running
    source, target = sys.stdin.buffer, sys.stdout.buffer
    while length := source.read(8):
        data = source.read(int.from_bytes(length, "little"))
        target.write(json.dumps({"pixels": _claimed(data)}).encode() + b"\n")
        target.flush()
        source.read(1)
        try:
            image = read_image(data)
        except InputError as error:
            target.write(json.dumps({"error": str(error), "status": error.status}).encode() + b"\n")
        else:
            target.write(json.dumps({"shape": image.shape}).encode() + b"\n")
            target.write(np.ascontiguousarray(image).data)
        target.flush()


if __name__ == "__main__":
    _serve()
