"""Terminal output of every command: tables, names, messages and usage errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from mien.errors import InputError, ModelError
from mien.text import one_line, printable


def new_table(**options: Any) -> Table:
    """Return an empty table without lines, with title and caption on the left.   options: of rich.table.Table."""
    return Table(box=None, pad_edge=False, header_style="bold", title_justify="left", caption_justify="left", **options)


def shortened(name: str, longest: int) -> str:
    """Return the end of a name, after an ellipsis if it was longer: the end identifies the file.

    Control characters and Rich markup are escaped.
    """
    name = one_line(name)
    return escape(name if len(name) <= longest else "…" + name[1 - longest :])


def cell(text: str) -> str:
    """Return text escaped for a cell of a Rich table."""
    return escape(one_line(text))


def say(message: str) -> None:
    """Print a message to standard error, with control characters escaped."""
    click.echo(printable(message), err=True)


@contextmanager
def usage_errors() -> Iterator[None]:
    """Report InputError and ModelError as wrong usage: exit code 2, with a hint at --help."""
    try:
        yield
    except (InputError, ModelError) as error:
        raise click.UsageError(str(error)) from error
