"""Reports to one self-contained page: pictures with numbered boxes, a card for each face, what the numbers mean.

The page asks nobody for anything: its style, script and pictures are inside it, and its policy allows no others.
The parts that are not Python lie in the folder `report`.
"""

import io
from collections import Counter
from collections.abc import Iterable
from itertools import zip_longest
from os import SEEK_END
from shutil import copyfileobj
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

import mien
from mien.core import zoo
from mien.facs.vocabulary import CAVEAT
from mien.report.card import card, reading
from mien.report.draw import COLORS
from mien.report.embed import FACE_BYTES, MAX_BYTES, MIN_BYTES, fitted, jpeg
from mien.report.heat import STRENGTH, VIRIDIS, heat_picture
from mien.report.index import choices, faces_in_words, item, kinds
from mien.report.markup import command_line, file_name, fill, head, json_data, template, text
from mien.report.words import strangers
from mien.results.face import FaceReport
from mien.results.outcome import Outcome
from mien.results.record import Record

# What is added to a page stays in memory up to so many bytes of each kind. A browser needs long for a page above the
# second, or does not open it.
IN_MEMORY, LARGE = 4_000_000, 100_000_000
# Stands in a page where something else is put in; no text has it, for control characters are taken out.
_CUT = "\0"
NO_FACE = """<div class="message">
<p>No face was found here. It may be very small, turned away, or covered. Worth trying:</p>
<ul>
<li><code>--rotations always</code> for faces that lie or hang upside down beside others</li>
<li><code>--max-side 1280</code> for small faces in a large picture</li>
<li><code>--threshold 0.5</code> to accept faces that the detector is less sure of</li>
</ul>
</div>"""


def page(outcomes: Iterable[Outcome], command: str = "") -> str:
    """Return the whole HTML file; an outcome without image has no picture.   command: made it, shown at its end."""
    file = io.BytesIO()
    with PageWriter(command) as writer:
        for outcome in outcomes:
            writer.add(outcome)
        writer.write(file)
    return file.getvalue().decode("utf-8")


class PageWriter:
    """A page that is made picture by picture; use it as a context manager.

    What was added waits as HTML in temporary files, its pictures as JPEGs, so that memory does not grow with them.
    command: made the page, shown at its end.   on_disk: False keeps everything in memory.
    """

    def __init__(self, command: str = "", *, on_disk: bool = True) -> None:
        self._command, self._count = command, 0
        self._first: Outcome | None = None  # alone on its page, it looks otherwise than among others
        self._items, self._entries, self._json = (
            SpooledTemporaryFile(IN_MEMORY if on_disk else 0)  # noqa: SIM115 - closed at the end of the block that the writer is for
            for _ in range(3)
        )
        self._kinds: Counter[str] = Counter()
        self._models: dict[str, None] = {}
        self._explained = self._taken = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for file in (self._items, self._entries, self._json):
            file.close()

    def add(self, outcome: Outcome) -> None:
        """Add one outcome."""
        self._count += 1
        if self._count == 1:
            self._first = outcome
        else:
            if self._first is not None:
                self._put(self._first, 1)
                self._first = None
            self._put(outcome, self._count)
        self._note(outcome)

    def write(self, file: BinaryIO) -> None:
        """Write the page of all that was added."""
        alone = self._first
        entries = self._entries if alone is None else io.BytesIO(_picture(alone, 1, named=False).encode("utf-8"))
        script = template("page.js")
        title = f"{self._count} pictures" if alone is None else text(file_name(alone.name))
        options = "\n".join(choices(self._kinds))
        contents = "" if self._count < 2 else fill("index.html", count=self._count, choices=options, items=_CUT)
        whole = fill(
            "page.html",
            head=head(title, "facial expressions", _style(), script),
            script=script,
            contents=contents,
            pictures=_CUT,
            models=_models(self._models),
            reasons=(template("reasons.html") if self._explained else "") + (f"<p>{CAVEAT}</p>" if self._taken else ""),
            version=mien.__version__,
            command=f" by <code>{text(command_line(self._command))}</code>" if self._command else "",
            json=_CUT,
        )
        parts = whole.split(_CUT)
        for part, kept in zip_longest(parts, [*[self._items] * bool(contents), entries, self._json]):
            file.write(part.encode("utf-8"))
            if kept is not None:
                kept.seek(0)
                copyfileobj(kept, file)
                kept.seek(0, SEEK_END)

    def _put(self, outcome: Outcome, number: int) -> None:
        self._items.write(item(outcome, number).encode("utf-8"))
        self._entries.write(_picture(outcome, number, named=True).encode("utf-8"))

    def _note(self, outcome: Outcome) -> None:
        """Take from an outcome what the page says of all."""
        self._json.write(("," if self._count > 1 else "").encode() + json_data(_plain(outcome)).encode("ascii"))
        self._kinds.update(kinds(outcome))
        if outcome.report is None:
            return
        faces = outcome.report.faces
        if outcome.report.model:
            self._models[outcome.report.model] = None
        self._explained |= any(face.action_units is not None or face.attention is not None for face in faces)
        asked = [*(face.attributes for face in faces if face.attributes), *outcome.report.unmatched]
        self._taken |= any(attribute.sensitive for answered in asked for attribute in answered.answers)


