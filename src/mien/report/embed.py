"""Pictures as they stand inside a page: reduced, encoded, as data URLs."""

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.results.face import FaceReport
from mien.results.outcome import Outcome

# The embedded picture: its longest and shortest long side in pixels, and what its JPEG may weigh, less so much for each
# face, down to the least: a page of one photograph is to stay under 1.5 MB.
LONGEST, SHORTEST, MAX_BYTES, FACE_BYTES, MIN_BYTES = 1280, 640, 800_000, 8_000, 150_000
# The side of a face on its card in pixels, and in pictures of more than CROWD faces.
THUMBNAIL, CROWD_THUMBNAIL, CROWD = 144, 72, 20
# Width and height at most of a picture in the index, in pixels.
PREVIEW = (320, 240)


def reduced(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture no larger than a page shows it, so that many fit into memory."""
    picture = Image.fromarray(image)
    picture.thumbnail((LONGEST, LONGEST))
    return np.asarray(picture)


def fitted(image: NDArray[np.uint8]) -> Image.Image:
    """Return a picture at the size of the page: its long side from SHORTEST to LONGEST pixels."""
    picture = Image.fromarray(image)
    scale = float(np.clip(1, SHORTEST / max(picture.size), LONGEST / max(picture.size)))
    if scale == 1:
        return picture
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def preview(image: NDArray[np.uint8]) -> Image.Image:
    """Return a picture as small as an index of many shows it."""
    picture = Image.fromarray(image)
    picture.thumbnail(PREVIEW, Image.Resampling.LANCZOS)
    return picture


def thumbnail(outcome: Outcome, face: FaceReport) -> str:
    """The face with some surroundings, square unless the picture ends; a plain square when there is no picture."""
    image = outcome.image
    if image is None or outcome.report is None:
        return jpeg(Image.new("RGB", (8, 8), "#888888"), 85)
    box = face.box * (image.shape[1] / outcome.report.size[1])
    center = (box[:2] + box[2:]) / 2
    half = 0.65 * float((box[2:] - box[:2]).max())
    height, width = image.shape[:2]
    x1, y1 = np.clip(np.round(center - half), 0, [width - 1, height - 1]).astype(int)
    x2, y2 = np.clip(np.round(center + half), [x1 + 1, y1 + 1], [width, height]).astype(int)
    crop = Image.fromarray(image[y1:y2, x1:x2])
    side = CROWD_THUMBNAIL if len(outcome.report.faces) > CROWD else THUMBNAIL
    crop.thumbnail((side, side), Image.Resampling.LANCZOS)
    return jpeg(crop, 82)


def jpeg(picture: Image.Image, quality: int, most: int = MAX_BYTES) -> str:
    """A data URL; a picture of more than `most` bytes, such as noise, is compressed more."""
    for q in (quality, 75, 60, 45, 30, 15):
        file = encoded(picture, "JPEG", quality=q, optimize=True, progressive=True)
        if len(file) <= most:
            break
    return data_url("jpeg", file)


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """Return a picture as the bytes of a file; options are those of Pillow's `save`."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def data_url(kind: str, file: bytes) -> str:
    """Return the bytes of a picture as a data URL.   kind: "jpeg" or "png"."""
    return f"data:image/{kind};base64,{base64.b64encode(file).decode('ascii')}"
