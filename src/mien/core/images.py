"""A path, bytes, an array or a Pillow image to RGB uint8; only this file knows of EXIF rotation, alpha and 16 bits."""

import io
import struct
import time
import warnings
from collections.abc import Callable, Sequence
from functools import cache, partial
from os import PathLike
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.core import libtiff
from mien.core.files import read_regular
from mien.core.limits import Limits, estimated, too_large
from mien.core.sources import (
    BinaryFile,
    allow_heif,
    file_name,
    is_heif,
    is_open_file,
    over_white,
    read_open_file,
    refuse_array,
    refuse_url,
    warn_of_more,
)
from mien.errors import InputError, MissingExtra

# What cameras, phones and the web write. Pillow knows more, and some of those start other programs to read a file.
FORMATS: tuple[str, ...] = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF")
# The endings of such files, by which folders are searched.
ENDINGS = frozenset(
    (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")
) | {".jp2", ".avif", ".heic", ".heif"}
ImageSource: TypeAlias = "str | PathLike[str] | bytes | BinaryFile | NDArray[np.uint8] | Image.Image"
LIMITS = Limits()

# Pillow warns of metadata that it cannot make sense of, on standard error, and goes on; the pixels are what counts.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

_ORIENTATION = 0x0112  # the EXIF tag
_WHITE = "white"
# A picture is converted so many pixels at a time: each step of a conversion holds them once more.
_STRIP = 1 << 20
# An upright picture as it lies in the file, by its EXIF orientation; views, not copies.
_STORED: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: upright[:, ::-1].transpose(1, 0, 2),
    7: lambda upright: upright[::-1, ::-1].transpose(1, 0, 2),
    8: lambda upright: upright[::-1].transpose(1, 0, 2),
}


def read_image(source: ImageSource, limits: Limits = LIMITS) -> NDArray[np.uint8]:
    """Read a picture upright, without alpha, as an (H, W, 3) uint8 RGB array.

    source: a file's path, a file's bytes, an open binary file, a Pillow image, or a uint8 array: RGB (H, W, 3), with
    alpha (H, W, 4), or gray (H, W) or (H, W, 1).
    limits: what the picture may cost; checked before memory is allocated.

    EXIF rotation is applied, transparency becomes white, 16-bit gray becomes 8-bit. If a file holds several pictures,
    the first is read, with an InputWarning. HEIC needs the extra `heif`.
    Raise InputError for anything else: a missing, unreadable, truncated, empty or too large file, one that is not a
    regular file, or an array of another type or shape.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, limits)
    if isinstance(source, Image.Image):
        return _decode(source, "the Pillow image", limits)
    if isinstance(source, bytes | bytearray | memoryview):
        size = memoryview(source).nbytes
        if size > limits.file_bytes:
            raise too_large(
                "the bytes given", f"{size / 1e6:,.4g} MB; at most {limits.file_bytes / 1e6:,.4g} MB are read"
            )
        return begin(bytes(source), "the bytes given", limits)[1]()
    if is_open_file(source):
        data, name = read_open_file(source, limits.file_bytes), file_name(source)
        if len(data) > limits.file_bytes:
            raise too_large(name, f"more than the {limits.file_bytes / 1e6:,.4g} MB that are read")
        return begin(data, name, limits)[1]()
    if isinstance(source, str | PathLike):
        refuse_url(str(source))
        return begin(read_regular(source, limits.file_bytes), str(source), limits)[1]()
    raise InputError(
        f"expected a path, bytes, an open binary file, a uint8 array or a Pillow image, but got {type(source).__name__}"
    )


def to_gray(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The luma (ITU-R 601) of an (H, W, 3) RGB image, as (H, W) uint8."""
    return np.asarray(Image.fromarray(image).convert("L"))


def _from_array(given: NDArray[np.uint8], limits: Limits) -> NDArray[np.uint8]:
    array = over_white(np.asarray(given))  # np.matrix keeps two dimensions whatever is done to it
    refuse_array(array)
    limits.check_size(array.shape[1], array.shape[0], "the array")
    return np.ascontiguousarray(array if array.ndim == 3 else np.repeat(array[:, :, None], 3, axis=2))


class _Timed(io.BytesIO):
    """A file's bytes, which can be read until this thread has computed for so many seconds."""

    def __init__(self, data: bytes, name: str, seconds: float) -> None:
        super().__init__(data)
        self._name, self._seconds, self._end = name, seconds, time.thread_time() + seconds

    def read(self, size: int | None = -1, /) -> bytes:
        if time.thread_time() > self._end:
            raise too_large(self._name, f"decoding takes longer than {self._seconds:g} seconds")
        return super().read(size)


def begin(data: bytes, name: str, limits: Limits = LIMITS) -> tuple[int, Callable[[], NDArray[np.uint8]]]:
    """Read the header of a file's bytes: how much memory decoding takes at most, and what decodes as read_image does.

    Raises InputError, as decoding does, for what cannot be read.
    """
    image = _identified(data, name, limits)
    size, pixels, scans = (
        image.size,
        image.width * image.height,
        limits.check_scans(data, name) if image.format == "JPEG" else 0,
    )
    limits.check_size(*size, name)
    from mien.core import apart  # it needs subprocess, which nobody waits for who only imports mien

    if not apart.wanted(image, scans):
        return estimated(pixels, image.format, len(data)), partial(_decoded, image, data, name, limits)
    limits.check_memory(*size, name, image.format, len(data), copies=2)
    return estimated(pixels, image.format, len(data), copies=2), partial(apart.decode, data, name, limits)


