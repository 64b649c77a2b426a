"""How the inputs of a run are read, and what of each of them is read: pictures to outcomes, clips to frames."""

import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mien.batch.before import RowsBefore
from mien.core.batch import Picture, named, read_outcome
from mien.core.pipeline import Pipeline, PipelineOptions
from mien.report.tables import ColumnNames
from mien.results.frame import FrameReport
from mien.results.outcome import Outcome
from mien.video.analyze import DETECT_EVERY, read_frames
from mien.video.frames import Frame, SpanOptions, frames, is_clip

# What is read of an input: a picture or a failure, or a frame with the name of its clip and, if kept, its image.
Item: TypeAlias = "Outcome | tuple[str, FrameReport, NDArray[np.uint8] | None]"


@dataclass(frozen=True)
class ReadingOptions:
    """How inputs are read.

    span: fps, every, start and end of clips.   smooth, detect_every: of clips, see mien.analyze_video.
    options: of Pipeline.   command: as it was typed, for the files' metadata.
    """

    span: SpanOptions = field(default_factory=SpanOptions)
    smooth: float = 0.0
    detect_every: int = DETECT_EVERY
    options: PipelineOptions = field(default_factory=PipelineOptions)
    columns: ColumnNames = "mien"
    safe_csv: bool = False
    command: str = field(default_factory=lambda: f"mien {shlex.join(sys.argv[1:])}")

    @property
    def about(self) -> dict[str, str]:
        """The table's metadata: settings and model."""
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


class InputReader:
    """Reads one input after the other, pictures and clips alike.

    keep_images: frames come with their pictures.
    watch: passes on the frames of a clip, given its name, so that a progress bar can count them.
    """

    def __init__(
        self,
        reading: ReadingOptions,
        *,
        keep_images: bool = False,
        watch: Callable[[str, Iterable[Frame]], Iterable[Frame]] = lambda name, chosen: chosen,
    ) -> None:
        self._reading, self._keep_images, self._watch = reading, keep_images, watch

    @cached_property
    def _pipeline(self) -> Pipeline:
        return Pipeline(**self._reading.options)

    def __call__(self, source: Picture, done: RowsBefore | None = None) -> Iterator[Item]:
        """What is read of one input and not `done`; a failure is its last item."""
        if isinstance(source, Outcome):
            yield source
            return
        name = str(source)
        shown = Outcome(name).name
        if done is not None and shown in done.finished:
            return
        try:
            if is_clip(name):
                yield from self._clip(name, shown, done)
            else:
                yield read_outcome(name, self._pipeline, keep=False)
        except Exception as error:
            yield Outcome(name, error=named(error, name))

    def _clip(self, name: str, shown: str, done: RowsBefore | None) -> Iterator[Item]:
        reading = self._reading
        images: dict[int, NDArray[np.uint8]] = {}
        after = done.reports(shown, reading.smooth) if done is not None else ()
        last = done.last(shown) if done is not None else -1
        chosen = self._watch(name, frames(name, **reading.span))
        chosen = _keeping(chosen, images) if self._keep_images else chosen
        for frame in read_frames(
            chosen, after=after, smooth=reading.smooth, detect_every=reading.detect_every, **reading.options
        ):
            if frame.number > last:
                yield shown, frame, images.pop(frame.number, None)


def _keeping(chosen: Iterable[Frame], images: dict[int, NDArray[np.uint8]]) -> Iterator[Frame]:
    """The same frames, whose pictures are kept until they are shown."""
    for frame in chosen:
        images[frame.number] = frame.image
        yield frame
