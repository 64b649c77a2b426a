"""Reports to one self-contained page: pictures with numbered boxes, a card for each face, what the numbers mean.

The page asks nobody for anything: its style, script and pictures are inside it, and its policy allows no others.
The parts that are not Python lie in the folder `report`.
"""

import base64
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache, reduce
from hashlib import sha256
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import mien
from mien.core import zoo
from mien.facs.evidence import Cue, evidence, heat_map, side
from mien.facs.units import PRESENT, PROTOTYPES, PROXIES, band
from mien.facs.vocabulary import CAVEAT, ActionUnit, Expression
from mien.report import draw
from mien.report.draw import COLORS
from mien.results.explanation import Explanation, Part
from mien.results.face import ActionUnits, FaceReport, ImageReport, Pose
from mien.results.outcome import Outcome
from mien.results.scan import Attributes

# The embedded picture: its longest and shortest long side in pixels, and what its JPEG may weigh, less so much for each
# face, down to the least: a page of one photograph is to stay under 1.5 MB.
LONGEST, SHORTEST, MAX_BYTES, FACE_BYTES, MIN_BYTES = 1280, 640, 800_000, 8_000, 150_000
# The side of a face on its card in pixels, and in pictures of more than CROWD faces.
THUMBNAIL, CROWD_THUMBNAIL, CROWD = 144, 72, 20
SMALL_FACE = 36
ALIGNED_ON = {
    "reader": "the reader’s own 68 landmarks",
    "detector": "the detector’s five points",
    "box": "its box, not turned upright",
}
# Viridis, from dark to light in even steps for every eye: the heat map's colours, lowest first.
VIRIDIS = ("#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725")
# The heat map's longest side in pixels (attention is far coarser), its steps, and the strength in percent it starts at.
HEAT_SIDE, HEAT_STEPS, STRENGTH = 512, 48, 40
# A head turned or tilted by fewer degrees counts as straight; the reader is not surer than that.
STRAIGHT = 3
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
    style = "\n".join([_part("style.css"), *colors, ramp])
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
        reasons=(_part("reasons.html") if _explained(outcomes) else "")
        + (f"<p>{CAVEAT}</p>" if _taken(outcomes) else ""),
        version=mien.__version__,
        command=f" by <code>{_text(command)}</code>" if command else "",
        json=_json([outcome.to_dict() for outcome in outcomes]),
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
        cards = "\n".join(_card(outcome, face, number, i) for i, face in enumerate(report.faces, start=1))
        cards = (cards + _strangers(report)) or (NO_FACE if report.target is None else _nobody(report.target))
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
    heat = _heat(outcome.report) if outcome.report else ""
    landmarks = "\n".join(_landmarks(face.landmarks) for face in faces if face.landmarks is not None)
    fade = _fill("fade.html", number=number, strength=STRENGTH) if heat else ""
    dots = _fill("dots.html", number=number) if landmarks else ""
    return _fill(
        "figure.html",
        photo=_jpeg(shown, 85, max(MIN_BYTES, MAX_BYTES - FACE_BYTES * len(faces))),
        width=shown.width,
        height=shown.height,
        name=_text(outcome.name),
        heat=heat and f'<img class="heat" src="{heat}" alt="">',
        image_width=width,
        image_height=height,
        landmarks=landmarks,
        boxes="\n".join(_box(face, f"p{number}", i, scale, width) for i, face in enumerate(faces, start=1)),
        controls=_fill("controls.html", fade=fade, dots=dots) if fade or dots else "",
    )


