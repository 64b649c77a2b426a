"""A report to a picture: numbered boxes, landmarks, and beside each face a plate with its expression and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont

from mien.facs.evidence import evidence
from mien.facs.vocabulary import Expression
from mien.results.face import FaceReport, ImageReport

# Okabe and Ito's palette, light gray for its black: apart for readers with any common colour-vision deficiency.
COLORS = {
    Expression.NEUTRAL: "#bbbbbb",
    Expression.HAPPINESS: "#e69f00",
    Expression.SURPRISE: "#56b4e9",
    Expression.SADNESS: "#0072b2",
    Expression.ANGER: "#d55e00",
    Expression.DISGUST: "#009e73",
    Expression.FEAR: "#cc79a7",
    Expression.CONTEMPT: "#f0e442",
}
WHITE, DARK, TRACK = "#ffffff", "#101216", "#4a4e56"
PLATE = (16, 18, 22, 214)  # RGBA
# Type is this share of the picture's side (the root of its area), and no smaller than legible.
TYPE, LEGIBLE = 1 / 46, 8.0
# A plate may lie over this share of its own face before a smaller one is tried.
OWN_FACE = 0.3
# Landmarks are drawn on faces at least this long, in pixels; on smaller ones they would hide what they mark.
DOTTED = 90
# Bare numbers cost as much as covering this share of a face, or a tenth of a plate each in a crowd.
WORDLESS = 0.45


@dataclass(frozen=True)
class Line:
    """One line of a plate.

    number: on a chip in front, or "".   word, percent: at the left and the right end.
    value: 0 to 1, the bar below; None for no bar.   size: of the type, relative to the plate's.
    """

    number: str = ""
    word: str = ""
    percent: str = ""
    value: float | None = None
    color: str = WHITE
    size: float = 1.0


@dataclass(frozen=True)
class Style:
    """How much a plate says and how large its type is; one style serves the whole picture.

    form: "three" expressions with their bars, the same and "why", the top "one", the same "stacked" in two lines, or
    the bare "number".
    """

    form: str
    scale: float


# Fullest first.
STYLES = (
    Style("why", 1.0), Style("why", 0.85), Style("three", 1.0), Style("three", 0.85), Style("three", 0.7),
    Style("one", 0.85), Style("three", 0.55), Style("one", 0.7), Style("one", 0.55), Style("stacked", 0.7),
    Style("stacked", 0.55), Style("one", 0.4), Style("stacked", 0.4), Style("number", 0.7), Style("number", 0.4),
)  # fmt: skip


def draw(image: NDArray[np.uint8], report: ImageReport, numbers: Sequence[int] = ()) -> NDArray[np.uint8]:
    """A copy of an (H, W, 3) RGB image, with the faces of its report marked, numbered and labelled.

    numbers: of the faces, such as their tracks; left out, they count from 1.
    """
    numbers = numbers or range(1, len(report.faces) + 1)
    canvas = Image.fromarray(image).copy()
    unit = max(float(np.sqrt(canvas.width * canvas.height)) * TYPE, LEGIBLE)
    if not report.faces:
        _paste(canvas, [Line(word="no face found")], unit, (round(unit / 2), canvas.height))
        return np.array(canvas)
    for face in report.faces:
        _box(canvas, face, unit)
        _dots(canvas, face)
    style, corners = arrange(report, unit)
    for number, face, corner in zip(numbers, report.faces, corners, strict=True):
        _paste(canvas, _lines(face, number, style.form), _type(unit, style), (int(corner[0]), int(corner[1])))
    return np.array(canvas)


def percent(probability: float) -> str:
    """A probability in words that do not overstate it: "97 %", "<1 %", ">99 %"."""
    whole = round(100 * probability)
    if whole == 0 and probability > 0:
        return "<1 %"
    return ">99 %" if whole == 100 and probability < 1 else f"{whole} %"


def why(face: FaceReport) -> str:
    """Up to three action units that speak most for the expression, "AU12 AU6 AU25"; "" when none is known."""
    if face.action_units is None:
        return ""
    return " ".join(f"AU{cue.unit:d}" for cue in evidence(face.action_units, face.expression.top).supporting[:3])


def answers(face: FaceReport) -> str:
    """What a scan adds to the reader's expression: "20-39, female", another expression; "" when it adds nothing."""
    answered = face.attributes.answers.values() if face.attributes is not None else ()
    return ", ".join(a.value for a in answered if a.value is not None and a.value != face.expression.top.label)


