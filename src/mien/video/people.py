"""Photographs of the same people: which are whose, and which show them at rest."""

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

import numpy as np

from mien.errors import InputError
from mien.video.baseline import calmest, level
from mien.video.series import Floats, vector


def person_of(row: Mapping[str, Any], who: str) -> str:
    """Whom a row is about.

    who: a column of the table, or a regular expression for the input's path, of which the first group, or else all
    that matches, is the person: "s[0-9]+" of study/s07_smile.jpg is s07.
    Raises InputError when the row has no such column and the pattern does not match.
    """
    if who in row:
        return str(row[who])
    try:
        match = re.search(who, str(row["input"]))
    except re.error as error:
        raise InputError(f"{who!r} is neither a column of the table nor a pattern ({error})") from error
    if match is None:
        raise InputError(f"{row['input']}: {who!r} is no column, and as a pattern it does not match this name")
    return match.group(1) if match.re.groups else match.group()


class People:
    """The level of each person at rest, from all rows about them.

    named: only pictures with this word in their name show rest, "neutral" for s07_neutral.jpg; a person without one,
    and everybody when it is left out, is at rest in the calmest quarter of their pictures.
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]], who: str, named: str | None = None) -> None:
        self._who = who
        values: dict[str, list[Floats]] = {}
        at_rest: dict[str, list[bool]] = {}
        for row in rows:
            if row.get("expression") is None:
                continue
            person = person_of(row, who)
            values.setdefault(person, []).append(vector(row))
            name = PurePath(str(row["input"])).name.lower()
            at_rest.setdefault(person, []).append(named is not None and named.lower() in name)
        self.levels: dict[str, Floats] = {}
        self.unnamed: tuple[str, ...] = ()
        for person, vectors in values.items():
            stacked, mask = np.stack(vectors), np.array(at_rest[person])
            if not mask.any():
                self.unnamed += (person,) if named is not None else ()
                mask = calmest(stacked)
            self.levels[person] = level(stacked, mask)

    def changes(self, row: Mapping[str, Any]) -> Floats:
        """(29,) how a row differs from its person at rest; NaN where it shows no face."""
        if row.get("expression") is None:
            return np.full_like(vector(row), np.nan)
        return vector(row) - self.levels[person_of(row, self._who)]
