"""Write generated faces to a folder: pictures, one line of meta.jsonl for each, a contact sheet and a card.

The folder contains no date or place, so that the same command writes the same bytes.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

import mien
from mien.datasets.synthetic import MADE, read_lines
from mien.errors import InputError
from mien.facs.vocabulary import Expression
from mien.methods.synfer.flow.requests import NAMES, Request
from mien.results.record import Record

FACES, SHEET, CARD = "faces", "sheet.png", "card.md"
# Contact sheet: side of a face in pixels, gap around it, height of its title, and most rows (a sweep of all action
# units fits).
_SIDE, _GAP, _TITLE, _ROWS = 96, 6, 16, 24
# Longest title of a face, in letters.
_LETTERS = 15


def line(number: int, request: Request, made_by: Mapping[str, Any]) -> Record:
    """Return the entry of a face in meta.jsonl.

    made_by: entries common to all faces of the folder, such as the model's hash and the seed.
    """
    return {
        "file": f"{FACES}/{number:06d}.png",
        "requested": None if request.expression is None else request.expression.label,
        "caption": request.caption,
        "au_requested": named(request),
        "identity": request.identity,
        "label_soft": None,
        "label_source": "requested",
        "kept": True,
        **made_by,
    }


def named(request: Request) -> dict[str, float]:
    """Return the known action units by name, "AU12", and differences of the sides, "AU12 left-right"."""
    return {n: round(float(v), 4) for n, v in zip(NAMES, request.units, strict=True) if not np.isnan(v)}


def resume(folder: Path, lines: Sequence[Mapping[str, Any]]) -> int:
    """Return how many of the faces are finished in a folder; remove an incomplete last line.

    Raise InputError if the folder holds something else or faces with other settings.
    """
    path = folder / MADE
    if not path.is_file():
        if folder.is_dir() and any(folder.iterdir()):
            raise InputError(f"{folder} is not empty and has no {MADE}; name a new folder")
        return 0
    whole = path.read_bytes()
    kept = whole[: whole.rfind(b"\n") + 1]
    if len(kept) < len(whole):
        path.write_bytes(kept)
    for number, (there, wanted) in enumerate(zip(read_lines(path), lines, strict=False)):
        other = [key for key in wanted if there.get(key) != json.loads(json.dumps(wanted[key]))]
        if other:
            raise InputError(f"{path}: face {number} was made with another {other[0]}; name a new folder")
    count = len(kept.splitlines())
    if count > len(lines):
        raise InputError(f"{folder} holds {count} faces already, more than the {len(lines)} asked for")
    return count


def append(folder: Path, lines: Sequence[Mapping[str, Any]], faces: NDArray[np.uint8]) -> None:
    """Write (N, S, S) uint8 faces, then their lines, so that each line has its picture."""
    (folder / FACES).mkdir(parents=True, exist_ok=True)
    for one, face in zip(lines, faces, strict=True):
        Image.fromarray(face).save(folder / one["file"])
    with (folder / MADE).open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(one) + "\n" for one in lines)


def sheet(folder: Path, lines: Sequence[Mapping[str, Any]], titles: Sequence[str], columns: int) -> None:
    """Return the first faces of a folder as one picture, each below its title."""
    count = min(len(lines), _ROWS * columns)
    rows, step = -(-count // columns), _SIDE + _GAP
    picture = Image.new("L", (columns * step + _GAP, rows * (step + _TITLE) + _GAP), 255)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(11)
    for i in range(count):
        x, y = _GAP + i % columns * step, _GAP + i // columns * (step + _TITLE)
        face = Image.open(folder / lines[i]["file"]).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
        picture.paste(face, (x, y))
        pen.text((x + _SIDE / 2, y + _SIDE + _TITLE - 4), titles[i][:_LETTERS], fill=0, font=font, anchor="ms")
    picture.save(folder / SHEET)


def card(folder: Path, lines: Sequence[Mapping[str, Any]], model: Sequence[str]) -> None:
    """Return a description of a folder of faces: how they were made and what they are not for.

    model: lines of the generator's own card, if any.
    """
    (folder / CARD).write_text("\n".join(_card(lines, model)) + "\n", encoding="utf-8")


def _card(lines: Sequence[Mapping[str, Any]], model: Sequence[str]) -> Iterator[str]:
    made_by = {
        key: lines[0][key] for key in ("model", "model_sha256", "seed", "steps", "text_scale", "unit_scale", "init")
    }
    yield from ("# Generated faces", "")
    yield "> None of these people exists. A small network drew them from the conditions below."
    if made_by["init"] == "invert":
        yield "> Each starts from the layout of a photograph and may resemble the person in it."
    yield from (f"> {line}" for line in model)
    yield from ("", "| | |", "|---|---|")
    yield f"| faces | {len(lines)}, in `{FACES}/`; a line for each in `{MADE}` |"
    wanted = [e.label for e in Expression] + [None]
    shares = ((name, sum(one["requested"] == name for one in lines)) for name in wanted)
    yield "| asked for | " + ", ".join(f"{name or 'no expression'} {count}" for name, count in shares if count) + " |"
    yield from (f"| {key.replace('_', ' ')} | {value} |" for key, value in made_by.items())
    if lines[0]["guidance"]:
        yield f"| guidance | {json.dumps(lines[0]['guidance'])} |"
    yield f"| made with | mien {mien.__version__} |"
    yield "| labels | the requested expression, which the face need not show; `mien annotate` labels what it shows |"
    yield "| intended use | training and testing of expression readers, teaching, showing what action units look like |"
    yield "| not for | passing as photographs of people; judging what anybody feels |"