def decode_here(data: bytes, name: str, limits: Limits) -> NDArray[np.uint8]:
    """A file's bytes to (H, W, 3) RGB as by read_image, in this process whatever it is; `name` stands in errors."""
    return _decoded(_identified(data, name, limits), data, name, limits)


@cache
def _quiet_log() -> None:
    """Let what Pillow logs go to the program's handlers, but not to standard error where it has none."""
    import logging  # Pillow imports it too, when it opens a file

    logging.getLogger("PIL").addHandler(logging.NullHandler())


def _identified(data: bytes, name: str, limits: Limits) -> Image.Image:
    """The picture with its header read."""
    _quiet_log()
    if not data:
        raise InputError(f"{name}: the file is empty", "unreadable")
    try:
        heif = is_heif(data)
        if heif:
            allow_heif()
        image = _identify(_Timed(data, name, limits.seconds), data[:16], ("HEIF",) if heif else FORMATS)
    except (InputError, MissingExtra):
        raise
    except Image.DecompressionBombError as error:
        raise too_large(name, "far too many pixels") from error
    except Exception as error:  # Pillow's parsers raise whatever they trip over
        raise InputError(f"{name}: {_UNKNOWN} ({_cause(error)})", "unreadable") from error
    if image is None:
        raise InputError(f"{name}: {_UNKNOWN}", "unreadable")
    return image


def _decoded(image: Image.Image, data: bytes, name: str, limits: Limits) -> NDArray[np.uint8]:
    if image.format == "TIFF":
        libtiff.silence()
    pixels = _decode(image, name, limits, len(data))
    warn_of_more(image, name)
    return pixels


_UNKNOWN = "not a picture that can be read; JPEG, PNG, WebP, BMP, GIF, TIFF and, with the extra heif, HEIC can be"


def _identify(file: io.BytesIO, prefix: bytes, formats: Sequence[str]) -> Image.Image | None:
    """Open the picture by its first bytes.

    As PIL.Image.open, but for its check of sizes, which warns on standard error of pictures that mien reads.
    """
    Image.preinit()
    for format in formats:
        if format not in Image.OPEN:
            Image.init()
        factory, accept = Image.OPEN[format]
        accepted = accept is None or accept(prefix)
        if accepted and not isinstance(accepted, str):  # a text says why this Pillow lacks the format
            file.seek(0)
            try:
                if format == "GIF":  # whose frames are checked by the plugin itself
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                        return factory(file, "")
                return factory(file, "")
            except (SyntaxError, IndexError, TypeError, struct.error):
                continue  # what they raise for a file of another format
    return None


def _decode(image: Image.Image, name: str, limits: Limits, file_bytes: int = 0) -> NDArray[np.uint8]:
    limits.check_size(*image.size, name)
    limits.check_memory(*image.size, name, image.format, file_bytes)
    try:
        image.load()
        # The size of some formats is only known for sure by now.
        limits.check_size(*image.size, name)
        limits.check_memory(*image.size, name, image.format, file_bytes)
        return _upright(image, _conversion(image, name))
    except InputError:
        raise
    except MemoryError as error:
        raise too_large(name, "{} x {} pixels do not fit into memory".format(*image.size)) from error
    except Exception as error:
        raise InputError(f"{name}: the picture is damaged or cut off ({_cause(error)})", "unreadable") from error


def _cause(error: Exception) -> str:
    return str(error) or type(error).__name__


def _upright(image: Image.Image, convert: Callable[[Image.Image], NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """The pixels as (H, W, 3), turned as EXIF says, by strips: no second picture is held beside the result."""
    width, height = image.size
    stored = _STORED[_orientation(image)]
    upright = np.empty((*stored(np.empty((height, width, 0), np.uint8)).shape[:2], 3), np.uint8)
    target, rows = stored(upright), max(1, _STRIP // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        whole = bottom - top == height
        target[top:bottom] = convert(image if whole else image.crop((0, top, width, bottom)))
    return upright


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(_ORIENTATION)
        return orientation if orientation in _STORED else 1
    except Exception:  # broken EXIF data say nothing of the pixels: keep the picture as it is stored
        return 1


def _conversion(image: Image.Image, name: str) -> Callable[[Image.Image], NDArray[np.uint8]]:
    """What turns a strip of the picture into (h, w, 3) uint8, or (h, w, 1) where it is gray."""
    if image.mode.startswith("I"):
        return _from_deep
    if image.mode == "F":
        raise InputError(
            f"{name}: a picture of floating-point numbers has no agreed white; save it with 8 or 16 bits", "unreadable"
        )
    if image.mode == "La" or image.has_transparency_data:
        return _on_white
    if image.mode in ("L", "1"):
        return lambda strip: np.asarray(strip.convert("L"))[:, :, None]
    return lambda strip: np.asarray(strip if strip.mode == "RGB" else strip.convert("RGB"))


def _from_deep(strip: Image.Image) -> NDArray[np.uint8]:
    """16-bit gray, which arrives as I;16 or as 32-bit I, depending on the format."""
    gray: NDArray[np.uint8] = (np.clip(np.asarray(strip), 0, 65535) / 257).round().astype(np.uint8)
    return gray[:, :, None]


def _on_white(strip: Image.Image) -> NDArray[np.uint8]:
    if strip.mode == "La":
        strip = strip.convert("LA")
    white = Image.new("RGBA", strip.size, _WHITE)
    return np.asarray(Image.alpha_composite(white, strip.convert("RGBA")).convert("RGB"))
