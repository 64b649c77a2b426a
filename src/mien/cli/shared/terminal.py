"""What every command shows on a terminal in one way: its tables, names, messages, and errors of usage."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from mien.errors import InputError, ModelError
from mien.text import one_line, printable


def new_table(**options: Any) -> Table:
    """An empty table without lines, its titles and captions on the left.   options: of rich.table.Table."""
    looks: dict[str, Any] = {"box": None, "pad_edge": False, "header_style": "bold"}
    return Table(**looks, title_justify="left", caption_justify="left", **options)


def shortened(name: str, longest: int) -> str:
    """The end of a name, behind an ellipsis when there is more; the end says which file it is.

    Nothing in it changes the terminal, nor the looks of a Rich table.
    """
    name = one_line(name)
    return escape(name if len(name) <= longest else "…" + name[1 - longest :])


def cell(text: str) -> str:
    """Any text as the cell of a Rich table."""
    return escape(one_line(text))


def say(message: str) -> None:
    """Print a message to standard error, whatever names and answers of others are in it."""
    click.echo(printable(message), err=True)


@contextmanager
def usage_errors() -> Iterator[None]:
    """Report wrong input or a wrong model as wrong usage of the command: exit code 2, with a hint at --help."""
    try:
        yield
    except (InputError, ModelError) as error:
        raise click.UsageError(str(error)) from error
