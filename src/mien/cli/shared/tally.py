"""Progress and summary of a run with clips."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from mien.cli.shared.terminal import new_table
from mien.results.outcome import Outcome
from mien.video.frames import Frame, length


class Tally:
    """Summary of a run, one line per track."""

    def __init__(self) -> None:
        self.failed: list[str] = []
        self._frames: dict[str, int] = {}
        self._tracks: dict[tuple[str, int | None], dict[str, int]] = {}
        self._pictures: list[Outcome] = []
        self._reasons: dict[str, str] = {}

    def frame(self, name: str, tracks: Sequence[int], tops: Sequence[str]) -> None:
        """Count a frame."""
        self._frames[name] = self._frames.get(name, 0) + 1
        for track, top in zip(tracks, tops, strict=False):
            counts = self._tracks.setdefault((name, track), {})
            counts[top] = counts.get(top, 0) + 1

    def outcome(self, outcome: Outcome) -> None:
        """Count a photograph, or an input that failed."""
        if outcome.report is None:
            self.failed.append(outcome.name)
            self._reasons[outcome.name] = outcome.reason or ""
        else:
            for i, face in enumerate(outcome.report.faces):
                self._tracks[outcome.name, None if len(outcome.report.faces) == 1 else i] = {
                    face.expression.top.label: 1
                }
        self._frames.setdefault(outcome.name, 0)

    def show(self, to_stderr: bool) -> None:
        """Print the table and the reasons of failed inputs."""
        table = new_table()
        for column in ("input", "face", "frames", "shows"):
            table.add_column(column, justify="right" if column in ("face", "frames") else "left", overflow="fold")
        for name in self._frames:
            short = escape(name if len(name) <= 30 else "…" + name[-29:])
            tracks = [(track, counts) for (of, track), counts in self._tracks.items() if of == name]
            for track, counts in tracks:
                total = sum(counts.values())
                most = sorted(counts.items(), key=lambda item: -item[1])[:3]
                shows = ", ".join(f"{top} {100 * count / total:.0f} %" for top, count in most)
                table.add_row(short, "" if track is None else str(track), str(total), shows)
            if name in self._reasons:
                table.add_row(short, "-", "", f"[red]{escape(self._reasons[name])}[/]")
            elif not tracks:
                table.add_row(short, "-", str(self._frames[name] or ""), "no face found")
        Console(stderr=to_stderr).print(table)


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

    def clip(self, name: str, chosen: Iterable[Frame], span: dict[str, Any]) -> Iterator[Frame]:
        """Yield the same frames and advance the bar by their times; the count of frames is an estimate."""
        self._begun += 1
        start = span.get("start") or 0.0
        whole = length(name)[1]
        end = min(whole, span["end"]) if span.get("end") else whole
        title = f"{Path(name).name[-30:]} ({self._begun})" if self._inputs > 1 else Path(name).name[-40:]
        task = self._bar.add_task(title, total=max(end - start, 0.0) or None, rate="")
        began = monotonic()
        for count, frame in enumerate(chosen, start=1):
            yield frame
            rate = count / max(monotonic() - began, 1e-6)
            self._bar.update(task, completed=max(frame.time - start, 0.0), rate=f"{rate:.0f} frames/s")
        self._bar.remove_task(task)
