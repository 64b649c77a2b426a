"""A report where a notebook shows it: the picture with numbered boxes, and a row for each face."""

import io
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from mien.results.face import FaceReport, ImageReport

# The longest side of the picture in pixels, and what its JPEG may weigh: a report is to stay below 300 kB in base64.
SIDE, MOST_BYTES = 640, 180_000
# Rows of the table at most.
ROWS = 20


def preview(image: NDArray[np.uint8]) -> bytes | None:
    """Return an (H, W, 3) RGB picture as a small JPEG for a notebook; None where none runs, to spare the memory."""
    return jpeg(image) if "IPython" in sys.modules else None


def jpeg(image: NDArray[np.uint8]) -> bytes:
    """Return an (H, W, 3) RGB picture as a JPEG of at most SIDE pixels and MOST_BYTES bytes."""
    picture = Image.fromarray(image)
    picture.thumbnail((SIDE, SIDE))
    return _encoded(picture)


def html(report: "ImageReport") -> str:
    """Return a report as HTML below 300 kB, without style sheets and scripts, which notebooks take out."""
    from html import escape  # here, as below, what a report needs only in a notebook

    rows = "\n".join(_row(face, number) for number, face in enumerate(report.faces[:ROWS], start=1))
    left = len(report.faces) - ROWS
    more = f"<p>and {left} more</p>" if left > 0 else ""
    head = "<tr><th></th><th>expression</th><th></th><th>next</th><th></th></tr>"
    table = f"<table>\n{head}\n{rows}\n</table>{more}" if report.faces else f"<p>{escape(report.status)}</p>"
    return f"<div>{_picture(report)}\n<p>{escape(in_words(report))}</p>\n{table}</div>"


def in_words(report: "ImageReport") -> str:
    """Return what a report holds in a line: "512 x 512 px, 1 face: happiness 97 %"."""
    height, width = report.size
    faces = [f"{face.expression.top.label} {face.expression.confidence:.0%}" for face in report.faces]
    count = {0: "no face", 1: "1 face"}.get(len(faces), f"{len(faces)} faces")
    shown = ", ".join([*faces[:6], *["..."] * (len(faces) > 6)]).replace("%", " %")
    return f"{width} x {height} px, {count}{': ' if faces else ''}{shown}"


def _row(face: "FaceReport", number: int) -> str:
    cells = [str(number)]
    for e in face.expression.ranked[:2]:
        cells += [e.label, f"{face.expression[e]:.0%}".replace("%", " %")]
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _picture(report: "ImageReport") -> str:
    from base64 import b64encode

    if report.preview is None:
        return ""
    picture = Image.open(io.BytesIO(report.preview)).convert("RGB")
    scale = np.array([picture.width / report.size[1], picture.height / report.size[0]] * 2)
    _mark(picture, [face.box * scale for face in report.faces])
    data = b64encode(_encoded(picture)).decode("ascii")
    return f'<img src="data:image/jpeg;base64,{data}" alt="the picture with its faces numbered">'


def _mark(picture: Image.Image, boxes: Sequence[NDArray[np.floating]]) -> None:
    """Draw boxes, each with its number, a white line within a dark one."""
    from PIL import ImageDraw, ImageFont

    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(14)
    for number, box in enumerate(boxes, start=1):
        x1, y1, x2, y2 = (int(v) for v in np.round(box))
        x2, y2 = max(x2, x1), max(y2, y1)
        pen.rectangle((x1 - 2, y1 - 2, x2 + 2, y2 + 2), outline="#101216", width=4)
        pen.rectangle((x1 - 1, y1 - 1, x2 + 1, y2 + 1), outline="#ffffff", width=2)
        x, y = max(x1, 0), max(y1 - 18, 0)
        pen.rectangle((x, y, x + 4 + 9 * len(str(number)), y + 18), fill="#101216")
        pen.text((x + 3, y + 1), str(number), fill="#ffffff", font=font)


def _encoded(picture: Image.Image) -> bytes:
    """A picture as a JPEG, compressed until it is small enough."""
    return next(file for file in _files(picture) if len(file) <= MOST_BYTES)


def _files(picture: Image.Image) -> Iterator[bytes]:
    for quality in (82, 65, 45, 25, 10):
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=quality)
        yield file.getvalue()
    picture.thumbnail((SIDE // 2, SIDE // 2))
    yield from _files(picture)
