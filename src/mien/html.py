"""Reports to one self-contained page: pictures with numbered boxes, a card for each face, what the numbers mean.

The page asks nobody for anything: its style, script and pictures are inside it, and its policy allows no others.
The parts that are not Python lie in the folder `report`.
"""

import base64
import io
import json
import re
from collections.abc import Iterable, Sequence
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files
from string import Template

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import mien
from mien import draw, zoo
from mien.draw import COLORS
from mien.results import FaceReport, Outcome
from mien.vocabulary import Expression

# The embedded picture: its longest and shortest long side in pixels, and what its JPEG may weigh.
LONGEST, SHORTEST, MAX_BYTES = 1280, 640, 800_000
THUMBNAIL = 144
SMALL_FACE = 36
ALIGNED_ON = {"detector": "the detector’s five points", "box": "its box, not turned upright"}
NO_FACE = """<div class="message">
<p>No face was found here. It may be very small, turned away, or covered. Worth trying:</p>
<ul>
<li><code>--rotations</code> for faces that lie or hang upside down</li>
<li><code>--max-side 1280</code> for small faces in a large picture</li>
<li><code>--threshold 0.5</code> to accept faces that the detector is less sure of</li>
</ul>
</div>"""


def page(outcomes: Sequence[Outcome], command: str = "") -> str:
    """The whole HTML file; an outcome without image has no picture.   command: that made it, shown at its end."""
    style = "\n".join([_part("style.css"), *(f".{e.label} {{ --color: {color}; }}" for e, color in COLORS.items())])
    script = _part("page.js")
    return _fill(
        "page.html",
        policy=f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'",
        title=_text(outcomes[0].name) if len(outcomes) == 1 else f"{len(outcomes)} pictures",
        style=style,
        script=script,
        contents=_contents(outcomes) if len(outcomes) > 1 else "",
        pictures="\n".join(_picture(outcome, i, len(outcomes) > 1) for i, outcome in enumerate(outcomes, start=1)),
        models=_models(outcomes),
        version=mien.__version__,
        command=f" by <code>{_text(command)}</code>" if command else "",
        json=_json([outcome.to_dict() for outcome in outcomes]),
    )


def _contents(outcomes: Sequence[Outcome]) -> str:
    rows = [
        f'<li><a href="#p{i}">{_text(outcome.name)}</a> <span>{_summary(outcome)}</span></li>'
        for i, outcome in enumerate(outcomes, start=1)
    ]
    return "\n".join(['<ol class="contents">', *rows, "</ol>"])


def _summary(outcome: Outcome) -> str:
    if outcome.report is None:
        return "could not be read"
    tops = [face.expression.top for face in outcome.report.faces]
    words = ", ".join(f"{tops.count(e)} {e.label}" for e in Expression if e in tops)
    return f"{_faces(len(tops))}: {words}" if tops else _faces(0)


def _faces(count: int) -> str:
    return {0: "no face", 1: "1 face"}.get(count, f"{count} faces")


def _picture(outcome: Outcome, number: int, named: bool) -> str:
    """One input. named: its name is its heading; the only picture of a page has its name above already."""
    report = outcome.report
    if report is None:
        reason = _text(outcome.reason or "")
        heading, facts, cards = "Could not be read", "", f'<div class="message"><p>{reason}</p></div>'
    else:
        size = f"{report.size[1]} × {report.size[0]} px"
        heading, facts = _faces(len(report.faces)).capitalize(), size
        cards = "\n".join(_card(outcome, face, number, i) for i, face in enumerate(report.faces, start=1)) or NO_FACE
    if named:
        heading, facts = _text(outcome.name), f"{heading}, {facts}" if facts else heading
    figure = "" if outcome.image is None else _figure(outcome, outcome.image, number)
    return _fill("picture.html", number=number, heading=heading, facts=facts, figure=figure, cards=cards)


def _figure(outcome: Outcome, image: NDArray[np.uint8], number: int) -> str:
    faces = outcome.report.faces if outcome.report else ()
    height, width = outcome.report.size if outcome.report else image.shape[:2]
    shown = _shown(image)
    # Until the script fits them, the numbers have the size that suits a picture about as wide as half a desktop page.
    scale = width / min(shown.width, 600, 700 * width / height)
    boxes = [_box(face, f"p{number}", i, scale, width) for i, face in enumerate(faces, start=1)]
    return "\n".join([
        '<figure class="stage">',
        f'<img src="{_jpeg(shown, 85)}" width="{shown.width}" height="{shown.height}" alt="{_text(outcome.name)}">',
        f'<svg viewBox="0 0 {width} {height}" role="group" aria-label="Faces in {_text(outcome.name)}">',
        *boxes,
        "</svg>",
        "</figure>",
    ])  # fmt: skip


def _box(face: FaceReport, picture: str, number: int, scale: float, width: int) -> str:
    x1, y1, x2, y2 = (round(float(v), 1) for v in face.box)
    rect = f'x="{x1:g}" y="{y1:g}" width="{x2 - x1:.1f}" height="{y2 - y1:.1f}"'
    tag = 12 + 10 * len(str(number))  # wide
    x, y = max(0, min(x1, width - tag * scale)), max(y1, 22 * scale)
    label = f"Face {number}: {_reading(face)}"
    return (
        f'<a class="box {face.expression.top.label}" id="{picture}-b{number}" href="#{picture}-f{number}" '
        f'aria-label="{label}"><title>{label}</title><rect class="halo" {rect}/><rect class="edge" {rect}/>'
        f'<g transform="translate({x:.1f} {y:.1f})"><g class="tag" transform="scale({scale:.4f})">'
        f'<rect class="plate" y="-22" width="{tag}" height="22"/>'
        f'<text x="{tag / 2:g}" y="-6">{number}</text></g></g></a>'
    )


