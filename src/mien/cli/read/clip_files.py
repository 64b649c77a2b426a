"""The output files of a run with clips, all open at once and written as it goes."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

import mien
from mien.batch.reading import ReadingOptions
from mien.cli.shared.outcomes import unwritten, wrong
from mien.cli.shared.terminal import say
from mien.core.batch import Picture
from mien.files import replacing
from mien.report.annotated import AnnotatedClip
from mien.report.clips import TABLES, clip_columns, frame_record, frame_rows, picture_rows
from mien.report.records import CsvFile, JsonFile, JsonLinesFile, ParquetFile, RecordFile
from mien.report.tables import ColumnNames
from mien.report.timeline import page
from mien.results.frame import FrameReport
from mien.results.outcome import Outcome
from mien.results.record import Record
from mien.video.events import Thresholds, events
from mien.video.rows import record_rows
from mien.video.series import Collector
from mien.video.thumbnails import thumbnails


class Sink(Protocol):
    """One output file, written as the run goes."""

    def frame(self, name: str, frame: FrameReport, image: NDArray[np.uint8] | None) -> None:
        """Write one frame of the clip of that name."""

    def outcome(self, outcome: Outcome) -> None:
        """Write a photograph, or an input that failed."""

    def close(self) -> None:
        """Put the finished file in its place."""

    def abandon(self) -> Path | None:
        """Leave an earlier file as it was. Return the part that holds what was written, if there is one."""


Kind = TypeVar("Kind", bound=Sink)


class Sinks:
    """All open output files of a run, as a context manager. A file that cannot be written does not cost the others.

    good: whether every file could be written so far.   open: the files that are still written.
    """

    def __init__(self, outputs: Sequence[Path], reading: ReadingOptions, resume: bool) -> None:
        self.good = True
        self.open: dict[Path, Sink] = {}
        try:
            for output in outputs:
                self.open[output] = _opened(output, reading, resume)
        except BaseException:
            self._abandon()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is not None:
            self._abandon()
            return
        try:
            self._each(lambda sink: sink.close())
        except BaseException:  # Ctrl-C
            self._abandon()
            raise

    @property
    def shows_frames(self) -> bool:
        """Whether frames are needed with their pictures."""
        return bool(self._of(_Clip))

    def frame(self, name: str, frame: FrameReport, image: NDArray[np.uint8] | None = None) -> None:
        """Write one frame of the clip of that name."""
        self._each(lambda sink: sink.frame(name, frame, image))

    def outcome(self, outcome: Outcome) -> None:
        """Write a photograph, or an input that failed."""
        self._each(lambda sink: sink.outcome(outcome))

    def before(self) -> Iterator[Record]:
        """Return the rows that an earlier run wrote."""
        for table in self._of(_Table)[:1]:
            yield from table.before()

    def again(self, row: Record) -> None:
        """Pass a row that an earlier run wrote to the page."""
        for sink in self._of(_ClipPage):
            sink.again(row)

    def _of(self, kind: type[Kind]) -> list[Kind]:
        return [sink for sink in self.open.values() if isinstance(sink, kind)]

    def _each(self, write: Callable[[Sink], object]) -> None:
        """Write to every file. Report those that cannot be written, and go on without them."""
        for place, sink in list(self.open.items()):
            try:
                write(sink)
            except Exception as error:
                self.good = False
                del self.open[place]
                part = _abandoned(sink)
                say(unwritten(place, error) + (f"; finished rows are in {part}" if part else ""))

    def _abandon(self) -> None:
        for sink in self.open.values():
            _abandoned(sink)


class _Table:
    """Rows of frames and photographs."""

    def __init__(self, file: RecordFile, columns: ColumnNames, *, nested: bool) -> None:
        self._file, self._columns, self._nested = file, columns, nested

    def frame(self, name: str, frame: FrameReport, image: NDArray[np.uint8] | None) -> None:
        self._file.append([frame_record(name, frame)] if self._nested else frame_rows(name, frame, self._columns))

    def outcome(self, outcome: Outcome) -> None:
        self._file.append([outcome.to_dict()] if self._nested else picture_rows(outcome, self._columns))

    def before(self) -> Iterator[Record]:
        for record in self._file.records():
            yield from record_rows(record) if self._nested else (record,)

    def close(self) -> None:
        self._file.close()

    def abandon(self) -> Path | None:
        return self._file.abandon()


class _ClipPage:
    """Timelines of clips, written at the end."""

    def __init__(self, path: Path, command: str) -> None:
        self._path, self._command, self._collector = path, command, Collector()

    def frame(self, name: str, frame: FrameReport, image: NDArray[np.uint8] | None) -> None:
        for row in frame_rows(name, frame):
            self._collector.add(row)

    def outcome(self, outcome: Outcome) -> None:
        pass

    def again(self, row: Record) -> None:
        self._collector.add(row)

    def close(self) -> None:
        clips = self._collector.recordings()
        events_of = {clip.input: events(clip) for clip in clips}
        pictures = {clip.input: thumbnails(clip, events_of[clip.input], clip.input) for clip in clips}
        with replacing(self._path) as beside:
            beside.write_text(page(clips, events_of, pictures, Thresholds(), self._command), encoding="utf-8")

    def abandon(self) -> None:
        pass


class _Clip:
    """The clip with its faces marked."""

    def __init__(self, path: Path) -> None:
        self._clip = AnnotatedClip(path)

    def frame(self, name: str, frame: FrameReport, image: NDArray[np.uint8] | None) -> None:
        if image is not None:
            self._clip.add(image, frame)

    def outcome(self, outcome: Outcome) -> None:
        pass

    def close(self) -> None:
        self._clip.close()

    def abandon(self) -> None:
        self._clip.abandon()


def _abandoned(sink: Sink) -> Path | None:
    """Give a file up. Return its part; None if there is none, or if it cannot be written either."""
    with suppress(Exception):
        return sink.abandon()
    return None


def _opened(path: Path, reading: ReadingOptions, resume: bool) -> Sink:
    ending = path.suffix.lower()
    if ending == ".html":
        return _ClipPage(path, reading.command)
    if ending == ".mp4":
        return _Clip(path)
    columns = clip_columns(reading.columns)
    file: RecordFile
    if ending == ".jsonl":
        file = JsonLinesFile(path, resume=resume)
    elif ending == ".json":
        file = JsonFile(path, {"mien": mien.__version__}, resume=resume)
    elif ending == ".csv":
        file = CsvFile(path, columns, safe=reading.safe_csv, resume=resume)
    else:
        file = ParquetFile(path, columns, reading.about, resume=resume)
    return _Table(file, reading.columns, nested=ending in (".json", ".jsonl"))


def check(inputs: Sequence[Picture], outputs: Sequence[Path], reading: ReadingOptions, resume: bool) -> None:
    """Reject unwritable outputs before reading."""
    endings = [output.suffix.lower() for output in outputs]
    for ending in endings:
        if reading.columns != "mien" and ending in (".json", ".jsonl"):
            raise wrong(f"{reading.columns} columns are for .csv and .parquet, not {ending}", "--columns")
    if endings.count(".html") > 1 or endings.count(".mp4") > 1:
        raise wrong("one page and one annotated clip at a time", "-o")
    if ".mp4" in endings and len(inputs) > 1:
        raise wrong(f"an annotated clip shows one clip, but there are {len(inputs)} inputs", "-o")
    if resume and (".mp4" in endings or sum(ending in TABLES for ending in endings) != 1 or reading.columns != "mien"):
        raise wrong("goes on with one table in mien's own columns, and a page beside it", "--resume")