def _heat(report: ImageReport) -> str:
    """Where the reader looked in any of the faces: a data URL of one picture over the photograph; "" when not known."""
    height, width = report.size
    scale = min(1, HEAT_SIDE / max(width, height))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    onto = np.array([width / size[1], height / size[0], 1])  # the crops, from the smaller picture
    attentive = [replace(face, crop=face.crop * onto) for face in report.faces if face.attention is not None]
    if not attentive:
        return ""
    maps = (heat_map(face, size) for face in attentive)
    heat = reduce(np.maximum, (each for each in maps if each is not None))
    steps = np.round(heat * (HEAT_STEPS - 1)).astype(np.uint8)
    picture = Image.fromarray(steps)
    picture.putpalette(_heat_palette().tobytes(), "RGBA")
    return _data_url("png", _encoded(picture, "PNG", optimize=True))


def _heat_palette() -> NDArray[np.uint8]:
    """(HEAT_STEPS, 4) RGBA: nothing where there is no attention, soon opaque where there is some."""
    value = np.linspace(0, 1, HEAT_STEPS)
    points = np.array([[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in VIRIDIS])
    at = np.linspace(0, 1, len(points))
    channels = [np.interp(value, at, points[:, i]) for i in range(3)]
    return np.round(np.stack([*channels, 255 * np.clip(value / 0.3, 0, 1)], axis=1)).astype(np.uint8)


def _landmarks(points: NDArray[np.float32]) -> str:
    """Dots of one size on the screen: lines without length, with round ends."""
    return f'<path class="landmarks" d="{"".join(f"M{x:.1f} {y:.1f}h0" for x, y in points)}"/>'


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
    source = face.landmark_source
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
        units="" if face.action_units is None else _units(face.action_units, first, f"p{picture}-f{number}", number),
        explanation=_explanation(face.explanation, f"p{picture}-f{number}") + _scanned(face.attributes),
        score=f"{face.face.score:.2f}",
        width=f"{width:.0f}",
        height=f"{height:.0f}",
        aligned=ALIGNED_ON.get(source, _text(source)),
        pose="" if face.pose is None else f"<div><dt>Head</dt><dd>{pose_in_words(face.pose)}</dd></div>",
    )


def _notes(face: FaceReport, width: float) -> Iterable[str]:
    if width < SMALL_FACE:
        yield f"<b>Small face: read with care.</b> It is less than {SMALL_FACE} pixels wide."
    if face.expression.confidence < 0.5:
        yield "<b>No expression stands out.</b> The most probable one has less than half of the probability."
    if face.hidden:
        halves = " and ".join(f"the subject’s {half.side} half ({_text(half.reason)})" for half in face.hidden)
        guesses = "What is said of it is a guess" if face.action_units is None else "Action units there are guesses"
        yield f"<b>Not visible: {halves}.</b> {guesses}."


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


def _units(units: ActionUnits, e: Expression, card: str, number: int) -> str:
    """What speaks for and against the expression, and all action units, folded away."""
    rows = "\n".join(_unit_row(units, unit, card) for unit in ActionUnit)
    return _fill("units.html", number=number, evidence="\n".join(_evidence(units, e)), count=len(units), rows=rows)


def _evidence(units: ActionUnits, e: Expression) -> Iterator[str]:
    found = evidence(units, e)
    if found.supporting or e is not Expression.NEUTRAL:
        yield f"<h4>Action units that speak for {e.label}</h4>"
        yield _cues(found.supporting, e) if found.supporting else "<p>None above trace.</p>"
    elif not found.against:
        yield "<h4>Action units</h4>"
        yield "<p>None above trace, as is expected of a neutral face.</p>"
    if found.missing:
        words = ", ".join(_name(unit) + (" (a trace)" if band(units[unit]).grade else "") for unit in found.missing)
        yield f'<p class="missing">Expected but absent: {words}.</p>'
    if found.against:
        yield f"<h4>Action units that speak against {e.label}</h4>"
        yield _cues(found.against, e)


def _cues(cues: Sequence[Cue], e: Expression) -> str:
    return "\n".join(['<ul class="cues">', *(_cue(cue, e) for cue in cues), "</ul>"])


