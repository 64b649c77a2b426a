"""The models that a server reads with: the one it was started with, and those of mien that clients may ask for."""

import threading
from functools import cached_property

from fastapi import HTTPException

from mien.core.pipeline import Pipeline, PipelineOptions
from mien.core.zoo import MODELS
from mien.video.live import LiveReader


class Pipelines:
    """A pipeline for each model, opened when it is first asked for.

    first: reads unless a client names another model. Beside a `read` of one's own there is no other.
    """

    def __init__(self, first: Pipeline) -> None:
        self.first = first
        self._options: PipelineOptions = first.options
        self._open = {first.model: first}
        self._opening = threading.Lock()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The models that may be asked for, the first one first."""
        if self._options.get("read") is not None:
            return (self.first.model,)
        shipped = (name for name, entry in MODELS.items() if entry.reads and name != self.first.model)
        return (self.first.model, *shipped)

    def check(self, name: str | None) -> str:
        """The name of a model, the first one's for None; HTTPException when there is none of that name."""
        if name is None:
            return self.first.model
        if name not in self.names:
            raise HTTPException(422, f"there is no model {name[:40]!r}; the models are {', '.join(self.names)}")
        return name

    def __call__(self, name: str) -> Pipeline:
        """The pipeline of a model that `check` let pass."""
        with self._opening:
            if name not in self._open:
                options = self._options.copy()
                options["model"] = name
                self._open[name] = Pipeline(**options)
            return self._open[name]

    def live(self, name: str, smooth: float) -> LiveReader:
        """A reader of the frames of one camera, with the open model of that name."""
        options = self._options.copy()
        options["read"] = self(name).read
        options.pop("model", None)  # both are in what reads
        options.pop("prior", None)
        return LiveReader(smooth, **options)

    def plain(self, name: str) -> dict[str, object] | None:
        """The options of a model's pipeline as JSON has them; None where they hold a function of one's own."""
        options = {**self._options, "model": name}
        own = [key for key in ("detect", "read") if options.get(key) is not None]
        return None if own else {key: value for key, value in options.items() if value is not None}
