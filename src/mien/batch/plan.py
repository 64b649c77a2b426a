"""The plan of a study: its inputs, in order, in parts, and all on which its rows depend; kept beside the parts.

    out/_manifest.json   versions, model and options     out/_inputs.csv   each input, its size, time of change and part
    out/part-000000.parquet ...   finished parts         out/_unfinished/  parts that are being written

Readers of folders of Parquet files (Arrow, pandas, DuckDB, Spark) pass over names that begin with an underscore.
"""

import csv
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import mien
from mien.batch.reading import ReadingOptions
from mien.core.batch import Picture
from mien.core.models import digest
from mien.core.zoo import DEFAULT
from mien.errors import InputError
from mien.files import replacing
from mien.report.clips import clip_columns, picture_rows
from mien.report.tables import LAYOUTS
from mien.results.outcome import Outcome
from mien.results.record import Record
from mien.text import readable
from mien.video.frames import is_clip

MANIFEST, INPUTS, UNFINISHED = "_manifest.json", "_inputs.csv", "_unfinished"
# Of the layout above.
FORMAT = 1
# Pictures of a part, at the most; a study of few pictures has smaller parts, so that every worker has some.
PICTURES, PARTS_A_WORKER = 500, 4
# How many inputs a message names.
_NAMED = 3


class Input(NamedTuple):
    """One input of a study.

    size: bytes.   modified: nanoseconds since 1970; both None where there is no such file.
    status, error: of one that names no picture, as an empty folder does.
    """

    name: str
    size: int | None = None
    modified: int | None = None
    status: str = ""
    error: str = ""

    @staticmethod
    def of(source: Picture) -> "Input":
        """The input as it lies on disk now; raise InputError for one that is no path."""
        if isinstance(source, Outcome):
            return Input(source.name, status=source.status, error=source.reason or "")
        if not isinstance(source, str | os.PathLike):
            raise InputError("a folder of parts is for files, which can be read again when a run goes on")
        name = os.fsdecode(source)
        try:
            stat = Path(name).stat()
        except (OSError, ValueError):  # reading it says why
            return Input(name)
        return Input(name, stat.st_size, stat.st_mtime_ns)

    @property
    def picture(self) -> Picture:
        """The picture to read, or why it cannot be read."""
        return Outcome(self.name, error=InputError(self.error, self.status)) if self.status else self.name


@dataclass(frozen=True)
class StudyPart:
    """A file of the study: some pictures, or one clip."""

    number: int
    inputs: tuple[Input, ...]

    @property
    def file(self) -> str:
        """Its name in the folder."""
        return f"part-{self.number:06}.parquet"


