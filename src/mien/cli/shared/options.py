"""Options of several commands, as decorators."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, get_args

import click

from mien.core.detect import Rotations
from mien.core.zoo import DEFAULT

Command = Callable[..., Any]


def to_files(endings: Iterable[str], more: str = "", folders: bool = False) -> Callable[[Command], Command]:
    """Add -o, repeatable, as the argument `outputs`.   more: sentences for the help.   folders: allow folders too."""
    texts = [f"File to write; its ending decides: {' '.join(endings)}.", more, "Repeatable."]
    return click.option(
        "-o",
        "--output",
        "outputs",
        type=click.Path(path_type=Path, dir_okay=folders),
        multiple=True,
        help=" ".join(filter(None, texts)),
    )


def safe(command: Command) -> Command:
    """Add --safe-csv, as the argument `safe_csv`."""
    return click.option(
        "--safe-csv",
        is_flag=True,
        help="In .csv, put an apostrophe before text that begins with = + - @: spreadsheets run it as a formula.",
    )(command)


def with_model(command: Command) -> Command:
    """Add --model, which reads the faces."""
    return click.option(
        "--model",
        default=DEFAULT,
        metavar="NAME|FILE.onnx|FOLDER|hf:ID",
        show_default=True,
        help="Model that reads the faces.",
    )(command)


def detecting(command: Command) -> Command:
    """Add the options of face detection: threshold and max_side."""
    threshold = click.option(
        "--threshold", default=0.7, show_default=True, help="Lowest detector score that counts as a face."
    )
    side = click.option(
        "--max-side", default=640, show_default=True, help="Reduce longer pictures to this before detection."
    )
    return threshold(side(command))


def finding(command: Command) -> Command:
    """Add the options of `detecting`, rotations and assume_crop."""
    rotations = click.option(
        "--rotations",
        type=click.Choice(get_args(Rotations)),
        default="auto",
        show_default=True,
        help="Also search the picture rotated: if no upright face is detected (auto), always (detects faces lying next "
        "to upright ones), or never.",
    )
    crop = click.option("--assume-crop", is_flag=True, help="Treat each picture as one face: do not detect.")
    return detecting(rotations(crop(command)))
