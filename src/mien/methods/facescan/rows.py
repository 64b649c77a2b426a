"""FER-Rows: a benchmark of several people a picture, made of any data set of single faces.

Faces that most annotators agree on stand side by side on black. Where each stands and what it shows is known, and so is
what a model says of the same face alone, which tells what having several people costs. How often each expression occurs
is left as the data have it.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from mien.datasets.base import Sample
from mien.errors import InputError
from mien.evaluation.protocols import Selection, select
from mien.facs.vocabulary import Expression, expression
from mien.results.face import Face
from mien.results.record import Record

# Pixels: the side of a face, from face to face, and the height of the picture.
SIDE, GAP, HEIGHT = 112, 16, 160
FRAME = 4  # pixels, around a face
COLORS = {"red": "#e02020", "green": "#20b040", "blue": "#3060f0", "yellow": "#f0d020", "purple": "#a040c0"}
COLORS["white"] = "#ffffff"
MOST = len(COLORS)
# Nothing brighter is black; faces that are closer to each other than so many pixels are one to the splitter.
_BLACK, _CLOSE = 8, GAP // 2
ROWS, ABOUT = "rows.jsonl", "about.json"


@dataclass(frozen=True)
class RowFace:
    """One face of a row.

    box: x1 y1 x2 y2, pixels of the row.   picture: the same face alone, as the data have it.   source: see Sample.
    frame: colour of the frame around it, a word of COLORS; None without.
    """

    box: tuple[int, int, int, int]
    expression: Expression
    picture: Path
    source: str
    frame: str | None = None


@dataclass(frozen=True)
class Row:
    """A picture and its faces, from left to right."""

    picture: Path
    faces: tuple[RowFace, ...]

    @property
    def boxes(self) -> NDArray[np.float64]:
        """(P, 4) x1 y1 x2 y2 in pixels."""
        return np.array([face.box for face in self.faces], np.float64)


@dataclass(frozen=True)
class FerRows:
    """A built benchmark.

    about: what it was made of: data, rows, people_a_row, agreement, frames, seed, and how many of each expression.
    """

    about: Record
    rows: tuple[Row, ...]


def build(
    dataset: Sequence[Sample],
    folder: Path,
    *,
    data: str,
    rows: int = 500,
    people: int = 4,
    agreement: float = 0.7,
    frames: bool = False,
    seed: int = 0,
) -> FerRows:
    """Write the benchmark to a folder: rows/*.png, faces/*.png, rows.jsonl and about.json; no face is used twice.

    data: what to call the data set.   people: in each row, 2 to 6.   agreement: least share of the votes for the label.
    frames: a frame of another colour around each face, so that somebody can be asked for by it.
    InputError for a folder that is not empty, or too few faces; faces that other splits have too are left out.
    """
    if not 2 <= people <= MOST:
        raise InputError(f"a row has 2 to {MOST} people, not {people}")
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty; name a new folder for the benchmark")
    kept = select(dataset, "majority", duplicates=False)
    agreed = [i for i, sample in enumerate(kept.samples) if _agreement(sample) >= agreement]
    if len(agreed) < rows * people:
        raise InputError(
            f"{rows} rows of {people} need {rows * people} different faces, but {data} has {len(agreed)} that at least "
            f"{agreement:.0%} of the votes agree on; ask for at most {len(agreed) // people} rows"
        )
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(agreed)[: rows * people].reshape(rows, people).tolist()
    for name in ("rows", "faces"):
        (folder / name).mkdir(parents=True)
    made = []
    for number, indices in enumerate(drawn):
        colors = rng.permutation(list(COLORS))[:people].tolist() if frames else [None] * people
        made.append(_write(folder, number, kept, indices, colors))
    shown = Counter(face.expression.label for row in made for face in row.faces)
    about = {"data": data, "protocol": kept.protocol, "agreement": agreement, "rows": rows, "people_a_row": people}
    about |= {"frames": frames, "seed": seed, "expressions": {e.label: shown[e.label] for e in Expression}}
    lines = [json.dumps(_line(row, folder)) + "\n" for row in made]
    (folder / ROWS).write_text("".join(lines), encoding="utf-8")
    (folder / ABOUT).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return FerRows(about, tuple(made))


def load(folder: Path) -> FerRows:
    """Read a benchmark that `build` wrote; raise InputError if there is none."""
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        lines = [json.loads(line) for line in (folder / ROWS).read_text(encoding="utf-8").splitlines()]
        return FerRows(about, tuple(_row(line, folder) for line in lines))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{folder}: no FER-Rows benchmark can be read ({error}); `mien bench fer-rows` builds one"
        ) from error


def split(image: NDArray[np.uint8]) -> list[Face]:
    """The faces of an (H, W, 3) row by the black between them, from left to right: a detector that needs no model."""
    lit = image.max(axis=2) > _BLACK
    return [_around(lit, start, stop) for start, stop in _runs(lit.any(axis=0))]


def _runs(lit: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """First column and the one after the last, of stretches that are lit but for narrow gaps."""
    columns = np.flatnonzero(lit)
    if not len(columns):
        return
    cuts = np.flatnonzero(np.diff(columns) > _CLOSE)
    for first, last in zip([0, *(cuts + 1)], [*cuts, len(columns) - 1], strict=True):
        yield int(columns[first]), int(columns[last]) + 1


def _around(lit: NDArray[np.bool_], start: int, stop: int) -> Face:
    high = np.flatnonzero(lit[:, start:stop].any(axis=1))
    return Face(np.array([start, high[0], stop, high[-1] + 1], np.float32), None, 1.0)


def _agreement(sample: Sample) -> float:
    """The share of the votes for the label; 1 where nobody voted."""
    if sample.votes is not None:
        return float(sample.votes.max() / sample.votes.sum())
    return 1.0 if sample.soft is None else float(sample.soft.max())


def _write(folder: Path, number: int, kept: Selection, indices: Sequence[int], colors: Sequence[str | None]) -> Row:
    canvas = Image.new("RGB", (len(indices) * (SIDE + GAP), HEIGHT))
    pen, top = ImageDraw.Draw(canvas), (HEIGHT - SIDE) // 2
    faces = []
    for place, (index, color) in enumerate(zip(indices, colors, strict=True)):
        sample, left = kept.samples[index], place * (SIDE + GAP) + GAP // 2
        alone, box = Image.fromarray(sample.image), (left, top, left + SIDE, top + SIDE)
        canvas.paste(ImageOps.pad(alone, (SIDE, SIDE), Image.Resampling.BICUBIC), box[:2])
        if color is not None:
            x1, y1, x2, y2 = box
            pen.rectangle((x1 - FRAME, y1 - FRAME, x2 + FRAME - 1, y2 + FRAME - 1), outline=COLORS[color], width=FRAME)
        picture = folder / "faces" / f"{number:04}-{place}.png"
        alone.save(picture)
        faces.append(RowFace(box, Expression(int(kept.labels[index])), picture, sample.source, color))
    canvas.save(folder / "rows" / f"{number:04}.png")
    return Row(folder / "rows" / f"{number:04}.png", tuple(faces))


def _line(row: Row, folder: Path) -> Record:
    faces = [
        asdict(face) | {"expression": face.expression.label, "picture": face.picture.relative_to(folder).as_posix()}
        for face in row.faces
    ]
    return {"picture": row.picture.relative_to(folder).as_posix(), "faces": faces}


def _row(line: Record, folder: Path) -> Row:
    faces = tuple(
        RowFace(
            tuple(face["box"]), expression(face["expression"]), folder / face["picture"], face["source"], face["frame"]
        )
        for face in line["faces"]
    )
    return Row(folder / line["picture"], faces)
