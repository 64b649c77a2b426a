"""`mien generate`: draw faces with a given expression, caption and action units."""

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from mien.cli.shared.data import DATA_HELP, open_data
from mien.cli.shared.runs import RUN_HELP, open_run
from mien.cli.shared.settings import explicit
from mien.cli.shared.threads import in_threads, jobs_option
from mien.datasets.folder import pictures
from mien.datasets.kinds import is_named
from mien.datasets.synthetic import MADE, read_lines
from mien.errors import InputError
from mien.facs.vocabulary import Expression, expression
from mien.methods.feranno.sieve import Sieve, sifted, told
from mien.methods.synfer import artist as artists
from mien.methods.synfer.artist import BATCH, Artist, Entries, Guiding, Layouts
from mien.methods.synfer.flow import album
from mien.methods.synfer.flow import requests as asking
from mien.methods.synfer.flow.dialled import PAGE, Dialled
from mien.methods.synfer.flow.sample import Plan

# Most draws of a face by default.
TRIES = 4
GUIDANCE = ("tokens", "estimate")


@click.command()
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder to write."
)
@click.option(
    "-n",
    "count",
    type=click.IntRange(min=1),
    default=16,
    show_default=True,
    help="Number of faces, or of people in a sweep.",
)
@click.option(
    "--expression",
    "expressions",
    metavar="NAME,...",
    help="Expressions to draw in turn; `all` for all eight; `natural` for their frequencies in the training faces. By "
    "default, the model chooses.",
)
@click.option(
    "--au",
    "units",
    multiple=True,
    metavar="UNIT=VALUE",
    help="Intensity of an action unit, 0 to 1, such as 12=0.8, or of one side, 14L=0.6; repeatable.",
)
@click.option(
    "--others",
    type=click.Choice(asking.OTHERS),
    help="Action units without --au: `free`, chosen by the model; `rest`, inactive; `class`, as is typical of the "
    "expression. Default: class if an expression and no action unit is given, else free.",
)
@click.option(
    "--caption", default="", metavar="TEXT", help="Caption in words that the model knows, such as 'eyebrows lifted'."
)
@click.option(
    "--write-captions",
    type=click.Choice(("short", "long")),
    help="Write a caption for each face from its action units.",
)
@click.option(
    "--sweep",
    metavar="UNIT,...|all",
    help="Draw a row of faces for each person and each of these action units, with intensity from 0 to 1.",
)
@click.option(
    "--grid",
    metavar="UNIT,UNIT",
    help="Draw all combinations of the intensities 0, 0.25, 0.5, 0.75 and 1 of two action units for each person.",
)
@click.option(
    "--tries",
    type=click.IntRange(min=1),
    default=None,
    metavar="N",
    help="Draw a face again, up to this many times in all, until mien's reader finds it readable and FERAnno sees the "
    "requested expression; 1 checks nothing. Default: 4; 1 for sweeps, grids, --init invert and synfer-full.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the noise.")
