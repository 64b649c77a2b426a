"""Options and output of the commands that measure."""

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import click
from rich.console import RenderableType

from mien.cli.shared.terminal import say, show
from mien.evaluation.machine import conditions
from mien.evaluation.result import Result
from mien.files import replacing


def resampled(command: Callable[..., None]) -> Callable[..., None]:
    """Add --resamples and --seed of the bootstrap."""
    resamples = click.option(
        "--resamples",
        type=click.IntRange(min=10),
        default=2000,
        show_default=True,
        help="Bootstrap resamples for the intervals.",
    )
    return resamples(
        click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the bootstrap.")(
            command
        )
    )


def to_file(command: Callable[..., None]) -> Callable[..., None]:
    """Add -o."""
    place = click.Path(path_type=Path, dir_okay=False)
    return click.option("-o", "--output", type=place, help="result.json to write.")(command)


def check(output: Path | None, figures: bool) -> None:
    """Reject unwritable outputs before measuring."""
    if figures and output is None:
        raise click.UsageError("--figures puts its pictures beside the result; give -o result.json too")
    if output is not None and not output.parent.is_dir():
        raise click.UsageError(f"{output}: the folder {output.parent} does not exist")


def measured(result: Result) -> Result:
    """Return the result with its command and conditions."""
    return result | {"command": f"mien {shlex.join(sys.argv[1:])}"} | conditions()


def publish(result: Result, summary: RenderableType, output: Path | None, width: int) -> None:
    """Print the summary on a terminal; in a pipe print one line of JSON, and the summary to standard error.

    output: write the whole result to this file, and nothing to a pipe.   width: columns of the summary in a pipe.
    """
    if sys.stdout.isatty():
        show(summary)
    else:
        if output is None:
            click.echo(json.dumps(result, allow_nan=False))
        show(summary, to_stderr=True, width=width)
    if output is not None:
        with replacing(output) as beside:
            beside.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        say(f"wrote {output}")


def interval(values: Result, key: str = "value", *, signed: bool = False) -> str:
    """A fraction and its interval in percent, "88.2 [87.0, 89.3]"; "-" where it has no value."""
    if values[key] is None:
        return "-"
    sign = "+" if signed else ""
    value, low, high = (f"{100 * values[k]:{sign}.1f}".replace("100.0", "100") for k in (key, "low", "high"))
    return f"{value} [{low}, {high}]"