def arrange(report: ImageReport, unit: float) -> tuple[Style, NDArray[np.float64]]:
    """The fullest style in which every plate finds room, and the (N, 2) upper left corners of the plates.

    When there is none, as in a dense crowd, the style that is least in the way.   unit: the size of type, in pixels.
    """
    attempts = []
    for style in STYLES:
        corners, in_the_way = _place(report, style, unit)
        if in_the_way == 0:
            return style, corners
        attempts.append((style, corners, in_the_way))
    style, corners, _ = min(attempts, key=lambda attempt: attempt[2])
    return style, corners


def _place(report: ImageReport, style: Style, unit: float) -> tuple[NDArray[np.float64], float]:
    """Corners of the plates, each put where it covers least, and how much they are in the way; 0 is not at all."""
    height, width = report.size
    boxes = np.array([face.box for face in report.faces], dtype=np.float64)
    plates = np.zeros((0, 4))
    in_the_way = max(WORDLESS, 0.1 * len(boxes)) if style.form == "number" else 0.0
    for i, face in enumerate(report.faces):
        size = np.array(_size(_lines(face, i + 1, style.form), _type(unit, style)))
        around = _candidates(boxes[i], size, _frame(boxes[i], unit)[2])
        corners = np.clip(around, 0, np.maximum([width, height] - size, 0))
        rectangles = np.concatenate([corners, corners + size], axis=1)
        others = _overlap(rectangles, np.concatenate([np.delete(boxes, i, axis=0), plates])).sum(axis=1)
        own = _overlap(rectangles, boxes[i : i + 1])[:, 0]
        best = np.lexsort([np.arange(len(own)), own, others])[0]
        plates = np.concatenate([plates, rectangles[best : best + 1]])
        own_share = own[best] / max(_areas(boxes[i : i + 1])[0], 1)
        too_large = float("inf") if size[0] > width or size[1] > height else 0.0
        in_the_way += others[best] / size.prod() + max(0, own_share - OWN_FACE) + too_large
    return plates[:, :2].round(), in_the_way


def _candidates(box: NDArray[np.float64], size: NDArray[np.float64], gap: float) -> NDArray[np.float64]:
    """(K, 2) corners of a plate around a box, the most usual place first."""
    x1, y1, x2, y2 = box + gap * np.array([-1, -1, 1, 1])
    w, h = size
    columns = [x1, x2 - w, (x1 + x2 - w) / 2]
    rows = [y1, y2 - h, (y1 + y2 - h) / 2]
    around = [(x, y) for y in (y1 - h, y2) for x in columns] + [(x, y) for x in (x2, x1 - w) for y in rows]
    # Diagonally off a corner of the box, for faces shoulder to shoulder.
    return np.array([*around, *((x, y) for y in (y1 - h, y2) for x in (x2 - w / 4, x1 - w * 3 / 4))])


def _overlap(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """(len(a), len(b)) areas that the rectangles share."""
    sides = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    return np.asarray(np.clip(sides, 0, None).prod(axis=2))


def _areas(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))


def _lines(face: FaceReport, number: int, form: str) -> list[Line]:
    first, *rest = face.expression.ranked[:3]
    p = face.expression[first]
    color = COLORS[first]
    if form == "number":
        return [Line(str(number), color=color)]
    if face.unclear:
        return [Line(str(number), "unclear", color=color)]
    if form == "stacked":
        return [Line(str(number), "", percent(p), p, color), Line(word=first.label)]
    lines = [Line(str(number), first.label, percent(p), p, color)]
    if form in ("three", "why"):
        for e in rest:
            lines.append(Line("", e.label, percent(face.expression[e]), face.expression[e], COLORS[e], 0.85))
    if form == "why" and (units := why(face)):
        lines.append(Line(word=units.replace(" ", "  "), size=0.85))  # the type's own space is narrow
    if form in ("three", "why") and (answered := answers(face)):
        lines.append(Line(word=answered, size=0.85))
    return lines


def _size(lines: Sequence[Line], type_size: float) -> tuple[int, int]:
    """Width and height of a plate."""
    pad = _pad(type_size)
    width = max(_width(line, type_size) for line in lines)
    height = sum(_height(line, type_size) for line in lines) + (len(lines) - 1) * pad / 2
    return int(np.ceil(width + 2 * pad)), int(np.ceil(height + 2 * pad))


def _width(line: Line, type_size: float) -> float:
    size = type_size * line.size
    font = _font(size)
    parts = [font.getlength(text) for text in (line.word, line.percent) if text]
    if line.number:
        parts.insert(0, _chip(line.number, size) - (0 if parts else _pad(type_size)))
    return sum(parts) + (len(parts) - 1) * size * 0.6


def _height(line: Line, type_size: float) -> float:
    return type_size * line.size * (1 if line.value is None else 1.35)


