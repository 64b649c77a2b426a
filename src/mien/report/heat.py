"""Attention to a heat map over the picture, as numbers and as a picture to lay over a photograph."""

from dataclasses import replace
from functools import reduce

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.report.embed import data_url, encoded
from mien.results.face import FaceReport, ImageReport

# Viridis, from dark to light in even steps for every eye: the heat map's colours, lowest first.
VIRIDIS = ("#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725")
# The heat map's longest side in pixels (attention is far coarser), its steps, and the strength in percent it starts at.
HEAT_SIDE, HEAT_STEPS, STRENGTH = 512, 48, 40


def heat_map(face: FaceReport, size: tuple[int, int]) -> NDArray[np.float32] | None:
    """Where the reader looked, (H, W) float32 over the whole picture: 0 outside the crop, 1 at its strongest.

    size: (H, W) of the picture in pixels.   None when the reader gives no attention.
    """
    if face.attention is None:
        return None
    height, width = face.attention.shape
    low, high = float(face.attention.min()), float(face.attention.max())
    scaled = (face.attention - low) / max(high - low, 1e-12)
    # From pixel centres of the picture to those of the attention map.
    matrix = face.crop * np.array([[width], [height]])
    matrix[:, 2] += matrix[:, :2].sum(axis=1) / 2 - 0.5
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    shown = cv2.warpAffine(scaled, matrix, (size[1], size[0]), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    inside = np.ones(size, bool)
    for row in face.crop:
        along = row[0] * x + row[1] * y + row[2]
        inside &= (along >= 0) & (along <= 1)
    return np.asarray(shown * inside, np.float32)


def heat_picture(report: ImageReport) -> str:
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
    return data_url("png", encoded(picture, "PNG", optimize=True))


def _heat_palette() -> NDArray[np.uint8]:
    """(HEAT_STEPS, 4) RGBA: nothing where there is no attention, soon opaque where there is some."""
    value = np.linspace(0, 1, HEAT_STEPS)
    points = np.array([[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in VIRIDIS])
    at = np.linspace(0, 1, len(points))
    channels = [np.interp(value, at, points[:, i]) for i in range(3)]
    return np.round(np.stack([*channels, 255 * np.clip(value / 0.3, 0, 1)], axis=1)).astype(np.uint8)
