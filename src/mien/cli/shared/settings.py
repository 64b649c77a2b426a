"""Flags for the fields of a settings dataclass, and the settings that the flags given make."""

import typing
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

import click
from click.core import ParameterSource

SettingsT = TypeVar("SettingsT")
ValueT = TypeVar("ValueT")


class Numbers(click.ParamType):  # type: ignore[type-arg]
    """Whole numbers, separated by commas."""

    name = "N,N,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """ "32,64" to (32, 64)."""
        try:
            return tuple(int(part) for part in value.split(","))
        except ValueError:
            return self.fail(f"{value!r} is not a list of whole numbers such as 32,64", param, ctx)


class Names(click.ParamType):  # type: ignore[type-arg]
    """Names or files, separated by commas."""

    name = "NAME,NAME,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """ "reader,vtff.onnx" to ("reader", "vtff.onnx")."""
        return tuple(name for part in value.split(",") if (name := part.strip()))


def with_settings(
    presets: Mapping[str, Any], base: Any, *, without: tuple[str, ...] = ()
) -> Callable[[click.Command], click.Command]:
    """Add --preset and a flag for each field of a method's settings; `given_settings` reads them.

    base: the defaults.   without: fields that get no flag.
    """

    def add(command: click.Command) -> click.Command:
        hints = typing.get_type_hints(type(base))
        for field in fields(base):
            if field.name not in without:
                command = _option(field.name, hints[field.name], getattr(base, field.name))(command)
        return click.option(
            "--preset", type=click.Choice(list(presets)), help="Settings to start from; explicit flags override it."
        )(command)

    return add


def given_settings(
    presets: Mapping[str, SettingsT], preset: str | None, flags: Mapping[str, Any], base: SettingsT
) -> SettingsT:
    """Return the settings of a preset, or base, changed by the flags that were given on the command line."""
    return replace(base if preset is None else presets[preset], **explicit(flags))  # type: ignore[type-var]


def explicit(flags: Mapping[str, ValueT]) -> dict[str, ValueT]:
    """Return the flags that were given on the command line, without those that have their default."""
    source = click.get_current_context().get_parameter_source
    return {name: value for name, value in flags.items() if source(name) is not ParameterSource.DEFAULT}


def _option(name: str, hint: Any, default: Any) -> Callable[[click.Command], click.Command]:
    flag = f"--{name.replace('_', '-')}"
    if hint is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", name, default=default, show_default=True)
    if typing.get_origin(hint) is tuple:
        items = Names() if str in typing.get_args(hint) else Numbers()
        return click.option(flag, name, type=items, default=",".join(map(str, default)), show_default=bool(default))
    return click.option(flag, name, type=hint, default=default, show_default=True)
