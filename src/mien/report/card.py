"""A card: what a page says of one face."""

from collections.abc import Iterable

from mien.facs.observation import Pose
from mien.facs.vocabulary import Expression
from mien.report.embed import thumbnail
from mien.report.markup import fill, percent, text
from mien.report.units import units_section
from mien.report.words import asked, explanation
from mien.results.face import FaceReport
from mien.results.outcome import Outcome

SMALL_FACE = 36
ALIGNED_ON = {
    "reader": "the reader’s own 68 landmarks",
    "detector": "the detector’s five points",
    "box": "its box, not turned upright",
}
# A head turned or tilted by fewer degrees counts as straight; the reader is not surer than that.
STRAIGHT = 3


def card(outcome: Outcome, face: FaceReport, picture: int, number: int) -> str:
    """Return the card of a face.   picture: its number on the page.   number: of the face in the picture, from 1."""
    first, second = face.expression.ranked[:2]
    name = f"p{picture}-f{number}"
    width, height = (float(v) for v in face.box[2:] - face.box[:2])
    source = face.landmark_source
    return fill(
        "face.html",
        card=name,
        box=f"p{picture}-b{number}",
        number=number,
        thumbnail=thumbnail(outcome, face),
        expression=first.label,
        percent=percent(face.expression[first]),
        runner_up=second.label,
        runner_up_percent=percent(face.expression[second]),
        notes="\n".join(f'<p class="note">{note}</p>' for note in _notes(face, width)),
        bars="\n".join(_bar(face, e) for e in Expression),
        units="" if face.action_units is None else units_section(face.action_units, first, name, number),
        explanation=explanation(face.explanation, name) + asked(face.attributes),
        score=f"{face.face.score:.2f}",
        width=f"{width:.0f}",
        height=f"{height:.0f}",
        aligned=ALIGNED_ON.get(source, text(source)),
        pose="" if face.pose is None else f"<div><dt>Head</dt><dd>{pose_in_words(face.pose)}</dd></div>",
    )


def reading(face: FaceReport) -> str:
    """Return the two most probable expressions in words: "fear, 61 %; next surprise, 30 %"."""
    first, second = face.expression.ranked[:2]
    p = face.expression
    return f"{first.label}, {percent(p[first])}; next {second.label}, {percent(p[second])}"


def _notes(face: FaceReport, width: float) -> Iterable[str]:
    if width < SMALL_FACE:
        yield f"<b>Small face: read with care.</b> It is less than {SMALL_FACE} pixels wide."
    if face.expression.confidence < 0.5:
        yield "<b>No expression stands out.</b> The most probable one has less than half of the probability."
    if face.hidden:
        halves = " and ".join(f"the subject’s {half.side} half ({text(half.reason)})" for half in face.hidden)
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
        f"{value if p >= 0.0005 else ''}</svg></td><td>{percent(p)}</td></tr>"
    )


def pose_in_words(pose: Pose) -> str:
    """How a head is turned: "turned 12° to the image’s right, raised 4°, tilted 3° clockwise"."""
    yaw, pitch, roll = (round(abs(angle)) for angle in (pose.yaw, pose.pitch, pose.roll))
    turned = [
        f"turned {yaw}° to the image’s {'right' if pose.yaw > 0 else 'left'}" if yaw >= STRAIGHT else "",
        f"{'raised' if pose.pitch > 0 else 'lowered'} {pitch}°" if pitch >= STRAIGHT else "",
    ]
    tilted = f"tilted {roll}° {'clockwise' if pose.roll > 0 else 'counterclockwise'}" if roll >= STRAIGHT else ""
    return ", ".join(filter(None, [*(turned if any(turned) else ["facing the camera"]), tilted]))
