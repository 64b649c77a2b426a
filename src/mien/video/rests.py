"""The level at rest of everybody in a study, and how rows differ from it."""

from collections.abc import Iterable, Sequence

import numpy as np

from mien.errors import InputError
from mien.results.record import Record
from mien.video.baseline import CHANGES, Rest, level
from mien.video.people import People
from mien.video.series import Floats, Recording, number, vector


class Rests:
    """The level at rest of each track, or of each person.

    rows: of all tables, which are read only where a person is given.   clips: those that they tell of.
    baseline: "auto", "neutral" or seconds such as "0-5"; None for no level.   person: see person_of.

    remarks: for those who have none.
    """

    def __init__(
        self, rows: Iterable[Record], clips: Sequence[Recording], baseline: str | None, person: str | None
    ) -> None:
        self.remarks: list[str] = []
        self._people: People | None = None
        self._levels: dict[tuple[str, int], Floats] = {}
        if person is not None:
            named = "neutral" if baseline == "neutral" else None
            if baseline not in (None, "auto", "neutral"):
                raise InputError(
                    "a person is at rest in pictures named neutral or in the calmest (auto): give one of these"
                )
            self._people = People(rows, person, named)
            if self._people.unnamed:
                few = ", ".join(self._people.unnamed[:5])
                self.remarks.append(f"{len(self._people.unnamed)} without a picture named neutral, such as {few}: "
                                    "their calmest pictures count as rest")  # fmt: skip
        elif baseline is not None:
            if baseline == "neutral":
                raise InputError("neutral is for photographs and needs to know whose they are: a person")
            rest = Rest.parse(baseline)
            for clip in clips:
                for series in clip.tracks:
                    at = level(series.values, rest.mask(series.values, series.times))
                    self._levels[clip.input, series.track] = at
                    if np.isnan(at).all():
                        self.remarks.append(f"{clip.input}: track {series.track} is not seen at rest: no changes")

    def of(self, clip: Recording) -> dict[int, Floats]:
        """Track to its level at rest, as events need it."""
        levels = {s.track: self._levels.get((clip.input, s.track)) for s in clip.tracks}
        return {track: at for track, at in levels.items() if at is not None and not np.isnan(at).all()}

    def changes(self, row: Record) -> Floats:
        """(29,) how a row differs from its track or person at rest."""
        if self._people is not None:
            return self._people.changes(row)
        track = number(row.get("track"))
        at = None if track is None else self._levels.get((str(row["input"]), int(track)))
        return np.full(len(CHANGES), np.nan) if at is None else vector(row) - at

    def changed(self, rows: Iterable[Record]) -> Iterable[Record]:
        """The rows with the columns CHANGES."""
        for row in rows:
            values = zip(CHANGES, self.changes(row).tolist(), strict=True)
            yield row | {name: None if np.isnan(value) else round(value, 4) for name, value in values}
