"""mien generate: faces that show an expression, words and action units."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
from numpy.typing import NDArray

from mien.cli.make.train import chosen as settings_from
from mien.cli.make.train import method
from mien.cli.shared.data import DATA_HELP, open_data
from mien.cli.shared.runs import RUN_HELP, open_run
from mien.cli.shared.threads import in_threads, jobs_option
from mien.core.align import crop
from mien.core.images import read_image
from mien.core.zoo import card
from mien.datasets import Sample
from mien.datasets.folder import pictures
from mien.datasets.kinds import is_named
from mien.errors import InputError
from mien.extras import optional
from mien.facs.vocabulary import ActionUnit, Expression, expression
from mien.methods.synfer.flow import album
from mien.methods.synfer.flow import requests as asking
from mien.methods.synfer.flow.sample import About, Floats, Model, Plan, Sampler, draw, from_levels, noise

# Faces drawn together; with three evaluations each, larger batches are no faster.
BATCH = 8
# Intensities of a swept action unit.
STEPS = tuple(round(0.1 * i, 1) for i in range(11))
GUIDANCE = ("tokens", "estimate")
# Requests, and the pictures whose layout they keep, to (N, S, S) gray or (N, S, S, 3) colour faces, uint8.
Drawing = Callable[[Sequence[asking.Request], Sequence[NDArray[np.uint8]] | None], NDArray[np.uint8]]


@click.command()
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder to write."
)
@click.option(
    "-n", "count", type=click.IntRange(min=1), default=16, show_default=True, help="Faces, or people of a sweep."
)
@click.option(
    "--expression",
    "expressions",
    metavar="NAME,...",
    help="What they show, taken in turn; or all eight, `all`; or as they occur in the training faces, `natural`. Left "
    "out, the model is free.",
)
@click.option(
    "--au",
    "units",
    multiple=True,
    metavar="UNIT=VALUE",
    help="An action unit from 0 to 1, such as 12=0.8, or one side of it, 14L=0.6; may be given again.",
)
@click.option(
    "--others",
    type=click.Choice(asking.OTHERS),
    help="Action units that are not given: `free`, the model decides; `rest`, none of them; `class`, as a face of the "
    "expression has them. Left out: class where an expression and no action unit is given, else free.",
)
@click.option("--caption", default="", metavar="TEXT", help="In words that the model knows, such as 'eyebrows lifted'.")
@click.option(
    "--write-captions", type=click.Choice(("short", "long")), help="A caption for each face, from its action units."
)
@click.option(
    "--sweep",
    metavar="UNIT,...|all",
    help="For each person and each of these action units a row of faces in which it rises from 0 to 1.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--steps", type=click.IntRange(min=1), default=25, show_default=True, help="From noise to a face; 50 of a run."
)
@click.option(
    "--text-scale", default=2.0, show_default=True, help="How much expression and caption count; 7.5 of a run."
)
@click.option(
    "--au-scale", "unit_scale", default=1.5, show_default=True, help="How much action units count; 7.5 of a run."
)
@click.option(
    "--init",
    type=click.Choice(("noise", "invert")),
    default="noise",
    show_default=True,
    help="Begin with noise, or with the layout of a face from --layout.",
)
@click.option(
    "--layout", metavar="PATH|KIND:PATH", help="Picture of a face, folder of them, or data set, for --init invert."
)
@click.option(
    "--depth",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.7,
    show_default=True,
    help="How far such a face is taken back to noise.",
)
@click.option(
    "--model",
    default="synfer",
    show_default=True,
    metavar="NAME|FILE.onnx|RUN",
    help="The generator, or a run of synfer-full.",
)
@jobs_option(f"Each draws {BATCH} faces at a time; of no effect with --run or a RUN.")
@click.option("--run", type=click.Path(path_type=Path, file_okay=False), help="Guidance: the generator's training run.")
@click.option("--guide", metavar="METHOD:RUN", help=f"Guidance: a classifier of expressions. {RUN_HELP}")
@click.option("--au-guide", metavar="METHOD:RUN", help="Guidance: a network that estimates action units.")
@click.option(
    "--guidance",
    type=click.Choice(GUIDANCE),
    default="tokens",
    show_default=True,
    help="Guidance: what the guides move, the tokens of the text or the face that the flow is heading for.",
)
@click.option(
    "--guided-share",
    type=click.FloatRange(0, 1),
    default=0.4,
    show_default=True,
    help="Guidance: the share of the steps, the last, that are guided.",
)
def generate(
    output: Path,
    count: int,
    expressions: str | None,
    units: tuple[str, ...],
    others: str | None,
    caption: str,
    write_captions: str | None,
    sweep: str | None,
    seed: int,
    steps: int,
    text_scale: float,
    unit_scale: float,
    init: str,
    layout: str | None,
    depth: float,
    model: str,
    jobs: int,
    run: Path | None,
    guide: str | None,
    au_guide: str | None,
    guidance: str,
    guided_share: float,
) -> None:
    """Draw faces that show an expression, words and action units: pictures, a contact sheet and a card.

    The same command gives the same bytes, and goes on where it was stopped.
    """
    if (init == "invert") != (layout is not None):
        raise click.UsageError("--init invert and --layout go together: the faces whose layout is kept")
    full_size = Path(model).is_dir()
    if full_size and (run is not None or write_captions):
        raise click.UsageError("a run of synfer-full needs no --run to be guided, and --caption may have any words")
    if not full_size and (run is not None) != (guide is not None or au_guide is not None):
        raise click.UsageError("guidance needs --run and --guide, --au-guide or both")
    if caption and write_captions:
        raise click.UsageError("--caption is for all faces, --write-captions writes one for each; give one of the two")
    plan = Plan(steps, text_scale, unit_scale, depth)
    guides: dict[str, Any] = {"guide": guide, "au_guide": au_guide, "mode": guidance, "share": guided_share}
    if full_size:
        artist = _full_size(Path(model), asdict(plan), seed, **guides)
    elif run is None:
        artist = _embedded(model, plan, seed, jobs)
    else:
        artist = _guided(run, plan, seed, **guides)
    # The full size has no list of words to check a caption against.
    wish = _wish(expressions, units, others, "" if full_size else caption, write_captions)
    swept = [] if sweep is None else list(ActionUnit) if sweep == "all" else list(map(asking.unit, sweep.split(",")))
    if swept:
        chosen = asking.sweep(wish, artist.about, swept, STEPS, count, seed)
    else:
        chosen = asking.requests(wish, artist.about, count, seed)
    if full_size:
        chosen = [replace(request, caption=caption) for request in chosen]
    made_by = artist.made_by | {"init": init}
    faces = None if layout is None else _layouts(layout)
    lines = []
    for number, request in enumerate(chosen):
        where = {} if faces is None else {"layout": faces.name(seed, request.identity)}
        lines.append(album.line(number, request, made_by | where))
    started = time.monotonic()
    new = _draw(artist, chosen, lines, faces, seed, output)
    seconds = time.monotonic() - started
    titles = [_title(request, unit) for request, unit in zip(chosen, _swept_units(swept, len(chosen)), strict=True)]
    album.sheet(output, lines, titles, len(STEPS) if swept else min(8, len(lines)))
    album.card(output, lines, artist.card)
    speed = f", {new / seconds:.1f} a second" if new else ""
    click.echo(f"wrote {output}: {len(lines)} faces{speed}; look at {output / album.SHEET}", err=True)


def sampler_name(model: str) -> str:
    """What a model file is called, without the folder that it lies in."""
    return Path(model).name


def _wish(
    expressions: str | None, units: Sequence[str], others: str | None, caption: str, written: str | None
) -> asking.Wish:
    given = asking.units(units)
    shown: tuple[Expression | None, ...] = (None,)
    if expressions in ("all", "natural"):
        shown = tuple(Expression)
    elif expressions is not None:
        shown = tuple(expression(word) for word in expressions.split(","))
    usual = "class" if expressions is not None and not units else "free"
    return asking.Wish(shown, given, expressions == "natural", others or usual, caption, written or "")


class _Layouts:
    """Faces whose layout is kept, one drawn for each identity."""

    def __init__(self, faces: Sequence[Path] | Sequence[Sample]) -> None:
        self._faces = faces

    def name(self, seed: int, identity: int) -> str:
        """Where the face of an identity comes from."""
        face = self._face(seed, identity)
        return str(face) if isinstance(face, Path) else face.source

    def picture(self, seed: int, identity: int) -> NDArray[np.uint8]:
        """The face of an identity, (H, W, 3)."""
        face = self._face(seed, identity)
        return read_image(face) if isinstance(face, Path) else face.image

    def _face(self, seed: int, identity: int) -> Path | Sample:
        # A stream of its own beside those of the noise and of the request.
        return self._faces[int(np.random.default_rng([seed, identity, 2]).integers(len(self._faces)))]


def _layouts(text: str) -> _Layouts:
    if is_named(text):
        return _Layouts(open_data(text))
    path = Path(text)
    files = pictures(path) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path}: no pictures in this folder; --layout names faces, or {DATA_HELP}")
    return _Layouts(files)


def _draw(
    artist: "_Artist",
    chosen: Sequence[asking.Request],
    lines: Sequence[dict[str, Any]],
    layouts: _Layouts | None,
    seed: int,
    output: Path,
) -> int:
    """Write the faces that the folder lacks; how many that were."""
    done = album.resume(output, lines)

    def drawn(part: range) -> NDArray[np.uint8]:
        some = [chosen[i] for i in part]
        kept = None if layouts is None else [layouts.picture(seed, request.identity) for request in some]
        return artist.draw(some, kept)

    # A batch that was cut short is drawn whole again: what is beside a face moves the last bits of its numbers.
    parts = [range(i, min(i + BATCH, len(chosen))) for i in range(done - done % BATCH, len(chosen), BATCH)]
    parts = parts if done < len(chosen) else []
    every = in_threads(drawn, parts, artist.threads, "Drawing", len(parts))
    for part, faces in zip(parts, every, strict=True):
        there = max(0, done - part.start)
        album.append(output, [lines[i] for i in part[there:]], faces[there:])
    return len(chosen) - done


class _Artist(NamedTuple):
    """Who draws.

    about: what the generator says of itself.   made_by: what a line says of it and of how it draws.
    card: the lines of its card that the folder's card repeats.   threads: that may draw at a time.
    """

    about: About
    draw: Drawing
    made_by: dict[str, Any]
    card: list[str]
    threads: int = 1


def _embedded(model: str, plan: Plan, seed: int, threads: int) -> _Artist:
    """The generator of a file."""
    sampler = Sampler(model)
    made_by = {"model": sampler_name(model), "model_sha256": sampler.sha256, "guidance": None}
    return _flowing(sampler, plan, seed, made_by, card(model))._replace(threads=threads)


def _flowing(model: Model, plan: Plan, seed: int, made_by: dict[str, Any], lines: list[str]) -> _Artist:
    """The embedded generator, guided or not."""

    def drawing(some: Sequence[asking.Request], layouts: Sequence[NDArray[np.uint8]] | None) -> NDArray[np.uint8]:
        start = noise(seed, [request.identity for request in some], model.about.size)
        if layouts is not None:
            start = np.concatenate([_start(picture, model.about.size) for picture in layouts])
        told = asking.conditions(some, model.about.words)
        return draw(model, told, start, plan, invert=layouts is not None)

    return _Artist(model.about, drawing, made_by | {"seed": seed, **asdict(plan)}, lines)


def _start(image: NDArray[np.uint8], size: int) -> Floats:
    """A picture of a face as the embedded generator has faces, (1, 1, S, S)."""
    return from_levels(crop(image, size)[None])


def _full_size(
    run: Path, given: dict[str, Any], seed: int, guide: str | None, au_guide: str | None, mode: str, share: float
) -> _Artist:
    """A run of synfer-full with its guides."""
    method("synfer-full")
    from mien.export.runs import settings_of
    from mien.methods.synfer.flow.guidance import Guidance
    from mien.methods.synfer.judge.networks import Identity
    from mien.methods.synfer.stable_diffusion.generator import Guides, Sampling
    from mien.methods.synfer.stable_diffusion.train import Painter

    plan = settings_from({}, None, given, Sampling(seed=seed, batch_size=BATCH))
    named = {kind: text for kind, text in (("expression", guide), ("units", au_guide)) if text is not None}
    opened = {kind: open_run(text) for kind, text in named.items()}
    guides, said = None, None
    if opened:
        sizes = {settings_of(Path(text.partition(":")[2]))["size"] for text in named.values()}
        if len(sizes) > 1:
            raise InputError(f"both guides look at faces of one size, but these at {sorted(sizes)} pixels")
        guidance = Guidance(mode, share)
        guides = Guides(**{kind: network for kind, (network, _) in opened.items()}, guidance=guidance, size=sizes.pop())
        said = asdict(guidance) | {"guides": {kind: identity.to_json() for kind, (_, identity) in opened.items()}}
    painter = Painter(run, plan, guides)
    made_by = {"model": run.name, "model_sha256": Identity.of("synfer-full", run).weights, "guidance": said}
    return _Artist(
        painter.about, painter.draw, made_by | {"checkpoint": painter.checkpoint, "seed": seed, **asdict(plan)}, []
    )


def _swept_units(swept: Sequence[ActionUnit], count: int) -> Sequence[ActionUnit | None]:
    """For each face of a sweep its action unit; None without a sweep."""
    if not swept:
        return [None] * count
    row = [unit for unit in swept for _ in STEPS]
    return row * (count // len(row))


def _title(request: asking.Request, unit: ActionUnit | None) -> str:
    if unit is not None:
        return f"{unit.column} {request.units[asking.UNITS.index(unit)]:.1f}"
    return "" if request.expression is None else request.expression.label


def _guided(
    run: Path, plan: Plan, seed: int, guide: str | None, au_guide: str | None, mode: str, share: float
) -> _Artist:
    """The generator of a run with its guides."""
    for library in ("torch", "timm", "lightning", "safetensors"):
        optional(library, "train")
    from mien.methods.synfer.flow.export import about_of, load_run
    from mien.methods.synfer.flow.guidance import Guidance, Guided
    from mien.methods.synfer.judge.networks import Identity

    guidance = Guidance(mode, share)
    guides = {kind: open_run(text) for kind, text in (("expression", guide), ("units", au_guide)) if text is not None}
    network, _ = load_run(run)
    networks = {kind: found for kind, (found, _) in guides.items()}
    said = asdict(guidance) | {"guides": {kind: identity.to_json() for kind, (_, identity) in guides.items()}}
    made_by = {"model": run.name, "model_sha256": Identity.of("synfer", run).weights, "guidance": said}
    return _flowing(Guided(network, about_of(run), guidance, **networks), plan, seed, made_by, [])
