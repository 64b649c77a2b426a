"""Write docs/cli.md from the --help of every command: `python docs/write_cli.py`."""

from collections.abc import Iterator
from pathlib import Path

import click

from mien.cli import commands

TARGET = Path(__file__).with_name("cli.md")
HEAD = "# Command line\n\nWritten from `--help` by `python docs/write_cli.py`.\n"


def text() -> str:
    """The whole page."""
    context = click.Context(
        commands, info_name="mien", max_content_width=100, terminal_width=100, **commands.context_settings
    )
    return "\n".join([HEAD, *sections(commands, context)])


def sections(command: click.Command, context: click.Context) -> Iterator[str]:
    """A section for a command, then one for each of its subcommands."""
    yield f"## `{context.command_path}`\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None:
                yield from sections(
                    child, click.Context(child, context, name, max_content_width=100, terminal_width=100)
                )


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
