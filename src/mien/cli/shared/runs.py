"""Methods on the command line: one subcommand each, and METHOD:RUN."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mien.cli.shared.groups import Group
from mien.errors import InputError
from mien.methods.registry import Answer, Method, method, methods, names
from mien.text import did_you_mean

if TYPE_CHECKING:
    from mien.training.run import Identity, Trained

RUN_HELP = "METHOD:RUN, the folder of a finished training run of one of the methods of `mien train`."


def one_command_each(
    kind: str, lines: Callable[[], Mapping[str, str]], command: Callable[[str], click.Command]
) -> type[click.Group]:
    """Return a click group with one subcommand per name, created when it is called, because its settings need torch.

    kind: heading of the list in --help.   lines: the names with their lines in that list.
    """

    class Commands(Group):
        def list_commands(self, ctx: click.Context) -> list[str]:
            return list(lines())

        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
            return command(cmd_name) if cmd_name in lines() else None

        def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
            with formatter.section(kind):
                formatter.write_dl(list(lines().items()))

    return Commands


class MethodName(click.ParamType):  # type: ignore[type-arg]
    """A method that can do what a command asks for; looked up when the command runs, so that added methods count.

    can: whether a method's record can.
    """

    name = "METHOD"

    def __init__(self, can: Callable[[Method], bool]) -> None:
        self._can = can

    def names(self) -> list[str]:
        """Return the names of the methods that there are now."""
        return [record.name for record in methods() if self._can(record)]

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name as it is."""
        return str(click.Choice(self.names()).convert(value, param, ctx))


class MethodCommand(click.Command):
    """A command with a MethodName, whose help ends with the names that there are when it is shown."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the names."""
        names = next(each.type.names() for each in self.params if isinstance(each.type, MethodName))
        self.epilog = f"METHOD is one of {', '.join(names)}."
        super().format_epilog(ctx, formatter)


def open_run(text: str, needs: Answer) -> "tuple[Trained[Any, Any, Any], Identity]":
    """Return the trained network of METHOD:RUN and its identity.

    needs: what it must answer about faces. Raise a usage error for an unknown method, and InputError for a method
    without that answer or a run that is not finished.
    """
    name, colon, folder = text.partition(":")
    if not colon or not folder or name not in names():
        known = ", ".join(names()) + did_you_mean(name, names())
        raise click.UsageError(f"{text!r} names no trained network; expected {RUN_HELP} They are {known}")
    record = method(name)
    if needs not in record.answers:
        able = ", ".join(other.name for other in methods() if needs in other.answers)
        raise InputError(f"a network of {name} does not answer {needs} of faces; one of {able} does")
    trained = record.load(Path(folder))
    return trained, trained.run.identity(name)
