"""`mien weights`: list the installed models and verify them."""

import click

from mien.cli.shared.terminal import new_table, show
from mien.core.zoo import MODELS, load
from mien.errors import ModelError


@click.command()
@click.pass_context
def weights(context: click.Context) -> None:
    """List the installed models and verify each SHA-256. The exit code is 1 if one differs."""
    lines = new_table("model", "purpose", "size", "licence", "check", right=("size",))
    damaged = False
    for name, entry in MODELS.items():
        try:
            size, check = f"{len(load(name)) / 1e6:.1f} MB", "ok"
        except (ModelError, OSError) as error:
            size, check, damaged = "-", f"[red]{error}[/]", True
        lines.add_row(name, entry.purpose, size, entry.licence, check)
    show(lines)
    if damaged:
        context.exit(1)
