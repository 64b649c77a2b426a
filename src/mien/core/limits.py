"""Limits of what one picture may cost, checked before memory is allocated."""

import re
from dataclasses import dataclass

from mien.errors import InputError

# The most memory that Pillow's decoders were seen to take, in bytes a pixel, for pictures of noise: three channels, and
# alpha where the format has it. Besides the file and the result, and rounded up.
DECODING = {"JPEG2000": 24.0, "AVIF": 24.0, "WEBP": 20.0, "JPEG": 10.0}
OTHERS = 8.0
RESULT = 3.0
# In the coded data of a JPEG, FF is followed by 00 or a restart marker.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_SCAN, _END = 0xDA, 0xD9


@dataclass(frozen=True)
class Limits:
    """Limits of what one picture may cost: `mien.read_image(photo, limits=Limits(pixels=24_000_000))`.

    file_bytes: size of the file.   pixels: width times height.   side: longer side in pixels.
    ratio: longer side to shorter side.
    memory: bytes of file, decoder and result together, estimated from format and size.
    scans: scans of a JPEG; progressive ones have about ten.
    seconds: processor time for decoding.
    """

    file_bytes: int = 400_000_000
    pixels: int = 100_000_000
    side: int = 65_535
    ratio: float = 1_000.0
    memory: int = 1_500_000_000
    scans: int = 100
    seconds: float = 6.0

    def check_size(self, width: int, height: int, name: str) -> None:
        """Raise InputError if a picture of this size is empty or too large."""
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

    def check_memory(
        self, width: int, height: int, name: str, format: str | None, file_bytes: int, copies: int = 1
    ) -> None:
        """Raise InputError if decoding a picture of this size, in this format of Pillow, takes too much memory.

        format: None for one that is decoded already.   copies: of the file and the result.
        """
        if format is None:
            return
        if estimated(width * height, format, file_bytes, copies) > self.memory:
            most = max(0.0, self.memory - copies * file_bytes) / estimated(1, format, 0, copies)
            raise too_large(
                name,
                f"{width} x {height} pixels as {format} of {file_bytes / 1e6:,.3g} MB; at most "
                f"{most / 1e6:,.3g} megapixels of it are read",
            )

    def check_scans(self, jpeg: bytes, name: str) -> int:
        """Return the number of scans of a JPEG, at most; raise InputError if there are too many."""
        scans = jpeg.count(b"\xff\xda")
        if scans > self.scans and (scans := _scans(jpeg)) > self.scans:
            raise too_large(name, f"a JPEG of {scans} scans; at most {self.scans} are read")
        return scans


def estimated(pixels: int, format: str | None, file_bytes: int, copies: int = 1) -> int:
    """Bytes that decoding takes at most: file, decoder and result.

    format: of Pillow.   copies: of the file and the result.
    """
    return round(pixels * (DECODING.get(format or "", OTHERS) + copies * RESULT)) + copies * file_bytes


def too_large(name: str, cause: str) -> InputError:
    """The error for a picture that costs too much."""
    return InputError(f"{name}: {cause}, so reduce it first", "too_large")


def _scans(jpeg: bytes) -> int:
    """How many scans a JPEG has, up to its end: telephones put films behind it."""
    at, scans = 2, 0
    while (marker := _MARKER.search(jpeg, at)) is not None and (kind := marker[0][1]) != _END:
        scans += kind == _SCAN
        at = marker.start() + 2 + int.from_bytes(jpeg[marker.end() : marker.end() + 2])
    return scans
