"""mien merge: a folder of parts to one file."""

from pathlib import Path

import click

from mien.batch.table import merge as merged
from mien.cli.shared.terminal import say, usage_errors


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help=".parquet or .csv.",
)
@click.option("--partial", is_flag=True, help="Take the finished parts of a study that is not finished.")
def merge(folder: Path, output: Path, partial: bool) -> None:
    """Make one table of the parts that `mien analyze -o FOLDER` wrote."""
    with usage_errors():
        say(f"wrote {merged(folder, output, partial=partial)}")