def _cue(cue: Cue, e: Expression) -> str:
    one_sided = cue.role == "core" and cue.unit in PROTOTYPES[e].one_sided
    if one_sided:
        amount = f"{cue.intensity:.2f} between the sides"
    else:
        amount = f"{cue.intensity:.2f} {cue.band.word} ({cue.band.grade})"
    length = f"{100 * cue.intensity:.0f}"
    kind = "against" if cue.role == "against" else "for"
    remarks = "; ".join(_remarks(cue.unit, cue.side))
    return (
        f'<li><span>{_name(cue.unit)}</span> <span class="amount">{amount}</span>'
        f'<svg viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="track" width="100" height="6"/><rect class="{kind}" width="{length}" height="6"/>'
        f'<rect class="rim" width="{length}" height="6"/></svg>'
        f"{f' <small>{remarks}</small>' if remarks else ''}</li>"
    )


def _unit_row(units: ActionUnits, unit: ActionUnit, card: str) -> str:
    remarks = "; ".join(_remarks(unit, side(units, unit)))
    active = ' class="active"' if units[unit] >= PRESENT else ""
    return (
        f'<tr{active}><th scope="row">{_name(unit)}{f" <small>{remarks}</small>" if remarks else ""}</th>'
        f'<td>{units[unit]:.2f}</td><td id="{card}-{unit.column}">{band(units[unit]).word}</td></tr>'
    )


def _remarks(unit: ActionUnit, stronger: str) -> Iterator[str]:
    if stronger != "both":
        yield f"stronger on the subject’s {stronger}"
    if unit in PROXIES:
        yield "inferred from other movements"


def _name(unit: ActionUnit) -> str:
    return f"AU{unit:d} {unit.label}"


def _explanation(explanation: Explanation | None, card: str) -> str:
    """What a model wrote, each phrase about an action unit linked to its measured value."""
    if explanation is None:
        return ""
    parts = (f"<h5>{_text(part.title)}</h5>\n<p>{''.join(_linked(part, card))}</p>" for part in explanation.parts)
    said = "\n".join(f'<p class="missing">{remark}</p>' for remark in _remarks_on(explanation))
    return "\n".join(
        [
            '<section class="explanation">',
            f"<h4>In words, by {_text(explanation.model)}</h4>",
            *parts,
            said,
            "</section>",
        ]
    )


def _linked(part: Part, card: str) -> Iterator[str]:
    """The text of a part with its phrases as links; one that names two action units leads to the first."""
    done = 0
    for start, end in dict.fromkeys((phrase.start, phrase.end) for phrase in part.phrases):
        same = [phrase for phrase in part.phrases if (phrase.start, phrase.end) == (start, end)]
        wrong = [phrase for phrase in same if not phrase.supported]
        unit = (wrong or same)[0].unit
        told = _text("; ".join(f"{_name(p.unit)}: {p.against or 'measured as told'}, {p.measured:.2f}" for p in same))
        mark = f" <small>({_text(wrong[0].against)})</small>" if wrong else ""
        yield _text(part.text[done:start])
        yield (
            f'<a class="{"unsupported" if wrong else "supported"}" href="#{card}-{unit.column}" title="{told}">'
            f"{_text(part.text[start:end])}</a>{mark}"
        )
        done = end
    yield _text(part.text[done:])


def _remarks_on(explanation: Explanation) -> Iterator[str]:
    phrases = [phrase for part in explanation.parts for phrase in part.phrases]
    if phrases:
        wrong = sum(not phrase.supported for phrase in phrases)
        yield (
            f"{len(phrases) - wrong} of {len(phrases)} mentions of action units are borne out by what was measured"
            + ("; the others say in brackets why not." if wrong else ".")
        )
    if not explanation.consistent:
        own = explanation.expression.top.label
        yield f"It concludes {explanation.concluded.label}; asked for the label alone, the same model says {own}."
    yield "Another network wrote this from the picture. Like the heat map, it proves no cause."