def _reading(face: FaceReport) -> str:
    first, second = face.expression.ranked[:2]
    p = face.expression
    return f"{first.label}, {_percent(p[first])}; next {second.label}, {_percent(p[second])}"


def _card(outcome: Outcome, face: FaceReport, picture: int, number: int) -> str:
    first, second = face.expression.ranked[:2]
    width, height = (float(v) for v in face.box[2:] - face.box[:2])
    source = face.face.landmark_source
    return _fill(
        "face.html",
        card=f"p{picture}-f{number}",
        box=f"p{picture}-b{number}",
        number=number,
        thumbnail=_thumbnail(outcome, face),
        expression=first.label,
        percent=_percent(face.expression[first]),
        runner_up=second.label,
        runner_up_percent=_percent(face.expression[second]),
        notes="\n".join(f'<p class="note">{note}</p>' for note in _notes(face, width)),
        bars="\n".join(_bar(face, e) for e in Expression),
        score=f"{face.face.score:.2f}",
        width=f"{width:.0f}",
        height=f"{height:.0f}",
        aligned=ALIGNED_ON.get(source, _text(source)),
    )


def _notes(face: FaceReport, width: float) -> Iterable[str]:
    if width < SMALL_FACE:
        yield f"<b>Small face: read with care.</b> It is less than {SMALL_FACE} pixels wide."
    if face.expression.confidence < 0.5:
        yield "<b>No expression stands out.</b> The most probable one has less than half of the probability."


def _bar(face: FaceReport, e: Expression) -> str:
    p = face.expression[e]
    row = ' class="top-row"' if e is face.expression.top else ""
    length = f"{100 * p:.2f}"
    value = f'<rect class="value" width="{length}" height="10"/><rect class="rim" width="{length}" height="10"/>'
    return (
        f'<tr{row}><th scope="row">{e.label}</th><td><svg class="{e.label}" viewBox="0 0 100 10" '
        f'preserveAspectRatio="none" aria-hidden="true"><rect class="track" width="100" height="10"/>'
        f"{value if p >= 0.0005 else ''}</svg></td><td>{_percent(p)}</td></tr>"
    )


def _models(outcomes: Sequence[Outcome]) -> str:
    names = dict.fromkeys(outcome.report.model for outcome in outcomes if outcome.report and outcome.report.model)
    lines = [f"<p><b>{_text(name)}</b></p>" + "".join(f"<p>{_text(x)}</p>" for x in zoo.card(name)) for name in names]
    return "\n".join(lines) or "<p>Not named.</p>"


def _percent(probability: float) -> str:
    """As on the drawn picture, where "<" needs no escaping."""
    return escape(draw.percent(probability))


def _json(value: object) -> str:
    """JSON that may stand inside a script element: nothing in it can end the element or open another."""
    return json.dumps(value).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _text(value: str) -> str:
    """Any text, a file name above all, as HTML; bytes that are no text and control characters become U+FFFD."""
    readable = value.encode("utf-8", "replace").decode("utf-8")
    return escape(re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "\ufffd", readable))


def reduced(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture no larger than a page shows it, so that many fit into memory."""
    picture = Image.fromarray(image)
    picture.thumbnail((LONGEST, LONGEST))
    return np.asarray(picture)


def _shown(image: NDArray[np.uint8]) -> Image.Image:
    picture = Image.fromarray(image)
    scale = float(np.clip(1, SHORTEST / max(picture.size), LONGEST / max(picture.size)))
    if scale == 1:
        return picture
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _thumbnail(outcome: Outcome, face: FaceReport) -> str:
    """The face with some surroundings, square unless the picture ends; a plain square when there is no picture."""
    image = outcome.image
    if image is None or outcome.report is None:
        return _jpeg(Image.new("RGB", (8, 8), "#888888"), 85)
    box = face.box * (image.shape[1] / outcome.report.size[1])
    center = (box[:2] + box[2:]) / 2
    half = 0.65 * float((box[2:] - box[:2]).max())
    height, width = image.shape[:2]
    x1, y1 = np.clip(np.round(center - half), 0, [width - 1, height - 1]).astype(int)
    x2, y2 = np.clip(np.round(center + half), [x1 + 1, y1 + 1], [width, height]).astype(int)
    crop = Image.fromarray(image[y1:y2, x1:x2])
    crop.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    return _jpeg(crop, 82)


def _jpeg(picture: Image.Image, quality: int) -> str:
    """A data URL; a picture that would be too heavy, such as noise, is compressed more."""
    for q in (quality, 75, 60, 45, 30, 15):
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=q, optimize=True, progressive=True)
        if file.tell() <= MAX_BYTES:
            break
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _hash(source: str) -> str:
    """How a content security policy names an inline style or script."""
    return f"'sha256-{base64.b64encode(sha256(source.encode('utf-8')).digest()).decode('ascii')}'"


def _fill(part: str, **values: object) -> str:
    return Template(_part(part)).substitute(values)


@cache
def _part(name: str) -> str:
    return (files("mien") / "report" / name).read_text(encoding="utf-8")
