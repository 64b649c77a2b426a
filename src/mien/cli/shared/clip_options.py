"""Options about clips."""

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
        """Return how the table was made, for its metadata."""
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
    """The options about clips.   reading: fields of ClipReading."""

    reading: dict[str, Any]
    resume: bool

    def refuse(self) -> None:
        """Raise click.UsageError for options that have no effect without a clip."""
        span, smooth = self.reading["span"], self.reading["smooth"]
        given = [f"--{name}" for name, value in (span | {"smooth": smooth, "resume": self.resume}).items() if value]
        if given:
            raise click.UsageError(
                f"{' and '.join(given)} {'are' if len(given) > 1 else 'is'} for clips; there is none"
            )


def clip_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add --fps, --every, --start, --end, --smooth, --detect-every and --resume, as the argument `clip`."""

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
                "--fps",
                type=click.FloatRange(0, min_open=True),
                help="Clips: read at most this many frames per second.",
            ),
            click.option("--every", type=click.IntRange(1), help="Clips: read every Nth frame."),
            click.option("--start", type=seconds, help="Clips: start at this second."),
            click.option("--end", type=seconds, help="Clips: end at this second."),
            click.option(
                "--smooth",
                type=seconds,
                default=0.0,
                show_default=True,
                help="Clips: smooth over this many seconds to both sides; 0 for none.",
            ),
            click.option(
                "--detect-every",
                type=click.IntRange(1),
                default=DETECT_EVERY,
                show_default=True,
                help="Clips: detect faces every Nth frame and track them in between.",
            ),
            click.option(
                "--resume",
                is_flag=True,
                help="Clips: continue the table of a stopped run with the same options.",
            ),
        )
    ):
        gathered = option(gathered)
    return gathered