def _scanned(answered: Attributes | None) -> str:
    """What a model was asked about a face, and what it said."""
    if answered is None:
        return ""
    lines = [f"<h4>Asked of {_text(answered.model)}</h4>", *_said(answered)]
    return "\n".join(['<section class="explanation">', *lines, "</section>"])


def _said(answered: Attributes) -> Iterator[str]:
    for attribute, answer in answered.answers.items():
        sure = "" if answer.confidence is None else f", {_percent(answer.confidence)}"
        said = (
            f"no answer ({answer.status.replace('_', ' ')})" if answer.value is None else f"<b>{answer.value}</b>{sure}"
        )
        yield f"<p>{attribute.value}: {said}</p>"
    if answered.rationale:
        yield f"<p>{_text(answered.rationale)}</p>"
    if answered.problem:
        yield f"<p>{_text(answered.problem)}</p>"


def _strangers(report: ImageReport) -> str:
    """Answers about people whose face was not found, or a failure that is about nobody."""
    parts = [_scanned(answered) for answered in report.unmatched]
    heading = "<p>Answered about somebody whose face was not found here:</p>"
    return "\n".join(['<div class="message">', heading, *parts, "</div>"]) if parts else ""


def _nobody(target: str) -> str:
    return f'<div class="message"><p>Nobody here was said to be: {_text(target)}</p></div>'


def pose_in_words(pose: Pose) -> str:
    """How a head is turned: "turned 12° to the image’s right, raised 4°, tilted 3° clockwise"."""
    yaw, pitch, roll = (round(abs(angle)) for angle in (pose.yaw, pose.pitch, pose.roll))
    turned = [
        f"turned {yaw}° to the image’s {'right' if pose.yaw > 0 else 'left'}" if yaw >= STRAIGHT else "",
        f"{'raised' if pose.pitch > 0 else 'lowered'} {pitch}°" if pitch >= STRAIGHT else "",
    ]
    tilted = f"tilted {roll}° {'clockwise' if pose.roll > 0 else 'counterclockwise'}" if roll >= STRAIGHT else ""
    return ", ".join(filter(None, [*(turned if any(turned) else ["facing the camera"]), tilted]))


def _models(outcomes: Sequence[Outcome]) -> str:
    names = dict.fromkeys(outcome.report.model for outcome in outcomes if outcome.report and outcome.report.model)
    lines = [f"<p><b>{_text(name)}</b></p>" + "".join(f"<p>{_text(x)}</p>" for x in zoo.card(name)) for name in names]
    return "\n".join(lines) or "<p>Not named.</p>"


def _percent(probability: float) -> str:
    """As on the drawn picture, where "<" needs no escaping."""
    return escape(draw.percent(probability))


def _json(value: object) -> str:
    """JSON that may stand inside a script element: nothing in it can end the element or open another."""
    compact = json.dumps(value, separators=(",", ":"))
    return compact.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


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
    side = CROWD_THUMBNAIL if len(outcome.report.faces) > CROWD else THUMBNAIL
    crop.thumbnail((side, side), Image.Resampling.LANCZOS)
    return _jpeg(crop, 82)


def _jpeg(picture: Image.Image, quality: int, most: int = MAX_BYTES) -> str:
    """A data URL; a picture of more than `most` bytes, such as noise, is compressed more."""
    for q in (quality, 75, 60, 45, 30, 15):
        file = _encoded(picture, "JPEG", quality=q, optimize=True, progressive=True)
        if len(file) <= most:
            break
    return _data_url("jpeg", file)


def _encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def _data_url(kind: str, file: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(file).decode('ascii')}"


def _hash(source: str) -> str:
    """How a content security policy names an inline style or script."""
    return f"'sha256-{base64.b64encode(sha256(source.encode('utf-8')).digest()).decode('ascii')}'"


def _fill(part: str, **values: object) -> str:
    return Template(_part(part)).substitute(values)


@cache
def _part(name: str) -> str:
    return (files("mien") / "report" / name).read_text(encoding="utf-8")
