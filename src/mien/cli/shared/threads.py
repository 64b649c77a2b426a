"""Work on many items at a time, whose results come in the order of the items."""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.progress import track

Item = TypeVar("Item")
Result = TypeVar("Result")


def threads_option(told: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """--threads of a command that works on its items with `in_threads`.   told: the help."""
    return click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True, help=told)


def in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], threads: int, doing: str = "", total: int | None = None
) -> Iterator[Result]:
    """work(item) of each, in order, so many at a time; an error of one is raised when it is its turn.

    Items are drawn as they are needed, in the caller's thread, at most two for each thread ahead of the results: who
    stops early waits only for those that are being worked on.
    doing: what a progress bar says; left out, there is none.   total: how many items there are.
    """
    quiet = not doing or not sys.stderr.isatty()
    results = _results(work, items, threads)
    yield from track(results, doing, total=total, console=Console(stderr=True), disable=quiet, transient=True)


def _results(work: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Iterator[Result]:
    begun: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                begun.append(pool.submit(work, item))
                if len(begun) == 2 * threads:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for future in begun:
                future.cancel()
