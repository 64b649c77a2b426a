"""Read one clip in a process of its own: `python -m mien.serve.clip_job FOLDER`, as mien.serve.jobs starts it.

FOLDER holds the clip; results go into FOLDER/reading. A line of JSON on standard input says what is asked; lines of
JSON on standard output say how far it is, and at the end what came of it. When standard input ends, whoever started
the process is gone, and it ends as well.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mien.errors import InputError, MienError
from mien.report.clips import CLIP_COLUMNS, clip_record_rows, frame_record, picture_rows
from mien.report.records import CsvFile, JsonLinesFile, ParquetFile, RecordFile
from mien.report.timeline import page
from mien.results.frame import FrameReport
from mien.results.outcome import Outcome
from mien.results.record import Record
from mien.video.analyze import analyze_video
from mien.video.events import EVENT_COLUMNS, Thresholds, events
from mien.video.frames import length, pixels
from mien.video.series import Collector, row_of
from mien.video.thumbnails import thumbnails

# Below those who wait for a picture.
_NICE = 10
_TELL_SECONDS = 0.3


def read(folder: Path, asked: Record) -> Record:
    """Write the results of a clip; return a summary.   asked: clip, name, options, span, smooth, limits."""
    clip, name = folder / asked["clip"], asked["name"]
    try:
        total = _total(clip, asked)
    except InputError as error:
        raise InputError(_of(error, clip, name), error.status) from error
    collector = Collector()
    count, broken = 0, None
    with _Tables(folder / "reading") as tables:
        try:
            for report in _reports(clip, asked):
                tables.frame(name, report)
                for row in row_of(name, report):
                    collector.add(row)
                count += 1
                _tell(report, total)
        except MienError as error:
            reason = InputError(_of(error, clip, name), error.status)
            if error.status != "broken" or not count:
                raise reason from error
            broken = Outcome(name, error=reason)
            tables.failed(broken)
    _derived(folder / "reading", clip, collector)
    tracks = {series.track for recording in collector.recordings() for series in recording.tracks}
    return {"frames": count, "tracks": len(tracks), "error": None if broken is None else broken.reason}


def _total(clip: Path, asked: Record) -> int:
    """Return the number of frames that the clip states; raise InputError if it is too long or too large."""
    count, seconds = length(clip)
    if (size := pixels(clip)) > asked["most_pixels"]:
        raise InputError(f"{clip}: its frames have {size} pixels; up to {asked['most_pixels']} are read", "too_large")
    if seconds > asked["most_seconds"]:
        raise _too_long(clip, seconds, asked)
    return count


def _too_long(clip: Path, seconds: float, asked: Record) -> InputError:
    return InputError(f"{clip}: lasts {seconds:.0f} s; up to {asked['most_seconds']:g} s are read", "too_long")


def _reports(clip: Path, asked: Record) -> Iterator[FrameReport]:
    for report in analyze_video(clip, smooth=asked["smooth"], fps=asked["fps"], **asked["options"]):
        if report.time > asked["most_seconds"]:
            raise _too_long(clip, report.time, asked)
        yield report


def _of(error: MienError, clip: Path, name: str) -> str:
    """The error about the clip as its sender knows it."""
    return str(error).replace(str(clip), name)


class _Tables:
    """The tables of one clip, written as it is read."""

    def __init__(self, folder: Path) -> None:
        self._files = ExitStack()
        self._rows: list[RecordFile] = [CsvFile(folder / "table.csv", CLIP_COLUMNS)]
        if find_spec("pyarrow"):
            self._rows.append(ParquetFile(folder / "table.parquet", CLIP_COLUMNS))
        self._records = JsonLinesFile(folder / "table.jsonl")

    def __enter__(self) -> "_Tables":
        for file in (*self._rows, self._records):
            self._files.enter_context(file)
        return self

    def __exit__(self, *about: Any) -> None:
        self._files.__exit__(*about)

    def frame(self, name: str, report: FrameReport) -> None:
        """Add one frame."""
        record = frame_record(name, report)
        self._put(clip_record_rows(record), record)

    def failed(self, outcome: Outcome) -> None:
        """Add why there are no more."""
        self._put(picture_rows(outcome), outcome.to_dict())

    def _put(self, rows: list[Record], record: Record) -> None:
        for file in self._rows:
            file.append(rows)
        self._records.append([record])


def _derived(folder: Path, clip: Path, collector: Collector) -> None:
    """Write the events and the page."""
    recordings = collector.recordings()
    events_of = {recording.input: events(recording) for recording in recordings}
    rows = [event.to_dict() for each in events_of.values() for event in each]
    with CsvFile(folder / "events.csv", EVENT_COLUMNS) as file:
        file.append(rows)
    (folder / "events.json").write_text(json.dumps({"events": rows}), encoding="utf-8")
    pictures = {r.input: thumbnails(r, events_of[r.input], str(clip)) for r in recordings}
    html = page(recordings, events_of, pictures, Thresholds(), "mien serve")
    (folder / "page.html").write_text(html, encoding="utf-8")


_told = 0.0


def _tell(report: FrameReport, total: int) -> None:
    global _told
    if time.monotonic() - _told > _TELL_SECONDS:
        _told = time.monotonic()
        _say({"read": report.number + 1, "of": max(total, report.number + 1), "seconds": round(report.time, 2)})


def _say(line: Record) -> None:
    print(json.dumps(line), flush=True)


def _end_with_parent() -> None:
    while sys.stdin.buffer.read(1):
        pass
    os._exit(1)


def _main(folder: Path) -> None:
    asked = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(OSError, AttributeError):
        os.nice(_NICE)
    (folder / "reading").mkdir()
    try:
        _say({"done": read(folder, asked)})
    except MienError as error:
        _say({"failed": Outcome(asked["name"], error=error).reason})
    except OSError as error:
        _say({"failed": f"the results cannot be written ({error.strerror or error})"})
    sys.stdout.flush()
    os._exit(0)  # not held up by the thread that waits for the end


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
