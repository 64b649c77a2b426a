"""Options that several commands share, as decorators."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, get_args

import click

from mien.core.detect import Rotations

Command = Callable[..., Any]


def to_files(endings: Iterable[str], more: str = "") -> Callable[[Command], Command]:
    """-o, any number of files, which the command takes as `outputs`.   more: a sentence of the help, with its stop."""
    told = [f"File to write; its ending decides: {' '.join(endings)}.", more, "May be given several times."]
    return click.option(
        "-o",
        "--output",
        "outputs",
        type=click.Path(path_type=Path, dir_okay=False),
        multiple=True,
        help=" ".join(filter(None, told)),
    )


def safe(command: Command) -> Command:
    """--safe-csv, which the command takes as `safe_csv`."""
    return click.option(
        "--safe-csv",
        is_flag=True,
        help="In .csv, put an apostrophe before text that begins with = + - @: spreadsheets run it as a formula.",
    )(command)


def detecting(command: Command) -> Command:
    """How faces are looked for: threshold and max_side."""
    threshold = click.option(
        "--threshold", default=0.7, show_default=True, help="Lowest detector score that counts as a face."
    )
    side = click.option(
        "--max-side", default=640, show_default=True, help="Reduce longer pictures to this before detection."
    )
    return threshold(side(command))


def finding(command: Command) -> Command:
    """As `detecting`, and what else may be a face: rotations and assume_crop."""
    rotations = click.option(
        "--rotations",
        type=click.Choice(get_args(Rotations)),
        default="auto",
        show_default=True,
        help="Look at the picture in four turns: when no face is right as it stands, always (also for one that lies "
        "beside others), or never.",
    )
    crop = click.option("--assume-crop", is_flag=True, help="Every picture is one face already: detect nothing.")
    return detecting(rotations(crop(command)))
