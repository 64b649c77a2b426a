"""Work on many items at a time, with a progress bar."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import click

from mien.core import batch
from mien.progress import shown

Item = TypeVar("Item")
Result = TypeVar("Result")


def jobs_option(help: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add --jobs; --threads is its earlier name."""
    return click.option(
        "--jobs", "--threads", "jobs", type=click.IntRange(min=1), default=2, show_default=True, help=help
    )


def in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], jobs: int, doing: str = "", total: int | None = None
) -> Iterator[Result]:
    """Call mien.core.batch.in_threads with a progress bar on a terminal.

    doing: text of the bar; none by default.   total: number of items.
    """
    yield from shown(batch.in_threads(work, items, jobs), doing, total, quiet=not doing)
