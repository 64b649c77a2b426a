"""Generated faces to one self-contained page with sliders: each shows faces that were drawn beforehand.

Style, script and faces are inside the page. Without its script, it shows all faces of a dial side by side.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, product

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import mien
from mien.facs.vocabulary import ActionUnit
from mien.report.embed import data_url, encoded, jpeg
from mien.report.markup import fill, head, template, text

# Longest side of an embedded face, in pixels. Small gray faces are stored exactly, others as JPEG.
LONGEST, EXACT = 256, 64


@dataclass(frozen=True, eq=False)
class Dial:
    """Faces of one person over the intensities of one or two action units.

    person: heading of the person.   units: swept, one slider for each.   values: intensities of each slider.
    faces: (V ** len(units), S, S) gray or (V ** len(units), S, S, 3) RGB uint8; the last unit changes fastest.
    """

    person: str
    units: tuple[ActionUnit, ...]
    values: tuple[float, ...]
    faces: NDArray[np.uint8]


def page(dials: Sequence[Dial]) -> str:
    """Return the whole HTML file; dials of one person stand next to each other."""
    style, script = "\n".join([template("style.css"), template("dials.css")]), template("dials.js")
    people = groupby(enumerate(dials), key=lambda numbered: numbered[1].person)
    together = len(dials) > 1 and all(len(dial.units) == 1 for dial in dials)
    return fill(
        "dials.html",
        head=head("Dial the action units", "generated faces", style, script),
        all=f"<div hidden class='all'>{_slider('all', 'All action units', dials[0].values)}</div>" if together else "",
        people="\n".join(_person(person, list(some)) for person, some in people),
        version=mien.__version__,
        script=script,
    )


def _person(name: str, dials: Sequence[tuple[int, Dial]]) -> str:
    body = "\n".join(_dial(dial, f"d{number}") for number, dial in dials)
    return f"<section class='person'>\n<h2>{text(name)}</h2>\n<div class='dials'>\n{body}\n</div>\n</section>"


def _dial(dial: Dial, place: str) -> str:
    faces = "".join(
        f"<img src='{_picture(face)}' alt='{text(dial.person)}, {told}'>"
        for face, told in zip(dial.faces, _told(dial), strict=True)
    )
    sliders = "".join(
        _slider(f"{place}-{i}", f"{unit.column} {unit.label}", dial.values) for i, unit in enumerate(dial.units)
    )
    return f"<div class='dial'><div class='faces'>{faces}</div>{sliders}</div>"


def _slider(place: str, name: str, values: Sequence[float]) -> str:
    """Return a slider that starts at its highest value; the page's script shows it."""
    last, written = len(values) - 1, " ".join(f"{value:g}" for value in values)
    return (
        f"<p hidden class='slide'><label for='{place}'>{name}</label><output for='{place}'>{values[-1]:g}</output>"
        f"<input id='{place}' type='range' min='0' max='{last}' step='1' value='{last}' data-values='{written}' "
        f"aria-valuetext='{values[-1]:g}'></p>"
    )


def _told(dial: Dial) -> Iterator[str]:
    """Return the intensities of each face in words."""
    for values in product(dial.values, repeat=len(dial.units)):
        yield ", ".join(f"{unit.column} at {value:g}" for unit, value in zip(dial.units, values, strict=True))


def _picture(face: NDArray[np.uint8]) -> str:
    picture = Image.fromarray(face)
    if max(picture.size) <= EXACT and picture.mode == "L":
        return data_url("png", encoded(picture, "PNG", optimize=True))
    picture.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    return jpeg(picture, 85)
