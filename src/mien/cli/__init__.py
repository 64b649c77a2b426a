"""The command line: `mien`. A subcommand is imported when it is called."""

import errno
import os
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any

import click

import mien
from mien.cli.shared.groups import Group
from mien.errors import InputWarning, MienError
from mien.text import printable

# The sections of `mien --help`: each command's module and its line.
SECTIONS = {
    "Read": {
        "analyze": ("mien.cli.read.analyze", "Read the faces in photographs and clips."),
        "explain": ("mien.cli.read.explain", "Explain in words why each face shows its expression."),
        "scan": ("mien.cli.read.scan", "Ask a vision-language model about the faces in photographs."),
        "merge": ("mien.cli.read.merge", "Make one table of the parts of a study."),
        "timeline": ("mien.cli.read.timeline", "Derive baselines, events and summaries from tables of clips."),
    },
    "Make": {
        "generate": ("mien.cli.make.generate", "Draw faces with a given expression, caption and action units."),
        "annotate": ("mien.cli.read.annotate", "Label generated faces by the votes of several models."),
        "pseudo-label": (
            "mien.cli.read.pseudo_label",
            "Label faces with a teacher: landmarks, action units, head pose.",
        ),
        "pairs": ("mien.cli.make.pairs", "Check pictures with captions before training on them."),
        "cot": ("mien.cli.read.cot", "Write a chain of thought for each labelled face."),
    },
    "Train and measure": {
        "train": ("mien.cli.make.train", "Train a method."),
        "export": ("mien.cli.make.export", "Export a finished training run to ONNX."),
        "evaluate": ("mien.cli.measure.evaluate", "Measure a model on labelled faces."),
        "compare": ("mien.cli.measure.compare", "Compare results, with intervals of the differences."),
        "ablate": ("mien.cli.measure.ablate", "Train and compare the arms of a method's ablation."),
        "attention": ("mien.cli.measure.attention", "Measure where a trained network looks and whether it matters."),
        "bench": ("mien.cli.measure.bench", "Measure vision-language models on groups of people."),
        "downstream": ("mien.cli.measure.downstream", "Measure what generated faces are worth for training."),
        "judge": ("mien.cli.measure.judge", "Measure generated faces with networks that did not guide them."),
    },
    "Serve": {
        "serve": ("mien.cli.serve", "Read pictures over HTTP, with a web page."),
        "weights": ("mien.cli.weights", "List the installed models and verify them."),
    },
}
COMMANDS = {name: entry for section in SECTIONS.values() for name, entry in section.items()}


class _Commands(Group):
    """Lists its subcommands without importing them, so that `mien --help` and `mien analyze` stay fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(module), cmd_name.replace("-", "_"))
        return command

    def main(self, *args: Any, standalone_mode: bool = True, **options: Any) -> Any:
        """Run as click does, but make errors safe to print and add a hint about a path of the wrong kind."""
        run: Callable[..., Any] = super().main
        if not standalone_mode:
            return run(*args, standalone_mode=False, **options)
        try:
            code = run(*args, standalone_mode=False, **options)
        except click.ClickException as error:
            message = error.format_message()
            message = printable(message + _hint(message))
            wrong = isinstance(error, click.UsageError)
            (click.UsageError(message, getattr(error, "ctx", None)) if wrong else click.ClickException(message)).show()
            code = error.exit_code
        except click.Abort:
            click.echo("Aborted!", err=True)
            code = 1
        sys.exit(code if isinstance(code, int) else 0)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        widest = max(map(len, COMMANDS))
        for heading, commands in SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(widest), line) for name, (_, line) in commands.items()])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(mien.__version__, prog_name="mien")
def commands() -> None:
    """Read facial expressions in photographs and clips, and show why."""


def main() -> None:
    """Run the command line. Exit codes: 0 for success, 1 if an input failed, 2 for wrong usage."""
    _say_warnings()
    try:
        try:
            commands(prog_name="mien")
        finally:
            sys.stdout.flush()
    except MienError as error:
        _fail(f"{error}{_hint(str(error))}")
    except OSError as error:
        if error.errno == errno.EPIPE:  # closed pipe, as in `mien analyze study/ | head`
            _fail("")
        _fail(f"{error.filename or 'standard output'}: {error.strerror or error}")


def _say_warnings() -> None:
    """Print warnings about inputs as one line each, without the place in mien's code."""
    usual = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
        if issubclass(category, InputWarning):
            click.echo(printable(f"mien: {message}"), err=True)
        else:
            usual(message, category, *rest, **more)

    warnings.showwarning = show


def _fail(message: str) -> None:
    """Exit with code 1; cause no second error on an output that is full or closed."""
    if message:
        click.echo(printable(f"mien: {message}"), err=True)
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(1)


def _hint(message: str) -> str:
    """Say what kind of path an error is about, if another command takes it."""
    from mien.cli.shared.kinds import hint

    return hint(message, sys.argv[1] if len(sys.argv) > 1 else "", sys.argv[2:])
