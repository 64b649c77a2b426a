"""Pictures, votes and small data sets that several test files draw."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ASTRONAUT = Path(__file__).parents[1] / "examples" / "astronaut.png"


def encoded(array: NDArray, format: str = "PNG", **options: object) -> bytes:
    """The picture as a file's bytes."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format, **options)
    return buffer.getvalue()


def noise(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def drawn_face(smiling: bool, seed: int = 0) -> NDArray[np.uint8]:
    """(48, 48) uint8: two eyes and a mouth that turns up or down, a little noisy."""
    y, x = np.mgrid[:48, :48]
    face = np.full((48, 48), 190.0)
    for eye in (15, 33):
        face[(x - eye) ** 2 + (y - 18) ** 2 < 9] = 40
    bend = (x - 24) ** 2 / 24
    face[(abs(y - (38 - bend if smiling else 33 + bend)) < 2) & (abs(x - 24) < 12)] = 40
    grain = np.random.default_rng(seed).normal(0, 8, face.shape)
    return (face + grain).clip(0, 255).astype(np.uint8)


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def write_fer2013(folder: Path, rows: Sequence[tuple[object, NDArray[np.uint8], str]]) -> Path:
    """fer2013.csv from labels, (48, 48) faces and usages."""
    return write_csv(
        folder / "fer2013.csv",
        ("emotion", "pixels", "Usage"),
        [(label, " ".join(map(str, face.ravel())), usage) for label, face, usage in rows],
    )
