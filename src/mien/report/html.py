"""Reports to one self-contained page: pictures with numbered boxes, a card for each face, what the numbers mean.

The page asks nobody for anything: its style, script and pictures are inside it, and its policy allows no others.
The parts that are not Python lie in the folder `report`.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

import mien
from mien.core import zoo
from mien.facs.vocabulary import CAVEAT, Expression
from mien.report.card import card, reading
from mien.report.draw import COLORS
from mien.report.embed import FACE_BYTES, MAX_BYTES, MIN_BYTES, fitted, jpeg
from mien.report.heat import STRENGTH, VIRIDIS, heat_picture
from mien.report.markup import fill, json_data, source_hash, template, text
from mien.report.words import strangers
from mien.results.face import FaceReport
from mien.results.outcome import Outcome

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
    colors = [f".{e.label} {{ --color: {color}; }}" for e, color in COLORS.items()]
    ramp = f".ramp {{ background: linear-gradient(to right, {', '.join(VIRIDIS)}); }}"
    style = "\n".join([template("style.css"), *colors, ramp])
    script = template("page.js")
    return fill(
        "page.html",
        policy=f"default-src 'none'; img-src data:; style-src {source_hash(style)}; script-src {source_hash(script)}; "
        "base-uri 'none'; form-action 'none'",
        title=text(outcomes[0].name) if len(outcomes) == 1 else f"{len(outcomes)} pictures",
        style=style,
        script=script,
        contents=_contents(outcomes) if len(outcomes) > 1 else "",
        pictures="\n".join(_picture(outcome, i, len(outcomes) > 1) for i, outcome in enumerate(outcomes, start=1)),
        models=_models(outcomes),
        reasons=(template("reasons.html") if _explained(outcomes) else "")
        + (f"<p>{CAVEAT}</p>" if _taken(outcomes) else ""),
        version=mien.__version__,
        command=f" by <code>{text(command)}</code>" if command else "",
        json=json_data([outcome.to_dict() for outcome in outcomes]),
    )


def _explained(outcomes: Sequence[Outcome]) -> bool:
    """Whether the reader said more of any face than its expression."""
    faces = [face for outcome in outcomes if outcome.report for face in outcome.report.faces]
    return any(face.action_units is not None or face.attention is not None for face in faces)


def _taken(outcomes: Sequence[Outcome]) -> bool:
    """Whether a scan asked who anybody is taken for."""
    reports = [outcome.report for outcome in outcomes if outcome.report]
    scans = [face.attributes for report in reports for face in report.faces if face.attributes]
    strangers = [answered for report in reports for answered in report.unmatched]
    return any(attribute.sensitive for answered in (*scans, *strangers) for attribute in answered.answers)


def _contents(outcomes: Sequence[Outcome]) -> str:
    rows = [
        f'<li><a href="#p{i}">{text(outcome.name)}</a> <span>{_summary(outcome)}</span></li>'
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
        reason = text(outcome.reason or "")
        heading, facts, cards = "Could not be read", "", f'<div class="message"><p>{reason}</p></div>'
    else:
        size = f"{report.size[1]} × {report.size[0]} px"
        heading, facts = _faces(len(report.faces)).capitalize(), size
        cards = "\n".join(card(outcome, face, number, i) for i, face in enumerate(report.faces, start=1))
        cards = (cards + strangers(report)) or (NO_FACE if report.target is None else _nobody(report.target))
    if named:
        heading, facts = text(outcome.name), f"{heading}, {facts}" if facts else heading
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
        name=text(outcome.name),
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
    return f'<div class="message"><p>Nobody here was said to be: {text(target)}</p></div>'


def _models(outcomes: Sequence[Outcome]) -> str:
    names = dict.fromkeys(outcome.report.model for outcome in outcomes if outcome.report and outcome.report.model)
    lines = [f"<p><b>{text(name)}</b></p>" + "".join(f"<p>{text(x)}</p>" for x in zoo.card(name)) for name in names]
    return "\n".join(lines) or "<p>Not named.</p>"
