"""What one picture may cost; checked before the memory is taken."""

import re
from dataclasses import dataclass

from mien.errors import InputError

# The most memory that Pillow's decoders were seen to take, in bytes a pixel, for pictures of noise: three channels, and
# alpha where the format has it. Besides the file and the result, and rounded up.
DECODING = {"JPEG2000": 24.0, "AVIF": 24.0, "WEBP": 18.0, "JPEG": 10.0}
OTHERS = 8.0
# In the coded data of a JPEG, FF is followed by 00 or a restart marker.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_SCAN, _END = 0xDA, 0xD9


@dataclass(frozen=True)
class Limits:
    """What one picture may cost, as `mien.read_image(photo, limits=Limits(pixels=24_000_000))`.

    file_bytes: of the file.   pixels: width times height.   side: the longer one, in pixels.
    ratio: of the longer side to the shorter.
    memory: of the decoder, in bytes, estimated from the format and the size.
    scans: of a JPEG; one that is sharpened step by step has about ten.
    seconds: of decoding, for formats that are read piece by piece: JPEG, PNG, GIF, BMP and PPM.
    """

    file_bytes: int = 400_000_000
    pixels: int = 100_000_000
    side: int = 65_535
    ratio: float = 1_000.0
    memory: int = 1_000_000_000
    scans: int = 100
    seconds: float = 60.0

    def check_size(self, width: int, height: int, name: str, format: str | None = None) -> None:
        """Raise InputError when a picture of this size, in this format of Pillow, is empty or too large."""
        if 0 in (width, height):
            raise InputError(f"{name}: {width} x {height} pixels; a picture has at least one", "unreadable")
        long, short, pixels = max(width, height), min(width, height), width * height
        size = f"{width} x {height} pixels"
        if pixels > self.pixels:
            raise too_large(name, f"{size}; at most {self.pixels / 1e6:g} megapixels are read")
        if long > self.side:
            raise too_large(name, f"{size}; a side may have at most {self.side}")
        if long > self.ratio * short:
            raise too_large(name, f"{size}; one side may be at most {self.ratio:g} times the other")
        if format is not None and pixels * DECODING.get(format, OTHERS) > self.memory:
            most = self.memory / DECODING.get(format, OTHERS) / 1e6
            raise too_large(name, f"{size} as {format}; at most {most:.0f} megapixels of it are read")

    def check_scans(self, jpeg: bytes, name: str) -> None:
        """Raise InputError when a JPEG has too many scans."""
        if jpeg.count(b"\xff\xda") > self.scans and (scans := _scans(jpeg)) > self.scans:
            raise too_large(name, f"a JPEG of {scans} scans; at most {self.scans} are read")


def too_large(name: str, cause: str) -> InputError:
    """The error for a picture that costs too much."""
    return InputError(f"{name}: {cause}, so reduce it first", "too_large")


def _scans(jpeg: bytes) -> int:
    """How many scans a JPEG has, up to its end: telephones put films behind it."""
    at, scans = 2, 0
    while (found := _MARKER.search(jpeg, at)) is not None and (kind := found[0][1]) != _END:
        scans += kind == _SCAN
        at = found.start() + 2 + int.from_bytes(jpeg[found.end() : found.end() + 2])
    return scans
