"""Options about clips."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

import click

from mien.errors import InputError
from mien.video.analyze import DETECT_EVERY
from mien.video.frames import Span, SpanOptions


@dataclass(frozen=True)
class ClipOptions:
    """The options about clips.   reading: fields of mien.batch.reading.ReadingOptions."""

    reading: dict[str, Any]
    resume: bool

    def refuse(self) -> None:
        """Raise click.UsageError for options that have no effect without a clip."""
        span, smooth = self.reading["span"], self.reading["smooth"]
        given = [f"--{name}" for name, value in (span | {"smooth": smooth}).items() if value]
        if self.resume:
            raise click.UsageError("--resume is for clips; pictures read into a folder (-o out/) are gone on with")
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
        span: SpanOptions = {"fps": fps, "every": every, "start": start, "end": end}
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
                help="Clips: continue the table of a stopped run with the same options; a folder is always continued.",
            ),
        )
    ):
        gathered = option(gathered)
    return gathered
