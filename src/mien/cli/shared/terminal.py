"""Terminal output of every command: tables, names, messages and usage errors."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

import click
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table

from mien.errors import InputError, ModelError
from mien.text import one_line, printable


def new_table(*columns: str, right: Collection[str] = (), no_wrap: bool = False, title: str | None = None) -> Table:
    """Return an empty table without lines, with title and caption on the left.

    columns: headings.   right: headings of the columns that are aligned right.   no_wrap: keep cells of these columns
    on one line.
    """
    table = Table(
        box=None, pad_edge=False, header_style="bold", title_justify="left", caption_justify="left", title=title
    )
    for name in columns:
        if name in right:
            table.add_column(name, justify="right", overflow="fold", no_wrap=no_wrap)
        else:
            table.add_column(name, overflow="fold")
    return table


def show(lines: RenderableType, *, to_stderr: bool = False, width: int | None = None) -> None:
    """Print a table, or several.   width: in columns; by default that of the terminal."""
    Console(stderr=to_stderr, width=width).print(lines)


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
