"""The progress bar of long steps, on a terminal alone."""

import sys
from collections.abc import Iterable
from typing import TypeVar

from rich.console import Console
from rich.progress import track

Item = TypeVar("Item")


def shown(items: Iterable[Item], doing: str, total: int | None = None, *, quiet: bool = False) -> Iterable[Item]:
    """Yield the items; where standard error is a terminal, a bar with the time left says how far it is.

    doing: what the bar says, such as "epoch 3".   total: how many items there are.
    quiet: show no bar on a terminal either.
    """
    return track(
        items,
        doing,
        total=total,
        console=Console(stderr=True),
        disable=quiet or not sys.stderr.isatty(),
        transient=True,
    )
