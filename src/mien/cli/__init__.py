"""The mien command; a subcommand is imported when it is called."""

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

# Each command's module and its line in `mien --help`.
COMMANDS = {
    "ablate": ("mien.cli.measure.ablate", "Train the arms of a method's ablation and answer its questions."),
    "analyze": ("mien.cli.read.analyze", "Read the faces in pictures."),
    "annotate": ("mien.cli.read.annotate", "Label faces by vote, and say which labels to keep."),
    "attention": (
        "mien.cli.measure.attention",
        "Measure where a trained network looks, and whether that matters.",
    ),
    "bench": ("mien.cli.measure.bench", "Measure who reads several people in one picture."),
    "compare": ("mien.cli.measure.compare", "Say which differences between results are separable."),
    "cot": ("mien.cli.read.cot", "Write a chain of thought for each labelled face."),
    "downstream": ("mien.cli.measure.downstream", "Measure what generated faces are worth for training."),
    "evaluate": ("mien.cli.measure.evaluate", "Measure a model on labelled faces."),
    "explain": ("mien.cli.read.explain", "Write why each face in pictures shows its expression."),
    "export": ("mien.cli.make.export", "Turn a finished training run into an ONNX file."),
    "generate": ("mien.cli.make.generate", "Draw faces that show an expression, words and action units."),
    "judge": ("mien.cli.measure.judge", "Measure generated faces with networks that did not guide them."),
    "pseudo-label": ("mien.cli.read.pseudo_label", "Label faces with a teacher: landmarks, action units, head pose."),
    "scan": ("mien.cli.read.scan", "Ask a model about the faces in pictures."),
    "serve": ("mien.cli.serve", "Read pictures over HTTP, with a web page."),
    "timeline": ("mien.cli.read.timeline", "Derive baseline, events and a summary from tables of clips."),
    "train": ("mien.cli.make.train", "Train a method."),
    "weights": ("mien.cli.weights", "List the models that are installed and check them."),
}


class _Commands(Group):
    """Knows its subcommands by name, so that `mien --help` and `mien analyze` import no more than they need."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(module), cmd_name.replace("-", "_"))
        return command

    def main(self, *args: Any, standalone_mode: bool = True, **options: Any) -> Any:
        """As of any group, but nothing in an error changes the terminal, and it says what a wrong path is."""
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
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(mien.__version__, prog_name="mien")
def commands() -> None:
    """Read facial expressions in photographs and show why."""


def main() -> None:
    """Run the command line: exit code 0 when all went well, 1 when some input failed, 2 for wrong usage."""
    _say_warnings()
    try:
        try:
            commands(prog_name="mien")
        finally:
            sys.stdout.flush()
    except MienError as error:
        _fail(f"{error}{_hint(str(error))}")
    except OSError as error:
        if error.errno == errno.EPIPE:  # nobody reads on, as with `mien analyze study/ | head`
            _fail("")
        _fail(f"{error.filename or 'standard output'}: {error.strerror or error}")


def _say_warnings() -> None:
    """Show what was left of an input as a line like any other, without the place in mien's code."""
    usual = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
        if issubclass(category, InputWarning):
            click.echo(printable(f"mien: {message}"), err=True)
        else:
            usual(message, category, *rest, **more)

    warnings.showwarning = show


def _fail(message: str) -> None:
    """End with exit code 1, and no second error from an output that is full or closed."""
    if message:
        click.echo(printable(f"mien: {message}"), err=True)
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(1)


def _hint(message: str) -> str:
    """What the path is that an error is about, where it is a thing for another command."""
    from mien.cli.shared.kinds import hint

    return hint(message, sys.argv[1] if len(sys.argv) > 1 else "", sys.argv[2:])
