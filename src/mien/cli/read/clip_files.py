"""The output files of a run with clips, all open at once and written as it goes."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

import mien
from mien.batch.reading import ReadingOptions
from mien.cli.shared.outcomes import wrong
from mien.core.batch import Picture
from mien.files import replacing
from mien.report.annotated import AnnotatedClip
from mien.report.clips import TABLES, clip_columns, frame_record, frame_rows, picture_rows
from mien.report.records import CsvFile, JsonFile, JsonLinesFile, ParquetFile, RecordFile
from mien.report.timeline import page
from mien.results.frame import FrameReport
from mien.results.outcome import Outcome
from mien.results.record import Record
from mien.video.events import Thresholds, events
from mien.video.rows import record_rows
from mien.video.series import Collector
from mien.video.thumbnails import thumbnails


class Sinks:
    """All open output files of a run, as a context manager. Each table receives its rows at once."""

    def __init__(self, outputs: Sequence[Path], reading: ReadingOptions, resume: bool) -> None:
        self._reading = reading
        self._stack = ExitStack()
        self._tables: list[tuple[RecordFile, bool]] = []
        self._page = next((output for output in outputs if output.suffix.lower() == ".html"), None)
        clip = next((output for output in outputs if output.suffix.lower() == ".mp4"), None)
        self._collector = Collector() if self._page else None
        with ExitStack() as opened:
            for output in outputs:
                if output.suffix.lower() in TABLES:
                    file = _opened(output, reading, resume)
                    opened.enter_context(file)
                    self._tables.append((file, output.suffix.lower() in (".json", ".jsonl")))
            self.annotated: AnnotatedClip | None = None
            if clip is not None:
                beside = opened.enter_context(replacing(clip))
                self.annotated = opened.enter_context(AnnotatedClip(beside))
            self._stack = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def frame(self, name: str, frame: FrameReport, image: NDArray[np.uint8] | None = None) -> None:
        """Write one frame of the clip of that name."""
        rows = frame_rows(name, frame, self._reading.columns)
        for file, nested in self._tables:
            file.append([frame_record(name, frame)] if nested else rows)
        if self._collector is not None:
            for row in frame_rows(name, frame):
                self._collector.add(row)
        if self.annotated is not None and image is not None:
            self.annotated.add(image, frame)

    def outcome(self, outcome: Outcome) -> None:
        """Write a photograph, or an input that failed."""
        for file, nested in self._tables:
            file.append([outcome.to_dict()] if nested else picture_rows(outcome, self._reading.columns))

    def before(self) -> Iterator[Record]:
        """Return the rows that an earlier run wrote."""
        for file, nested in self._tables[:1]:
            for record in file.records():
                yield from record_rows(record) if nested else (record,)

    def again(self, row: Record) -> None:
        """Pass a row that an earlier run wrote to the page."""
        if self._collector is not None:
            self._collector.add(row)

    def finish(self) -> None:
        """Write the page."""
        if self._page is None or self._collector is None:
            return
        clips = self._collector.recordings()
        found = {clip.input: events(clip) for clip in clips}
        pictures = {clip.input: thumbnails(clip, found[clip.input], clip.input) for clip in clips}
        with replacing(self._page) as beside:
            text = page(clips, found, pictures, Thresholds(), self._reading.command)
            beside.write_text(text, encoding="utf-8")


def _opened(path: Path, reading: ReadingOptions, resume: bool) -> RecordFile:
    ending = path.suffix.lower()
    if ending == ".jsonl":
        return JsonLinesFile(path, resume=resume)
    if ending == ".json":
        return JsonFile(path, {"mien": mien.__version__}, resume=resume)
    if ending == ".csv":
        return CsvFile(path, clip_columns(reading.columns), safe=reading.safe_csv, resume=resume)
    return ParquetFile(path, clip_columns(reading.columns), reading.about, resume=resume)


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
