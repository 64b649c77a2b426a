"""Files that take their place whole: nobody sees half a file, and a run that fails costs none that was there."""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Yield a place beside a file to write to, which takes the file's place once all is written; see put_in_place.

    So neither a full disk nor a stop costs the file that was there.
    """
    place = beside(file)
    try:
        yield place
        put_in_place(place, file)
    finally:
        place.unlink(missing_ok=True)


def beside(file: Path) -> Path:
    """Return a place to write a file to before it is put in place, with a name of its own in every run."""
    return resolved(file).with_name(f".mien-{secrets.token_hex(6)}{file.suffix}")


def put_in_place(part: Path, file: Path) -> Path:
    """Let a finished file take the place of another, whether or not that is there; return the place.

    The permissions of a file that was there are kept, and where it is a symbolic link, what it points to is replaced.
    """
    target = resolved(file)
    with suppress(OSError):  # it may not be there, or belong to somebody else
        part.chmod(stat.S_IMODE(target.stat().st_mode))
    part.replace(target)
    return file


def resolved(file: Path) -> Path:
    """Return the target of a symbolic link; any other path unchanged."""
    return Path(os.path.realpath(file)) if file.is_symlink() else file


def lock(file: Path) -> IO[bytes] | None:
    """Open a file, made where there is none, whose lock nobody else holds; None where another process holds it.

    The lock is the system's and ends with the last process that has the file open. Windows has none of the kind.
    """
    opened = file.open("ab")
    try:
        import fcntl
    except ImportError:
        return opened
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        opened.close()
        return None
    except OSError:
        opened.close()
        raise
    return opened