def _style() -> str:
    colors = [f".{e.label} {{ --color: {color}; }}" for e, color in COLORS.items()]
    ramp = f".ramp {{ background: linear-gradient(to right, {', '.join(VIRIDIS)}); }}"
    return "\n".join([template("style.css"), *colors, ramp])


def _plain(outcome: Outcome) -> Record:
    """The JSON form of an outcome, with the last name of its path alone."""
    record = outcome.to_dict() | {"input": file_name(outcome.name), "error": _reason(outcome)}
    return record | ({"model": file_name(outcome.report.model)} if outcome.report else {})


def _reason(outcome: Outcome) -> str | None:
    """Why there is no report, without the folders that the input lies in."""
    return outcome.reason and outcome.reason.replace(outcome.name, file_name(outcome.name))


def _picture(outcome: Outcome, number: int, named: bool) -> str:
    """One input. named: its name is its heading; the only picture of a page has its name above already."""
    report = outcome.report
    if report is None:
        reason = text(_reason(outcome) or "")
        heading, facts, cards = "Could not be read", "", f'<div class="message"><p>{reason}</p></div>'
    else:
        size = f"{report.size[1]} × {report.size[0]} px"
        heading, facts = faces_in_words(len(report.faces)).capitalize(), size
        cards = "\n".join(card(outcome, face, number, i) for i, face in enumerate(report.faces, start=1))
        cards = (cards + strangers(report)) or (NO_FACE if report.target is None else _nobody(report.target))
    if named:
        heading, facts = text(file_name(outcome.name)), f"{heading}, {facts}" if facts else heading
    figure = "" if outcome.image is None else _figure(outcome, outcome.image, number)
    return fill("picture.html", number=number, heading=heading, facts=facts, figure=figure, cards=cards)


def _figure(outcome: Outcome, image: NDArray[np.uint8], number: int) -> str:
    faces = outcome.report.faces if outcome.report else ()
    height, width = outcome.report.size if outcome.report else image.shape[:2]
    photo = fitted(image)
    # Until the script fits them, the numbers have the size that suits a picture about as wide as half a desktop page.
    scale = width / min(photo.width, 600, 700 * width / height)
    heat = heat_picture(outcome.report) if outcome.report else ""
    landmarks = "\n".join(_landmarks(face.landmarks) for face in faces if face.landmarks is not None)
    fade = fill("fade.html", number=number, strength=STRENGTH) if heat else ""
    dots = fill("dots.html", number=number) if landmarks else ""
    return fill(
        "figure.html",
        photo=jpeg(photo, 85, max(MIN_BYTES, MAX_BYTES - FACE_BYTES * len(faces))),
        width=photo.width,
        height=photo.height,
        name=text(file_name(outcome.name)),
        heat=heat and f'<img class="heat" src="{heat}" alt="">',
        image_width=width,
        image_height=height,
        landmarks=landmarks,
        boxes="\n".join(_box(face, f"p{number}", i, scale, width) for i, face in enumerate(faces, start=1)),
        controls=fill("controls.html", fade=fade, dots=dots) if fade or dots else "",
    )


def _landmarks(points: NDArray[np.float32]) -> str:
    """Dots of one size on the screen: lines without length, with round ends."""
    return f'<path class="landmarks" d="{"".join(f"M{x:.1f} {y:.1f}h0" for x, y in points)}"/>'


def _box(face: FaceReport, picture: str, number: int, scale: float, width: int) -> str:
    x1, y1, x2, y2 = (round(float(v), 1) for v in face.box)
    rect = f'x="{x1:g}" y="{y1:g}" width="{x2 - x1:.1f}" height="{y2 - y1:.1f}"'
    tag = 12 + 10 * len(str(number))  # wide
    x, y = max(0, min(x1, width - tag * scale)), max(y1, 22 * scale)
    label = f"Face {number}: {reading(face)}"
    return (
        f'<a class="box {face.expression.top.label}" id="{picture}-b{number}" href="#{picture}-f{number}" '
        f'aria-label="{label}"><title>{label}</title><rect class="halo" {rect}/><rect class="edge" {rect}/>'
        f'<g transform="translate({x:.1f} {y:.1f})"><g class="tag" transform="scale({scale:.4f})">'
        f'<rect class="plate" y="-22" width="{tag}" height="22"/>'
        f'<text x="{tag / 2:g}" y="-6">{number}</text></g></g></a>'
    )


def _nobody(target: str) -> str:
    return f'<div class="message"><p>Nobody here fits: {text(target)}</p></div>'


def _models(names: Iterable[str]) -> str:
    """Describe the models that read the faces; "" if there were none."""
    lines = [
        f"<p><b>{text(file_name(name))}</b></p>" + "".join(f"<p>{text(line)}</p>" for line in zoo.card(name))
        for name in names
    ]
    return "\n".join(["<div>", "<h2>The model</h2>", *lines, "</div>"]) if lines else ""
