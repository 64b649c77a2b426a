"""Pictures of every format that mien reads, and how they are damaged; every damage follows from its number.

Only Pillow is needed, so the tests use it too.
"""

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache
from typing import Literal

import numpy as np
from PIL import Image

# What parsers trip over: nothing, all ones, signs, and sizes just past a power of two.
NUMBERS = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10001, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
# Where headers are; the signature before it is kept, or most files would not even be taken for pictures.
_HEADER = range(12, 64)


@cache
def seeds() -> dict[str, bytes]:
    """The 34 whole files by name, a few hundred bytes each."""
    y, x = np.mgrid[:24, :32]
    rgb = np.stack([8 * x, 10 * y, 4 * (x + y)], axis=2).clip(0, 255).astype(np.uint8)
    color = Image.fromarray(rgb)
    gray, palette, bits = color.convert("L"), color.quantize(16), color.convert("1")
    alpha = color.copy()
    alpha.putalpha(gray)
    deep = Image.fromarray(np.asarray(gray).astype(np.uint16) * 257)
    turned = Image.Exif()
    turned[0x0112] = 6
    frames = {"save_all": True, "append_images": [color.transpose(Image.Transpose.ROTATE_180)]}
    cmyk = color.convert("CMYK")
    return {
        "jpeg": _file(color, "JPEG"),
        "jpeg-progressive": _file(color, "JPEG", progressive=True),
        "jpeg-gray": _file(gray, "JPEG"),
        "jpeg-cmyk": _file(cmyk, "JPEG"),
        "jpeg-turned": _file(color, "JPEG", exif=turned),
        "jpeg-restarts": _file(color, "JPEG", restart_marker_blocks=1, subsampling=0),
        "png": _file(color, "PNG"),
        "png-alpha": _file(alpha, "PNG"),
        "png-gray": _file(gray, "PNG"),
        "png-deep": _file(deep, "PNG"),
        "png-palette": _file(palette, "PNG", transparency=0),
        "png-bits": _file(bits, "PNG"),
        "png-animated": _file(color, "PNG", **frames),
        "webp": _file(color, "WEBP"),
        "webp-lossless": _file(color, "WEBP", lossless=True),
        "webp-alpha": _file(alpha, "WEBP", exif=turned),
        "webp-animated": _file(color, "WEBP", **frames),
        "bmp": _file(color, "BMP"),
        "bmp-palette": _file(palette, "BMP"),
        "dib": _file(color, "DIB"),
        "gif": _file(palette, "GIF"),
        "gif-animated": _file(color, "GIF", **frames),
        "tiff": _file(color, "TIFF"),
        "tiff-lzw": _file(alpha, "TIFF", compression="tiff_lzw"),
        "tiff-deflate": _file(deep, "TIFF", compression="tiff_adobe_deflate"),
        "tiff-jpeg": _file(color, "TIFF", compression="jpeg"),
        "tiff-fax": _file(bits, "TIFF", compression="group4"),
        "tiff-cmyk": _file(cmyk, "TIFF", compression="packbits"),
        "ppm": _file(color, "PPM"),
        "pgm-deep": _file(deep, "PPM"),
        "ppm-plain": b"P3 4 4 255 " + b" ".join(b"%d" % v for v in rgb[:4, :4].ravel()),
        "jpeg2000": _file(color, "JPEG2000"),
        "jpeg2000-stream": _file(alpha, "JPEG2000", no_jp2=True),
        "avif": _file(color, "AVIF", speed=10),
    }


def damaged(number: int) -> tuple[str, bytes]:
    """The name of a seed, and its file with one to three damages."""
    random = np.random.default_rng([28, number])
    names = sorted(seeds())
    name = names[number % len(names)]
    data = seeds()[name]
    for _ in range(int(random.integers(1, 4))):
        data = _DAMAGES[int(random.integers(len(_DAMAGES)))](data, random)
    # Or every damage behind the header of a PNG would only show that its checksums are checked.
    return name, _checked(data) if name.startswith("png") and random.random() < 0.7 else data


def _file(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def _place(data: bytes, random: np.random.Generator) -> int:
    """Half of the damages are done where headers are."""
    most = min(len(data), _HEADER.stop) if random.random() < 0.5 else len(data)
    return int(random.integers(min(_HEADER.start, most), most + 1))


def _flip(data: bytes, random: np.random.Generator) -> bytes:
    altered = bytearray(data)
    for _ in range(int(random.integers(1, 9))):
        at = _place(data, random)
        if at < len(altered):
            altered[at] ^= 1 << int(random.integers(8))
    return bytes(altered)


def _number(data: bytes, random: np.random.Generator) -> bytes:
    """Write a number of one, two or four bytes over what is there."""
    at, width = _place(data, random), int(random.choice([1, 2, 4]))
    number = int(random.choice(NUMBERS)) % (1 << 8 * width)
    order: Literal["big", "little"] = "big" if random.random() < 0.5 else "little"
    return data[:at] + number.to_bytes(width, order) + data[at + width :]


def _cut(data: bytes, random: np.random.Generator) -> bytes:
    return data[: _place(data, random)]


def _insert(data: bytes, random: np.random.Generator) -> bytes:
    at = _place(data, random)
    return data[:at] + random.bytes(int(random.integers(1, 40))) + data[at:]


def _remove(data: bytes, random: np.random.Generator) -> bytes:
    at = _place(data, random)
    return data[:at] + data[at + int(random.integers(1, 40)) :]


def _repeat(data: bytes, random: np.random.Generator) -> bytes:
    start, end = sorted((_place(data, random), _place(data, random)))
    return data[:end] + data[start:end] * int(random.integers(1, 20)) + data[end:]


def _splice(data: bytes, random: np.random.Generator) -> bytes:
    """The start of this file and the end of another."""
    other = seeds()[sorted(seeds())[int(random.integers(len(seeds())))]]
    return data[: _place(data, random)] + other[_place(other, random) :]


_DAMAGES: list[Callable[[bytes, np.random.Generator], bytes]] = [
    _flip,
    _number,
    _cut,
    _insert,
    _remove,
    _repeat,
    _splice,
]


def _checked(png: bytes) -> bytes:
    """The PNG with the checksum that each of its chunks should have."""
    parts, at = [png[:8]], 8
    while at + 12 <= len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        body = png[at + 4 : at + 8 + length]
        if at + 12 + length > len(png):
            break
        parts.append(png[at : at + 4] + body + struct.pack(">I", zlib.crc32(body)))
        at += 12 + length
    return b"".join(parts) + png[at:]
