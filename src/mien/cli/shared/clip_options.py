"""The options about clips, and how clips are read."""

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

import click

from mien.errors import InputError
from mien.report.tables import ColumnNames
from mien.video.analyze import DETECT_EVERY
from mien.video.frames import Span


@dataclass(frozen=True)
class ClipReading:
    """How clips are read.

    span: fps, every, start and end.   options: of Pipeline.   command: as it was typed, for the files' metadata.
    """

    span: dict[str, Any]
    smooth: float
    detect_every: int
    options: dict[str, Any]
    columns: ColumnNames = "mien"
    safe_csv: bool = False
    command: str = field(default_factory=lambda: f"mien {shlex.join(sys.argv[1:])}")

    @property
    def about(self) -> dict[str, str]:
        """What a table's metadata says of how it came about."""
        span = {name: value for name, value in self.span.items() if value is not None}
        settings = span | self.options | {"detect_every": self.detect_every}
        return {
            "command": self.command,
            "settings": ", ".join(f"{name}={value}" for name, value in settings.items()),
            "smoothing": f"Gaussian, half-width {self.smooth:g} s, two standard deviations" if self.smooth else "none",
            "units": "timestamp: seconds from the first frame; FaceRect*, x_*, y_*: pixels; FaceScore, confidence, "
            "expressions: probabilities 0 to 1; AU*: intensities 0 to 1; AU*_asymmetry: -1 to 1, the subject's left "
            "minus right; Pitch, Roll, Yaw: degrees",
        }


@dataclass(frozen=True)
class ClipOptions:
    """What the command line says of clips.   reading: fields of ClipReading."""

    reading: dict[str, Any]
    resume: bool

    def refuse(self) -> None:
        """Raise click.UsageError for options that mean nothing without a clip."""
        span, smooth = self.reading["span"], self.reading["smooth"]
        given = [f"--{name}" for name, value in (span | {"smooth": smooth, "resume": self.resume}).items() if value]
        if given:
            raise click.UsageError(
                f"{' and '.join(given)} {'are' if len(given) > 1 else 'is'} for clips; there is none"
            )


def clip_options(command: Callable[..., None]) -> Callable[..., None]:
    """--fps, --every, --start, --end, --smooth, --detect-every and --resume, as the argument `clip`."""

    @wraps(command)
    def gathered(
        *args: Any,
        fps: float | None,
        every: int | None,
        start: float | None,
        end: float | None,
        smooth: float,
        detect_every: int,
        resume: bool,
        **rest: Any,
    ) -> None:
        span: dict[str, Any] = {"fps": fps, "every": every, "start": start, "end": end}
        try:
            Span(**span)
        except InputError as error:
            raise click.UsageError(str(error)) from error
        reading = {"span": span, "smooth": smooth, "detect_every": detect_every}
        command(*args, clip=ClipOptions(reading, resume), **rest)

    seconds = click.FloatRange(min=0)
    for option in reversed(
        (
            click.option(
                "--fps", type=click.FloatRange(0, min_open=True), help="Clips: at most so many frames a second."
            ),
            click.option("--every", type=click.IntRange(1), help="Clips: each such frame."),
            click.option("--start", type=seconds, help="Clips: from this second on."),
            click.option("--end", type=seconds, help="Clips: up to this second."),
            click.option(
                "--smooth",
                type=seconds,
                default=0.0,
                show_default=True,
                help="Clips: average over so many seconds to both sides; 0 gives what was read.",
            ),
            click.option(
                "--detect-every",
                type=click.IntRange(1),
                default=DETECT_EVERY,
                show_default=True,
                help="Clips: search the whole frame for faces every so many frames and follow them in between.",
            ),
            click.option(
                "--resume",
                is_flag=True,
                help="Clips: go on with the table of a run that was stopped, by the same options.",
            ),
        )
    ):
        gathered = option(gathered)
    return gathered
