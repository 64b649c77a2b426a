"""A card: what a page says of one face."""

from collections.abc import Iterable

from mien.facs.observation import Pose
from mien.facs.vocabulary import Expression
from mien.report.embed import thumbnail
from mien.report.markup import fill, percent, text
from mien.report.units import units_section
from mien.report.words import asked, explanation
from mien.results.expression import ExpressionScores
from mien.results.face import FaceReport
from mien.results.outcome import Outcome

SMALL_FACE = 36
# Expressions below the first have no row of their own. Below the second, no expression stands out.
LEAST, CLEAR = 0.01, 0.6
ALIGNED_ON = {
    "reader": "the reader’s own 68 landmarks",
    "detector": "the detector’s five points",
    "box": "its box, not turned upright",
}
# A head turned or tilted by fewer degrees counts as straight; the reader is not surer than that.
STRAIGHT = 3


def card(outcome: Outcome, face: FaceReport, picture: int, number: int) -> str:
    """Return the card of a face.   picture: its number on the page.   number: of the face in the picture, from 1."""
    first = face.expression.top
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
        heading=heading(face),
        runner_up=_runner_up(face.expression),
        notes="\n".join(f'<p class="note">{note}</p>' for note in _notes(face, width)),
        bars="\n".join(_bars(face.expression)),
        units="" if face.action_units is None else units_section(face.action_units, first, name, number),
        explanation=explanation(face.explanation, name) + asked(face.attributes),
        score=f"{face.face.score:.2f}",
        width=f"{width:.0f}",
        height=f"{height:.0f}",
        aligned=ALIGNED_ON.get(source, text(source)),
        pose="" if face.pose is None else f"<div><dt>Head</dt><dd>{pose_in_words(face.pose)}</dd></div>",
    )


def reading(face: FaceReport) -> str:
    """Return the most probable expressions in words: "fear, 61 %; next surprise, 30 %"."""
    first, second = face.expression.ranked[:2]
    p = face.expression
    following = f"; next {second.label}, {percent(p[second])}" if _listed(p[second]) else ""
    return f"{first.label}, {percent(p[first])}{following}"


def heading(face: FaceReport) -> str:
    """Return what a card is headed with: "fear, <b>61 %</b>", or "unclear" of a face that few people could read."""
    first = face.expression.top
    if face.unclear:
        return f"unclear <small>({first.label} if anything)</small>"
    return f"{first.label}, <b>{percent(face.expression[first])}</b>"


def divided(scores: ExpressionScores) -> bool:
    """Return whether no expression stands out: the first is below .6, or the second above two thirds of it."""
    first, second = scores.ranked[:2]
    return scores[first] < CLEAR or scores[second] > scores[first] * 2 / 3


def _listed(probability: float) -> bool:
    """Whether an expression has a row of its own; rounded, for a float32 of 0.01 is a little less."""
    return round(probability, 4) >= LEAST


def _runner_up(scores: ExpressionScores) -> str:
    second = scores.ranked[1]
    listed = _listed(scores[second])
    return f'<p class="next">next {second.label}, {percent(scores[second])}</p>' if listed else ""


def _notes(face: FaceReport, width: float) -> Iterable[str]:
    if width < SMALL_FACE:
        yield f"<b>Small face: read with care.</b> It is less than {SMALL_FACE} pixels wide."
    if face.readability is not None and face.unclear:
        few = round(10 * face.readability)
        yield f"<b>Unclear: about {few} of ten people could read this face.</b> Its values are guesses."
    elif divided(face.expression):
        first, second = face.expression.ranked[:2]
        yield (
            f"<b>Divided: {first.label}, {percent(face.expression[first])}, or {second.label}, "
            f"{percent(face.expression[second])}.</b> No expression stands out."
        )
    if face.hidden:
        halves = " and ".join(f"the subject’s {half.side} half ({text(half.reason)})" for half in face.hidden)
        guesses = "Its values are guesses" if face.action_units is None else "Action units there are guesses"
        yield f"<b>Not visible: {halves}.</b> {guesses}."


def _bars(scores: ExpressionScores) -> Iterable[str]:
    """A row for each expression; those below 1 % in one."""
    yield from (_bar(scores, e) for e in Expression if _listed(scores[e]))
    rest = [e.label for e in Expression if not _listed(scores[e])]
    if rest:
        each = " each" if len(rest) > 1 else ""
        yield f'<tr class="rest"><td colspan="3">{", ".join(rest)}: below 1 %{each}</td></tr>'


def _bar(scores: ExpressionScores, e: Expression) -> str:
    row = ' class="top-row"' if e is scores.top else ""
    length = f"{100 * scores[e]:.2f}"
    return (
        f'<tr{row}><th scope="row">{e.label}</th><td><svg class="{e.label}" viewBox="0 0 100 10" '
        f'preserveAspectRatio="none" aria-hidden="true"><rect class="track" width="100" height="10"/>'
        f'<rect class="value" width="{length}" height="10"/><rect class="rim" width="{length}" height="10"/>'
        f"</svg></td><td>{percent(scores[e])}</td></tr>"
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
