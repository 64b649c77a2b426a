"""Files that take their place whole: nobody sees half a file, and a run that fails costs none that was there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Yield a place beside a file to write to, which takes the file's place once all is written.

    So neither a full disk nor a stop costs the file that was there.
    """
    beside = file.with_name(f".{file.stem}.part{file.suffix}")
    try:
        yield beside
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)


def put_in_place(part: Path, file: Path) -> Path:
    """Let a finished file take the place of another, whether or not that is there; return the place."""
    return part.replace(file)