@dataclass(frozen=True, eq=False)
class StudyPlan:
    """What a study reads and how.

    part_size: pictures of a part.   has_clips: whether any input is a clip, so that every row has a frame.
    """

    inputs: Sequence[Input]
    reading: ReadingOptions
    part_size: int
    has_clips: bool

    @property
    def columns(self) -> dict[str, type]:
        """The columns of every part, with their types."""
        return clip_columns(self.reading.columns) if self.has_clips else LAYOUTS[self.reading.columns].columns(())

    @property
    def about(self) -> dict[str, str]:
        """What every part's metadata says of how it came about."""
        return self.reading.about if self.has_clips else {}

    def rows(self, outcome: Outcome) -> list[Record]:
        """The rows of a picture."""
        columns = self.reading.columns
        return picture_rows(outcome, columns) if self.has_clips else LAYOUTS[columns].rows(outcome)

    def parts(self) -> Iterator[StudyPart]:
        """The parts, in the order of the inputs."""
        for number, inputs in enumerate(self._groups()):
            yield StudyPart(number, tuple(inputs))

    def _groups(self) -> Iterator[list[Input]]:
        group: list[Input] = []
        for given in self.inputs:
            clip = is_clip(given.name)
            if group and (clip or len(group) == self.part_size):
                yield group
                group = []
            if clip:
                yield [given]
            else:
                group.append(given)
        if group:
            yield group

    def facts(self) -> Record:
        """All on which the rows depend besides the inputs; two studies with the same facts and inputs are one."""
        reading = self.reading
        options = {name: value for name, value in reading.options.items() if name not in ("model", "threads")}
        model = reading.options.get("model", DEFAULT)
        return {
            "mien": mien.__version__,
            "format": FORMAT,
            "model": str(model),
            "model_sha256": digest(model),
            **options,
            **{name: reading.span.get(name) for name in ("fps", "every", "start", "end")},
            "smooth": reading.smooth,
            "detect_every": reading.detect_every,
            "columns": reading.columns,
        }

    def save(self, folder: Path) -> None:
        """Write the plan into the folder of the study; the manifest last, so that a folder with one is whole."""
        with replacing(folder / INPUTS) as beside, beside.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("part", *Input._fields))
            for part in self.parts():
                writer.writerows((part.number, readable(given.name), *given[1:]) for given in part.inputs)
        manifest = {**self.facts(), "part_size": self.part_size, "inputs": len(self.inputs)}
        with replacing(folder / MANIFEST) as beside:
            beside.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")

    def check(self, folder: Path) -> None:
        """Raise InputError, which names what differs, unless the study in the folder is this one."""
        differences = [*_differing(read_manifest(folder), self.facts()), *self._other_inputs(folder)]
        if differences:
            raise InputError(
                f"{folder}: holds another study: {'; '.join(differences)}. Give another folder, or the same inputs and "
                "options to go on"
            )

    def _other_inputs(self, folder: Path) -> Iterator[str]:
        inputs_before = list(read_inputs(folder))
        before = {given.name: given for given in inputs_before}
        now = {readable(given.name): given for given in self.inputs}
        changed = [n for n, given in now.items() if n in before and before[n][1:3] != given[1:3]]
        for what, names in (
            ("new", [name for name in now if name not in before]),
            ("no longer among the inputs", [name for name in before if name not in now]),
            ("changed since", changed),
        ):
            if names:
                more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
                yield f"{', '.join(names[:_NAMED])}{more} {'is' if len(names) == 1 else 'are'} {what}"
        names_before = [given.name for given in inputs_before]
        if before.keys() == now.keys() and [readable(i.name) for i in self.inputs] != names_before:
            yield "the inputs come in another order, or some of them several times"


def read_manifest(folder: Path) -> Record:
    """Return the manifest of a study; raise InputError for a folder without one."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if not isinstance(manifest, dict):
            raise ValueError("no JSON object")
    except FileNotFoundError as error:
        raise InputError(f"{folder}: is no folder of `mien analyze -o FOLDER`, for it has no {MANIFEST}") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{folder / MANIFEST}: cannot be read ({error})") from error
    return manifest


def read_inputs(folder: Path) -> Iterator[Input]:
    """The inputs of a study, as they were when it began."""
    with (folder / INPUTS).open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            size, modified = (None if row[key] == "" else int(row[key]) for key in ("size", "modified"))
            yield Input(row["name"], size, modified, row["status"], row["error"])


def part_files(folder: Path) -> list[Path]:
    """The finished parts, in order."""
    return sorted(folder.glob("part-*.parquet"))


def part_count(folder: Path) -> int:
    """Return the number of parts of a finished study."""
    last = -1
    with (folder / INPUTS).open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            last = int(row["part"])
    return last + 1


def part_size(pictures: int, workers: int) -> int:
    """Return the number of pictures per part."""
    return max(1, min(PICTURES, -(-pictures // (PARTS_A_WORKER * workers))))


def _differing(before: Record, now: Record) -> Iterable[str]:
    for name, value in now.items():
        value = json.loads(json.dumps(value))
        if before.get(name) != value:
            yield f"{name} was {before.get(name)}, now {value}"
