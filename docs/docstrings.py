"""Show the docstrings of mien on the site: each line `name: text` as an entry of a list.

An extension of griffe, which zensical.toml names; it is loaded by `make docs` alone.
"""

import re

import griffe

_ERRORS = re.compile(r"(?<=[.;]) (?=Raises? )|\n(?=Raises? )")


class Fields(griffe.Extension):  # type: ignore[misc]
    """Turn what a docstring says of parameters and attributes into a list, and what it raises into a paragraph."""

    def on_function(self, *, func: griffe.Function, **_: object) -> None:
        """See griffe."""
        _arrange(func, {parameter.name for parameter in func.parameters})

    def on_class(self, *, cls: griffe.Class, **_: object) -> None:
        """See griffe."""
        first = cls.members.get("__init__")
        names = {parameter.name for parameter in first.parameters} if isinstance(first, griffe.Function) else set()
        _arrange(cls, names | set(cls.members))


def _arrange(thing: griffe.Object, names: set[str]) -> None:
    if thing.docstring is not None:
        thing.docstring.value = listed(thing.docstring.value, names)


def listed(text: str, names: set[str]) -> str:
    """Return a docstring as Markdown.   names: of parameters and attributes."""
    known = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
    field = re.compile(rf"(?:^|(?<=\n)|(?<=   )|(?<=\. ))((?:{known})(?:, (?:{known}))*): ")
    return "\n\n".join(_paragraph(paragraph, field) for paragraph in re.split(r"\n\s*\n", text)) if names else text


def _paragraph(text: str, field: re.Pattern[str]) -> str:
    head, *fields = field.split(text)
    if not fields:
        return text
    entries, ends = [], []
    for name, about in zip(fields[::2], fields[1::2], strict=True):
        about, *errors = _ERRORS.split(about.strip())
        entries.append(f"- `{name}`: " + " ".join(about.split()))
        ends += [" ".join(error.split()) for error in errors]
    return "\n\n".join(part for part in (head.strip(), "\n".join(entries), " ".join(ends)) if part)
