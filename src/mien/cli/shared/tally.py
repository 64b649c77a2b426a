"""Progress and summary of a run with clips."""

import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from time import monotonic

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from mien.cli.shared.terminal import new_table, show
from mien.results.outcome import Outcome
from mien.video.frames import Frame, SpanOptions, length
from mien.video.series import EXPRESSIONS, Recording, leading, time_shares


class Tally:
    """Summary of a run, one line per track."""

    def __init__(self) -> None:
        self.failed: list[str] = []
        self._times: dict[str, array[float]] = {}
        self._tracks: dict[tuple[str, int | None], tuple[array[int], array[int]]] = {}
        self._reasons: dict[str, str] = {}

    def frame(self, name: str, time: float, tracks: Sequence[int], tops: Sequence[str]) -> None:
        """Count a frame, or further tracks of the frame before.   time: in seconds."""
        times = self._times.setdefault(name, array("d"))
        if not times or times[-1] != time:
            times.append(time)
        for track, top in zip(tracks, tops, strict=False):
            self._shown(name, track, top)

    def outcome(self, outcome: Outcome) -> None:
        """Count a photograph, or an input that failed."""
        if outcome.report is None:
            self.failed.append(outcome.name)
            self._reasons[outcome.name] = outcome.reason or ""
        else:
            self._times[outcome.name] = array("d", [0.0] * bool(outcome.report.faces))
            alone = len(outcome.report.faces) == 1
            for i, face in enumerate(outcome.report.faces):
                self._shown(outcome.name, None if alone else i, face.expression.top.label)
        self._times.setdefault(outcome.name, array("d"))

    def _shown(self, name: str, track: int | None, top: str) -> None:
        frames, tops = self._tracks.setdefault((name, track), (array("q"), array("b")))
        frames.append(len(self._times[name]) - 1)
        tops.append(EXPRESSIONS.index(top))

    def show(self, to_stderr: bool) -> None:
        """Print the table and the reasons of failed inputs."""
        table = new_table("input", "face", "frames", "shows", right=("face", "frames"))
        for name, times in self._times.items():
            short = escape(name if len(name) <= 30 else "…" + name[-29:])
            clip = Recording(name, np.arange(len(times)), np.array(times), ())
            seconds = clip.ends - clip.times
            tracks = [(track, shown) for (of, track), shown in self._tracks.items() if of == name]
            for track, (frames, tops) in tracks:
                shows = leading(time_shares(np.array(tops), seconds[np.array(frames)]))
                table.add_row(short, "" if track is None else str(track), str(len(frames)), shows)
            if name in self._reasons:
                table.add_row(short, "-", "", f"[red]{escape(self._reasons[name])}[/]")
            elif not tracks:
                table.add_row(short, "-", str(len(times) or ""), "no face found")
        show(table, to_stderr=to_stderr)


class ClipProgress:
    """A progress bar with frames per second and time left, on a terminal."""

    def __init__(self, inputs: int) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
        self._inputs, self._begun = inputs, 0

    def __enter__(self) -> "ClipProgress":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def clip(self, name: str, chosen: Iterable[Frame], span: SpanOptions) -> Iterator[Frame]:
        """Yield the same frames and advance the bar by their times; the count of frames is an estimate."""
        self._begun += 1
        start = span.get("start") or 0.0
        whole = length(name)[1]
        end = min(whole, span.get("end") or whole)
        title = f"{Path(name).name[-30:]} ({self._begun})" if self._inputs > 1 else Path(name).name[-40:]
        task = self._bar.add_task(title, total=max(end - start, 0.0) or None, rate="")
        began = monotonic()
        for count, frame in enumerate(chosen, start=1):
            yield frame
            rate = count / max(monotonic() - began, 1e-6)
            self._bar.update(task, completed=max(frame.time - start, 0.0), rate=f"{rate:.0f} frames/s")
        self._bar.remove_task(task)
