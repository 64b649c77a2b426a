"""Pickling of objects that open models: they are rebuilt from their arguments, also after a fork."""

from collections.abc import Callable
from typing import Any


class Rebuilt:
    """Base of classes that hold open models, which no pickle can hold: their pickle is what they were made with.

    So a model that mien ships travels as its name, and a file as its path. A function of the user's that was given
    travels as pickle takes it: a function of a module by its name, a lambda not at all.
    """

    _made_with: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *args: Any, **options: Any) -> Any:
        """Remember the arguments; `__init__` says what they mean."""
        made = super().__new__(cls)
        made._made_with = args, options
        return made

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _rebuild, (type(self), *self._made_with)


def _rebuild(kind: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    return kind(*args, **options)
