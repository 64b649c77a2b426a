"""Write docs/cli.md from the --help of every command: `python docs/write_cli.py`."""

from collections.abc import Iterator
from pathlib import Path

import click

from mien.cli import commands

TARGET = Path(__file__).with_name("cli.md")
HEAD = """# Command line

Written from `--help` by `python docs/write_cli.py`.

## Shell completion

| shell | once |
|---|---|
| bash | `echo 'eval "$(_MIEN_COMPLETE=bash_source mien)"' >> ~/.bashrc` |
| zsh | `echo 'eval "$(_MIEN_COMPLETE=zsh_source mien)"' >> ~/.zshrc` |
| fish | `_MIEN_COMPLETE=fish_source mien > ~/.config/fish/completions/mien.fish` |

## What `--model` takes

Each command has one model at its centre, which `--model` names.

| command | model |
|---|---|
| `analyze`, `serve` | reader or classifier of faces: name of `mien weights`, ONNX file, checkpoint's folder, `hf:ID` |
| `explain` | writer: a folder of `mien export expllm` |
| `scan` | vision-language model: its name on the server, or a checkpoint's folder |
| `cot --engine llm` | language model: its name on the server |
| `generate` | generator: a name, an ONNX file, or a run of synfer-full |
| `pseudo-label` | MediaPipe's file of the teacher |
"""


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
