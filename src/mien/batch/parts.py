"""Write one part of a study: what a worker does, and goes on with where another one died."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from mien.batch.before import RowsBefore
from mien.batch.plan import UNFINISHED, Input, StudyPart, StudyPlan
from mien.batch.reading import InputReader, Item
from mien.errors import MienError
from mien.report.clips import frame_rows
from mien.report.records import ParquetFile
from mien.results.outcome import Outcome
from mien.results.record import Record
from mien.video.frames import is_clip

Tell: TypeAlias = Callable[..., None]


class CrashError(MienError, RuntimeError):
    """The process that read an input ended, twice."""

    status = "crashed"


class PartFile(ParquetFile):
    """A part that is being written; its JSON lines hold a picture or a frame each, all of its rows or none of them."""

    def _encode(self, records: Iterable[Record]) -> bytes:
        lines = super()._encode(records).splitlines()
        return b"[" + b", ".join(lines) + b"]\n"

    def records(self) -> Iterator[Record]:
        """Yield the rows that are in the part so far."""
        with self.part.open(encoding="ascii") as file:
            for line in file:
                yield from json.loads(line)

    def count(self) -> int:
        """Number of pictures or frames in the part so far."""
        with self.part.open("rb") as file:
            return sum(1 for _ in file)


def write_part(
    folder: Path,
    plan: StudyPlan,
    part: StudyPart,
    read: InputReader,
    crashed: Mapping[str, str],
    tell: Tell = lambda **message: None,
) -> None:
    """Read the inputs of a part and put its file into the folder of the study.

    What an earlier process wrote of it is kept.   crashed: inputs that are not read again, with the reason.
    tell: hears `skip`, how many inputs are written already, `reading`, the name of each before it is read, and `frame`,
    the number of each frame of a clip.
    Raise OSError where the part cannot be written; what was written of it stays.
    """
    place = folder / UNFINISHED / part.file
    if not place.exists():  # else a process died when it was written whole
        _write(place, plan, part, read, crashed, tell)
    place.replace(folder / part.file)
    for left in place.parent.glob(f"{part.file}.part*"):
        left.unlink()


def _write(
    place: Path,
    plan: StudyPlan,
    part: StudyPart,
    read: InputReader,
    crashed: Mapping[str, str],
    tell: Tell,
) -> None:
    clip = is_clip(part.inputs[0].name)
    # Only mien's own columns show how far a clip was read.
    file = PartFile(place, plan.columns, plan.about, resume=not clip or plan.reading.columns == "mien")
    done = RowsBefore(file.records) if clip and file.resumed else None
    before = 0 if clip else file.count()
    tell(skip=before)
    for given in part.inputs[before:]:
        tell(reading=given.name)
        for item in _items(given, read, done, crashed):
            if isinstance(item, Outcome):
                if item.report is not None and item.report.prior:
                    file.about["prior"] = item.report.prior
                file.append(plan.rows(item))
            else:
                file.append(frame_rows(*item[:2], plan.reading.columns))
                tell(frame=item[1].number)
    file.close()


def _items(given: Input, read: InputReader, done: RowsBefore | None, crashed: Mapping[str, str]) -> Iterator[Item]:
    if given.name not in crashed:
        yield from read(given.picture, done)
    elif done is None or Outcome(given.name).name not in done.finished:
        yield Outcome(given.name, error=CrashError(crashed[given.name]))
