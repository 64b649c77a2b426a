"""KIND:PATH on the command line."""

from collections.abc import Sequence

import click

from mien.datasets import Sample
from mien.datasets.kinds import DATA_HELP, data_name, opener
from mien.errors import InputError

__all__ = ["DATA_HELP", "data_name", "open_data"]


def open_data(text: str, split: str | None = None) -> Sequence[Sample]:
    """Open the data set that KIND:PATH names; raise a usage error for an unknown kind, or for two splits."""
    try:
        open_it = opener(text, split)
    except InputError as error:
        raise click.UsageError(str(error)) from error
    return open_it()
