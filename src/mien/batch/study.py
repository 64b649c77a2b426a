"""A study from its inputs to a folder of Parquet parts, by several processes, from where an earlier run was stopped."""

import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mien.batch.crew import Crew, CrewError
from mien.batch.plan import MANIFEST, UNFINISHED, Input, StudyPlan, part_files, part_size, read_manifest
from mien.batch.reading import ReadingOptions
from mien.core.batch import Picture
from mien.core.pipeline import Pipeline
from mien.errors import InputError
from mien.extras import optional
from mien.files import lock
from mien.video.frames import is_clip

# Seconds to wait for the processes of a run that was killed: each ends before it reads its next input or frame.
_PATIENCE = 10.0


class Study:
    """A study in a folder: begun, or gone on with.

    pictures: as mien.core.batch.find_pictures gives them.   reading: how they are read.
    size: pictures of a part; left out, that of the study so far, or what suits the number of pictures and workers.
    Raise InputError where the folder holds something else, or a study that differs in an input or option: the message
    names what.
    """

    def __init__(
        self,
        pictures: Iterable[Picture],
        folder: str | os.PathLike[str],
        reading: ReadingOptions | None = None,
        *,
        workers: int = 1,
        size: int | None = None,
    ) -> None:
        optional("pyarrow.parquet", "parquet")
        if workers < 1:
            raise InputError(f"workers must be 1 or more, but got {workers}")
        self.folder, self._workers = Path(folder), workers
        inputs = [Input.of(picture) for picture in pictures]
        reading = reading or ReadingOptions()
        Pipeline(**reading.options)  # wrong options are one error here, and not one in each process
        begun = (self.folder / MANIFEST).exists()
        if size is None and begun:
            size = int(read_manifest(self.folder)["part_size"])
        clips = sum(is_clip(given.name) for given in inputs)
        self.plan = StudyPlan(inputs, reading, size or part_size(len(inputs) - clips, workers), clips > 0)
        if begun:
            self.plan.check(self.folder)
        elif self.folder.is_dir() and any(self.folder.iterdir()):
            raise InputError(f"{folder}: is a folder with other files in it; a study needs one of its own")
        self._begun = begun

    def run(self) -> Iterator[int]:
        """Read what is not read yet; yields how many inputs are done, a number at a time, those of before first.

        Raise CrewError where it cannot go on: the parts that are finished stay, and so does what there is of others.
        """
        try:
            (self.folder / UNFINISHED).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CrewError(f"{self.folder}: cannot be written ({error.strerror})") from error
        with _alone(self.folder) as lock:
            try:
                if not self._begun:
                    self.plan.save(self.folder)
                for left in (self.folder / UNFINISHED).glob(".mien-*"):
                    left.unlink()
            except OSError as error:
                raise CrewError(f"{self.folder}: cannot be written ({error.strerror})") from error
            there = {file.name for file in part_files(self.folder)}
            parts = [part for part in self.plan.parts() if part.file not in there]
            yield len(self.plan.inputs) - sum(len(part.inputs) for part in parts)
            if parts:
                yield from Crew(self.plan, self.folder, parts, self._workers, lock)

    def statuses(self) -> Counter[str]:
        """How many inputs of the finished parts came to each status; of a clip, "ok" where any frame has a face."""
        parquet = optional("pyarrow.parquet", "parquet")
        statuses: Counter[str] = Counter()
        for file in part_files(self.folder):
            table = parquet.read_table(file, columns=["input", "status"])
            by_input: dict[str, str] = {}
            for name, status in zip(table["input"].to_pylist(), table["status"].to_pylist(), strict=True):
                if status != "no_face" or name not in by_input:  # a failure is the last row of a clip
                    by_input[name] = status
            statuses.update(by_input.values())
        return statuses


@contextmanager
def _alone(folder: Path) -> Iterator[tuple[int, ...]]:
    """Keep other runs out of the folder; yields what processes inherit that write into it too."""
    until = time.monotonic() + _PATIENCE
    while (held := lock(folder / UNFINISHED / ".lock")) is None:
        if time.monotonic() > until:
            raise InputError(f"{folder}: another run writes into this folder")
        time.sleep(0.1)
    with held:
        yield (held.fileno(),)
