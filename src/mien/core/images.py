"""A path, bytes, an array or a Pillow image to RGB uint8; only this file knows of EXIF rotation, alpha and 16 bits."""

import io
from os import PathLike
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from mien.errors import InputError

MAX_PIXELS = 100_000_000
# What cameras, phones and the web write. Pillow knows more, and some of those start other programs to read a file.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF")
# The endings of such files, by which folders are searched.
ENDINGS = frozenset(
    (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")
) | {".jp2", ".avif"}
ImageSource: TypeAlias = "str | PathLike[str] | bytes | NDArray[np.uint8] | Image.Image"


def read_image(source: ImageSource) -> NDArray[np.uint8]:
    """Read a picture upright, without alpha, as an (H, W, 3) uint8 RGB array.

    source: a file's path, a file's bytes, a Pillow image, or a uint8 array, RGB (H, W, 3) or gray (H, W).
    EXIF rotation is applied, transparency becomes white, 16-bit gray becomes 8-bit; of several pictures in a file the
    first is read.
    Raises InputError for anything else: a missing, unreadable, truncated or empty file, more than 100 megapixels,
    or an array of another type or shape.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, Image.Image):
        return _decode(source, "the Pillow image")
    if isinstance(source, bytes | bytearray | memoryview):
        return _open(bytes(source), "the bytes given")
    if isinstance(source, str | PathLike):
        path = Path(source)
        return _open(_read_file(path), str(path))
    raise InputError(f"expected a path, bytes, a uint8 array or a Pillow image, but got {type(source).__name__}")


def to_gray(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The luma (ITU-R 601) of an (H, W, 3) RGB image, as (H, W) uint8."""
    return np.asarray(Image.fromarray(image).convert("L"))


def _from_array(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if array.dtype != np.uint8 or array.shape[2:] not in ((), (3,)) or array.ndim not in (2, 3) or 0 in array.shape:
        raise InputError(
            f"expected an RGB image, uint8 of shape (H, W, 3), or gray of shape (H, W), but got {array.dtype} of shape "
            f"{array.shape}; scale floats to 0..255 and call .astype('uint8'), or pass the file to mien.read_image"
        )
    _check_size(array.shape[1], array.shape[0], "the array")
    return np.ascontiguousarray(array if array.ndim == 3 else np.repeat(array[:, :, None], 3, axis=2))


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file", "missing") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})", "unreadable") from error
    except ValueError as error:  # a name with a NUL in it
        raise InputError(f"{path}: cannot be read ({error})", "unreadable") from error


def _open(data: bytes, name: str) -> NDArray[np.uint8]:
    if not data:
        raise InputError(f"{name}: the file is empty", "unreadable")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise _too_large(name, "far too many pixels") from error
    except Exception as error:  # Pillow's parsers raise whatever they trip over
        raise InputError(
            f"{name}: not a picture that can be read; JPEG, PNG, WebP, BMP, GIF and TIFF can be", "unreadable"
        ) from error
    return _decode(image, name)


def _decode(image: Image.Image, name: str) -> NDArray[np.uint8]:
    _check_size(*image.size, name)
    try:
        image.load()
        return np.array(_to_rgb(_upright(image), name))
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{name}: the picture is damaged or cut off ({error})", "unreadable") from error


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # broken EXIF data say nothing of the pixels: keep the picture as it is stored
        return image


def _to_rgb(image: Image.Image, name: str) -> Image.Image:
    if image.mode.startswith("I"):
        # 16-bit gray arrives as I;16 or as 32-bit I, depending on the format.
        return Image.fromarray((np.clip(np.asarray(image), 0, 65535) / 257).round().astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise InputError(
            f"{name}: a picture of floating-point numbers has no agreed white; save it with 8 or 16 bits", "unreadable"
        )
    if image.mode == "La":
        image = image.convert("LA")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _check_size(width: int, height: int, name: str) -> None:
    if 0 in (width, height):
        raise InputError(f"{name}: {width} x {height} pixels; a picture has at least one", "unreadable")
    if width * height > MAX_PIXELS:
        raise _too_large(name, f"{width} x {height} pixels")


def _too_large(name: str, size: str) -> InputError:
    limit = MAX_PIXELS // 1_000_000
    return InputError(f"{name}: {size}; at most {limit} megapixels are read, so reduce it first", "too_large")