@click.option(
    "--steps", type=click.IntRange(min=1), default=25, show_default=True, help="Denoising steps; 50 for synfer-full."
)
@click.option(
    "--text-scale",
    default=2.0,
    show_default=True,
    help="Guidance scale of expression and caption; 7.5 for synfer-full.",
)
@click.option(
    "--au-scale",
    "unit_scale",
    default=1.5,
    show_default=True,
    help="Guidance scale of the action units; 7.5 for synfer-full.",
)
@click.option(
    "--init",
    type=click.Choice(("noise", "invert")),
    default="noise",
    show_default=True,
    help="Start from noise, or from the layout of a face in --layout.",
)
@click.option("--layout", metavar="PATH|KIND:PATH", help="Picture, folder or data set of faces for --init invert.")
@click.option(
    "--depth",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.7,
    show_default=True,
    help="Fraction of the way from such a face back to noise.",
)
@click.option(
    "--model",
    default=artists.SHIPPED,
    show_default=True,
    metavar="NAME|FILE.onnx|RUN",
    help="Generator, or a run of synfer-full.",
)
@jobs_option(f"Batches of {BATCH} faces drawn in parallel; ignored with --run or a run of synfer-full.")
@click.option(
    "--run", type=click.Path(path_type=Path, file_okay=False), help="Guidance: training run of the generator."
)
@click.option("--guide", metavar="METHOD:RUN", help=f"Guidance: expression classifier. {RUN_HELP}")
@click.option("--au-guide", metavar="METHOD:RUN", help="Guidance: network that estimates action units.")
@click.option(
    "--guidance",
    type=click.Choice(GUIDANCE),
    default="tokens",
    show_default=True,
    help="Guidance: what the gradients change: the text tokens or the predicted face.",
)
@click.option(
    "--guided-share",
    type=click.FloatRange(0, 1),
    default=0.4,
    show_default=True,
    help="Guidance: fraction of the steps, from the end, that are guided.",
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
    grid: str | None,
    tries: int | None,
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

    The same command writes the same bytes, and continues after an interruption.
    """
    if sweep and grid:
        raise click.UsageError("--sweep changes one action unit at a time, --grid two; give one of the two")
    if tries is not None and tries > 1 and (sweep or grid or layout is not None or Path(model).is_dir()):
        raise click.UsageError("--tries draws other people and reads faces of 48 pixels; leave it out here")
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
    artist = _artist(model, run, plan, seed, jobs, _guides(guide, au_guide), guidance, guided_share)
    # The full-size model accepts any caption.
    wish = _wish(expressions, units, others, "" if full_size else caption, write_captions)
    dialled = Dialled.sweep(sweep) if sweep else Dialled.grid(grid) if grid else None
    chosen = (asking if dialled is None else dialled).requests(wish, artist.about, count, seed)
    if full_size:
        chosen = [replace(request, caption=caption) for request in chosen]
    usual = 1 if dialled is not None or layout is not None or full_size else TRIES
    most = tries or usual
    made_by = artist.made_by | {"init": init} | ({"tries": most} if most > 1 else {})
    faces = None if layout is None else _layouts(layout)
    lines = [album.line(i, request, made_by | _layout(faces, seed, request)) for i, request in enumerate(chosen)]
    started = time.monotonic()
    new = _draw(artist, chosen, lines, faces, seed, output, most)
    seconds = time.monotonic() - started
    titles = list(map(_title, chosen)) if dialled is None else dialled.titles(chosen)
    album.sheet(output, lines, titles, min(8, len(lines)) if dialled is None else dialled.columns)
    album.card(output, lines, artist.card)
    if dialled is not None:
        dialled.write_page(output, lines, chosen)
    speed = f", {new / seconds:.1f} a second" if new else ""
    look = output / (album.SHEET if dialled is None else PAGE)
    if most > 1:
        click.echo(told(read_lines(output / MADE), most), err=True)
    click.echo(f"wrote {output}: {len(lines)} faces{speed}; look at {look}", err=True)


def _artist(
    model: str, run: Path | None, plan: Plan, seed: int, jobs: int, guides: Guiding, mode: str, share: float
) -> Artist:
    if Path(model).is_dir():
        return artists.full_size(Path(model), explicit(asdict(plan)), seed, guides, mode, share)
    if run is None:
        return artists.embedded(model, plan, seed, jobs)
    return artists.guided(run, plan, seed, guides, mode, share)


def _guides(guide: str | None, au_guide: str | None) -> Guiding:
    guides = {} if guide is None else {"expression": open_run(guide, "expressions")}
    return guides if au_guide is None else guides | {"units": open_run(au_guide, "action_units")}


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


def _layout(faces: Layouts | None, seed: int, request: asking.Request) -> Entries:
    return {} if faces is None else {"layout": faces.name(seed, request.identity)}


def _layouts(text: str) -> Layouts:
    if is_named(text):
        return Layouts(open_data(text))
    path = Path(text)
    files = pictures(path) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path}: no pictures in this folder; --layout names faces, or {DATA_HELP}")
    return Layouts(files)


def _draw(
    artist: Artist,
    chosen: Sequence[asking.Request],
    lines: Sequence[Entries],
    layouts: Layouts | None,
    seed: int,
    output: Path,
    tries: int,
) -> int:
    """Write the faces that are missing in the folder; return how many."""
    done = album.resume(output, lines)
    check = Sieve() if tries > 1 and done < len(chosen) else None

    def drawn(part: range) -> tuple[NDArray[np.uint8], list[Entries]]:
        some = [chosen[i] for i in part]
        if check is not None:
            return sifted(partial(artist.draw, layouts=None), some, check, tries)
        kept = None if layouts is None else [layouts.picture(seed, request.identity) for request in some]
        return artist.draw(some, kept), [{}] * len(some)

    # Redraw an incomplete batch whole: the last bits of a face depend on the rest of its batch.
    parts = [range(i, min(i + BATCH, len(chosen))) for i in range(done - done % BATCH, len(chosen), BATCH)]
    parts = parts if done < len(chosen) else []
    every = in_threads(drawn, parts, artist.threads, "Drawing", len(parts))
    for part, (faces, found) in zip(parts, every, strict=True):
        there = max(0, done - part.start)
        album.append(output, [lines[i] | found[i - part.start] for i in part[there:]], faces[there:])
    return len(chosen) - done


def _title(request: asking.Request) -> str:
    return "" if request.expression is None else request.expression.label
