"""Work on many items at a time, with a progress bar."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import click

from mien.core import batch
from mien.progress import shown

Item = TypeVar("Item")
Result = TypeVar("Result")


def jobs_option(help: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """--jobs of a command that works on its items with `in_threads`; --threads is its name of before."""
    return click.option(
        "--jobs", "--threads", "jobs", type=click.IntRange(min=1), default=2, show_default=True, help=help
    )


def in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], jobs: int, doing: str = "", total: int | None = None
) -> Iterator[Result]:
    """As mien.core.batch.in_threads, with a progress bar on a terminal.

    doing: what the bar says; left out, there is none.   total: how many items there are.
    """
    yield from shown(batch.in_threads(work, items, jobs), doing, total, quiet=not doing)
