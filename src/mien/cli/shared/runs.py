"""METHOD:RUN on the command line to a trained network, and to what tells it apart from others."""

from pathlib import Path
from typing import Any

import click

from mien.cli.make.train import METHODS, method

RUN_HELP = f"METHOD:RUN, the folder of a finished training run; METHOD is one of {', '.join(METHODS)}."


def open_run(text: str) -> tuple[Any, Any]:
    """The network of METHOD:RUN, in evaluation mode, and its mien.methods.synfer.judge.networks.Identity.

    A usage error for an unknown method; InputError when the run is not finished.
    """
    name, colon, run = text.partition(":")
    if not colon or not run or name not in METHODS:
        raise click.UsageError(f"{text!r} names no trained network; expected {RUN_HELP}")
    network, _ = method(name).load_run(Path(run))
    from mien.methods.synfer.judge.networks import Identity

    return network, Identity.of(name, Path(run))
