"""Artists for `mien generate`: the generator of a file, a guided run, or a full-size run.

Only the last two import torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mien.core.align import crop
from mien.core.images import read_image
from mien.core.zoo import card
from mien.datasets import Sample
from mien.errors import InputError
from mien.methods.registry import method
from mien.methods.synfer.flow import requests as asking
from mien.methods.synfer.flow.sample import About, Floats, Model, Plan, Sampler, draw, from_levels, noise

if TYPE_CHECKING:
    from mien.training.run import Identity, Trained

# Name of the shipped generator in mien.core.zoo.
SHIPPED = "synfer"
# Faces in a batch; with three evaluations each, larger batches are no faster.
BATCH = 8


class Drawing(Protocol):
    """Draws requests as uint8 faces, (N, S, S) gray or (N, S, S, 3) in colour."""

    def __call__(
        self, some: Sequence[asking.Request], layouts: Sequence[NDArray[np.uint8]] | None = None
    ) -> NDArray[np.uint8]:
        """Return the faces.   layouts: pictures whose layout is kept."""


# "expression" and "units" to the guiding network and its identity.
Guiding = Mapping[str, "tuple[Trained[Any, Any, Any], Identity]"]
Entries = dict[str, object]


class Artist(NamedTuple):
    """Draws faces.

    about: the generator's description.   made_by: entries of a line about it and its settings. card: lines of its card
    for the folder's card.   threads: batches that may be drawn in parallel.
    """

    about: About
    draw: Drawing
    made_by: Entries
    card: list[str]
    threads: int = 1


def embedded(model: str, plan: Plan, seed: int, threads: int) -> Artist:
    """Return the generator of a file, or the shipped one by its name."""
    sampler = Sampler(model)
    made_by: Entries = {"model": Path(model).name, "model_sha256": sampler.sha256, "guidance": None}
    return _flowing(sampler, plan, seed, made_by, card(model))._replace(threads=threads)


def guided(run: Path, plan: Plan, seed: int, guides: Guiding, mode: str, share: float) -> Artist:
    """Return the generator of a run with its guides.   mode, share: see flow.guidance.Guidance."""
    record = method("synfer")
    trained = record.load(run)
    from mien.methods.synfer.flow.guidance import Guidance, Guided

    guidance = Guidance(mode, share)
    networks = {kind: opened.network for kind, (opened, _) in guides.items()}
    made_by: Entries = {
        "model": run.name,
        "model_sha256": trained.run.identity(record.name).weights,
        "guidance": _guidance(asdict(guidance), guides),
    }
    return _flowing(Guided(trained.network, trained.rest, guidance, **networks), plan, seed, made_by, [])


def full_size(run: Path, plan: Mapping[str, Any], seed: int, guides: Guiding, mode: str, share: float) -> Artist:
    """Return a full-size run with its guides.   plan: changes to the defaults of Sampling."""
    record = method("synfer-full")
    record.check()
    from mien.methods.synfer.flow.guidance import Guidance
    from mien.methods.synfer.stable_diffusion.generator import Guides, Sampling
    from mien.methods.synfer.stable_diffusion.train import Painter
    from mien.training.run import Run

    sampling = Sampling(**{"seed": seed, "batch_size": BATCH, **plan})
    steering, about = None, None
    if guides:
        sizes = {opened.settings.size for opened, _ in guides.values()}
        if len(sizes) > 1:
            raise InputError(f"both guides look at faces of one size, but these at {sorted(sizes)} pixels")
        guidance = Guidance(mode, share)
        networks = {kind: opened.network for kind, (opened, _) in guides.items()}
        steering, about = (
            Guides(**networks, guidance=guidance, size=sizes.pop()),
            _guidance(asdict(guidance), guides),
        )
    painter = Painter(run, sampling, steering)
    made_by: Entries = {
        "model": run.name,
        "model_sha256": Run(run).identity(record.name).weights,
        "guidance": about,
        "checkpoint": painter.checkpoint,
        "seed": seed,
        **asdict(sampling),
    }
    return Artist(painter.about, painter.draw, made_by, [])


def _guidance(settings: Entries, guides: Guiding) -> Entries:
    return settings | {"guides": {kind: identity.to_json() for kind, (_, identity) in guides.items()}}


def _flowing(model: Model, plan: Plan, seed: int, made_by: Entries, lines: list[str]) -> Artist:
    """Return the embedded generator, guided or not."""

    def drawing(
        some: Sequence[asking.Request], layouts: Sequence[NDArray[np.uint8]] | None = None
    ) -> NDArray[np.uint8]:
        start = noise(seed, [r.identity for r in some], model.about.size, [r.attempt for r in some])
        if layouts is not None:
            start = np.concatenate([_start(picture, model.about.size) for picture in layouts])
        conditions = asking.conditions(some, model.about.words)
        return draw(model, conditions, start, plan, invert=layouts is not None)

    return Artist(model.about, drawing, made_by | {"seed": seed, **asdict(plan)}, lines)


def _start(image: NDArray[np.uint8], size: int) -> Floats:
    """Return a picture as a face of the embedded generator, (1, 1, S, S)."""
    return from_levels(crop(image, size)[None])


class Layouts:
    """Faces whose layout is kept, one drawn for each identity."""

    def __init__(self, faces: Sequence[Path] | Sequence[Sample]) -> None:
        self._faces = faces

    def name(self, seed: int, identity: int) -> str:
        """Return the source of an identity's face."""
        face = self._face(seed, identity)
        return str(face) if isinstance(face, Path) else face.source

    def picture(self, seed: int, identity: int) -> NDArray[np.uint8]:
        """Return the face of an identity, (H, W, 3)."""
        face = self._face(seed, identity)
        return read_image(face) if isinstance(face, Path) else face.image

    def _face(self, seed: int, identity: int) -> Path | Sample:
        # A random stream separate from the noise and the request.
        return self._faces[int(np.random.default_rng([seed, identity, 2]).integers(len(self._faces)))]
