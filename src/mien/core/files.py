"""Read a file that somebody else wrote: regular files only, and never more of one than is allowed."""

import os
import stat
from os import PathLike
from pathlib import Path

from mien.errors import InputError

# Without it, opening a FIFO waits for somebody to write to it. Windows has neither.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def read_regular(path: str | PathLike[str], most: int) -> bytes:
    """The bytes of a regular file, at most `most`.

    Raises InputError, before anything is read, when it is missing, too large, or a folder, pipe, socket or device.
    """
    try:
        _check(path, Path(path).stat(), most)  # a device may act on being opened
        with os.fdopen(os.open(path, _FLAGS), "rb") as file:
            _check(path, os.fstat(file.fileno()), most)
            data = file.read(most + 1)  # a file may grow, and those under /proc claim no bytes at all
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file", "missing") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})", "unreadable") from error
    except InputError:
        raise
    except ValueError as error:  # a name with a NUL in it
        raise InputError(f"{path}: cannot be read ({error})", "unreadable") from error
    if len(data) > most:
        raise _too_large(path, len(data), most)
    return data


def _check(path: str | PathLike[str], status: os.stat_result, most: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise InputError(f"{path}: cannot be read ({kind}, not a regular file)", "unreadable")
    if status.st_size > most:
        raise _too_large(path, status.st_size, most)


def _too_large(path: str | PathLike[str], size: int, most: int) -> InputError:
    return InputError(f"{path}: {size / 1e6:,.4g} MB; at most {most / 1e6:,.4g} MB are read", "too_large")