def _chip(number: str, size: float) -> float:
    return max(size * 1.15, _font(size).getlength(number) + size * 0.5)


def _paste(canvas: Image.Image, lines: Sequence[Line], type_size: float, corner: tuple[int, int]) -> None:
    """Draw a plate on the picture with its upper left corner there, or as near as the picture has room."""
    width, height = _size(lines, type_size)
    if width > canvas.width or height > canvas.height:
        return  # a picture smaller than a word
    plate = Image.new("RGBA", (width, height), PLATE)
    pen = ImageDraw.Draw(plate)
    pad = _pad(type_size)
    y = pad
    for line in lines:
        size = type_size * line.size
        font, baseline, x = _font(size), y + size * 0.82, pad
        if line.number:
            chip = _chip(line.number, size)
            pen.rectangle((x, y - size * 0.06, x + chip, y + size), fill=line.color)
            ink = WHITE if _luminance(line.color) < 0.18 else DARK
            pen.text((x + chip / 2, baseline), line.number, fill=ink, font=font, anchor="ms")
            x += chip + size * 0.4
        pen.text((x, baseline), line.word, fill=WHITE, font=font, anchor="ls")
        pen.text((width - pad, baseline), line.percent, fill=WHITE, font=font, anchor="rs")
        if line.value is not None:
            top, bottom, length = y + size * 1.14, y + size * 1.32, width - 2 * pad
            pen.rectangle((pad, top, pad + length - 1, bottom), fill=TRACK)
            if line.value * length >= 0.5:
                pen.rectangle((pad, top, pad + max(line.value * length - 1, 0), bottom), fill=line.color)
        y += _height(line, type_size) + pad / 2
    x_at, y_at = min(corner[0], canvas.width - width), min(corner[1], canvas.height - height)
    canvas.paste(plate, (max(x_at, 0), max(y_at, 0)), plate)


def _box(canvas: Image.Image, face: FaceReport, unit: float) -> None:
    """The face's box, a coloured line between two thin dark ones, around the face rather than over it."""
    pen = ImageDraw.Draw(canvas)
    stroke, halo, reach = _frame(face.box, unit)
    # Where the box reaches past the border, its line runs along it.
    x1, y1 = np.maximum(np.round(face.box[:2]) - reach, 0).astype(int).tolist()
    x2, y2 = np.minimum(np.round(face.box[2:]) + reach, [canvas.width, canvas.height]).astype(int).tolist()
    if x2 - x1 > 2 * reach and y2 - y1 > 2 * reach:
        pen.rectangle((x1, y1, x2 - 1, y2 - 1), outline=DARK, width=reach)
        inner = (x1 + halo, y1 + halo, x2 - 1 - halo, y2 - 1 - halo)
        pen.rectangle(inner, outline=COLORS[face.expression.top], width=stroke)


def _dots(canvas: Image.Image, face: FaceReport) -> None:
    """The 68 landmarks of a face that is large enough."""
    side = float((face.box[2:] - face.box[:2]).max())
    if face.landmarks is None or side < DOTTED:
        return
    dot = _dot(max(0.9, side / 150))
    for x, y in (np.floor(face.landmarks).astype(int) - dot.width // 2).tolist():
        canvas.paste(dot, (x, y), dot)


def _dot(radius: float) -> Image.Image:
    """A white dot in a thin dark ring, with smooth edges, around the middle of a pixel."""
    finer = 8  # drawn so many times larger, for the edges
    side = 2 * int(np.ceil(1.6 * radius)) + 1
    dot = Image.new("RGBA", (side * finer, side * finer), (*ImageColor.getrgb(DARK), 0))
    pen = ImageDraw.Draw(dot)
    for reach, color in ((1.6 * radius, (*ImageColor.getrgb(DARK), 170)), (radius, (255, 255, 255, 255))):
        near, far = finer * (side / 2 - reach), finer * (side / 2 + reach) - 1
        pen.ellipse((near, near, far, far), fill=color)
    return dot.resize((side, side), Image.Resampling.BOX)


def _frame(box: NDArray[np.floating[Any]], unit: float) -> tuple[int, int, int]:
    """Widths of a box's coloured line, of each dark one, and of all three."""
    stroke = max(1, round(min(unit / 6, float((box[2:] - box[:2]).min()) / 8)))
    halo = max(1, stroke // 3)
    return stroke, halo, stroke + 2 * halo


def _type(unit: float, style: Style) -> float:
    return max(unit * style.scale, LEGIBLE)


def _pad(type_size: float) -> float:
    return type_size * 0.4


def _luminance(color: str) -> float:
    channels = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return float(np.array([0.2126, 0.7152, 0.0722]) @ channels**2.2)


@lru_cache(maxsize=64)
def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
