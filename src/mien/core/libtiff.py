"""Keep libtiff from writing to standard error, as it does of every damaged file; Pillow raises its errors as well."""

import ctypes
from functools import cache
from pathlib import Path

_MAPS = Path("/proc/self/maps")


@cache
def silence() -> None:
    """Take away the error handler of every libtiff in this process; on Linux, for elsewhere none can be looked up."""
    if not _MAPS.exists():
        return
    lines = _MAPS.read_text(errors="surrogateescape").splitlines()
    for path in {line.split(maxsplit=5)[-1] for line in lines if "/libtiff" in line}:
        ctypes.CDLL(path).TIFFSetErrorHandler(None)
