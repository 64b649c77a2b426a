"""Options for the fields of a settings dataclass, and settings from the given options."""

import re
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from inspect import cleandoc
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from mien.cli.shared.groups import SectionOption

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
        hints, texts = typing.get_type_hints(type(base)), field_texts(type(base))
        # In the order of the docstrings: what is the method's own comes first.
        for field in sorted(fields(base), key=lambda field: [*texts, field.name].index(field.name)):
            if field.name not in without:
                about = texts.get(field.name, ("Settings", ""))
                command = _option(field.name, hints[field.name], getattr(base, field.name), *about)(command)
        return click.option(
            "--preset", type=click.Choice(list(presets)), help="Settings to start from; explicit flags override it."
        )(command)

    return add


def given_settings(
    presets: Mapping[str, SettingsT], preset: str | None, flags: Mapping[str, Any], base: SettingsT
) -> SettingsT:
    """Return the settings of a preset, or base, changed by the explicit options."""
    return replace(base if preset is None else presets[preset], **explicit(flags))  # type: ignore[type-var]


def explicit(flags: Mapping[str, ValueT]) -> dict[str, ValueT]:
    """Return the options that were given explicitly."""
    source = click.get_current_context().get_parameter_source
    return {name: value for name, value in flags.items() if source(name) is not ParameterSource.DEFAULT}


def field_texts(settings: type) -> dict[str, tuple[str, str]]:
    """Return a heading and a sentence for each field of a settings dataclass.

    Both are in the docstrings of the class and its bases: the heading is the first sentence, and a field's sentence is
    the line `name: text`, which may go on in the lines below.
    """
    texts: dict[str, tuple[str, str]] = {}
    for base in settings.__mro__[:-1]:
        heading, *lines = cleandoc(base.__doc__ or "").splitlines() or [""]
        heading = re.split(r"[.:;] |[.:;]$", heading)[0]
        texts |= {name: (heading, text) for name, text in _entries(lines) if name not in texts}
    return texts


def _entries(lines: list[str]) -> Iterator[tuple[str, str]]:
    for name, text in re.findall(r"^(\w+): (.*(?:\n(?!\w+: ).+)*)", "\n".join(lines), flags=re.MULTILINE):
        sentence = " ".join(text.split())
        yield name, sentence[:1].upper() + sentence[1:]


def _option(name: str, hint: Any, default: Any, section: str, text: str) -> Callable[[click.Command], click.Command]:
    flag = f"--{name.replace('_', '-')}"
    options: dict[str, Any] = {"cls": SectionOption, "section": section, "help": text, "show_default": True}
    if hint is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", name, default=default, **options)
    if typing.get_origin(hint) is tuple:
        items = Names() if str in typing.get_args(hint) else Numbers()
        options["show_default"] = bool(default)
        return click.option(flag, name, type=items, default=",".join(map(str, default)), **options)
    return click.option(flag, name, type=hint, default=default, **options)
