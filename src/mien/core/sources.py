"""What people hand over instead of a picture's file or bytes: open files, arrays of other shapes, HEIC, addresses."""

import re
import warnings
from typing import Any, Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.errors import InputError, InputWarning
from mien.extras import optional

# A scheme of one letter is a Windows drive; pathlib makes one slash of two.
_URL = re.compile(r"([a-z][a-z0-9+.-]+):/{1,3}\S", re.IGNORECASE)
# The brands of HEIF files whose pictures are HEVC, and those that say no more than that a file is HEIF.
_HEVC = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"))
_ANY_HEIF = frozenset((b"mif1", b"msf1"))
# Formats whose files may hold several pictures of equal rank; what a JPEG holds besides its photograph does not count.
_SEVERAL = frozenset(("GIF", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"))


class BinaryFile(Protocol):
    """Anything opened for reading bytes: a file, a pipe, an upload."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes, fewer only at the end or, from a pipe, when no more have come yet."""


def is_open_file(source: object) -> TypeGuard[BinaryFile]:
    """Whether it can be read from."""
    return callable(getattr(source, "read", None)) and not isinstance(source, Image.Image)


def file_name(source: BinaryFile) -> str:
    """What an open file is called: its name, or "the open file"."""
    name = getattr(source, "name", None)
    return name if isinstance(name, str) and name else "the open file"


def read_open_file(source: BinaryFile, most: int) -> bytes:
    """All bytes of an open file from where it stands, but no more than one above `most`.

    Raise InputError when it cannot be read or gives text.
    """
    parts, missing = [], most + 1
    while missing:
        try:
            part: Any = source.read(missing)
        except (OSError, ValueError) as error:  # closed, or opened for writing alone
            raise InputError(f"{file_name(source)}: cannot be read ({error})", "unreadable") from error
        if isinstance(part, str):
            raise InputError(f"{file_name(source)}: is open as text; open it with mode 'rb'", "unreadable")
        if not part:
            break
        parts.append(bytes(part))
        missing = max(0, missing - len(part))
    return b"".join(parts)


def is_url(text: str) -> bool:
    """Whether a path is rather an address of the web."""
    return _URL.match(text) is not None


def refuse_url(text: str) -> None:
    """Raise InputError for an address of the web, with what to do instead."""
    if (match := _URL.match(text)) is None:
        return
    if match[1].lower() == "file":
        raise InputError(f"{text}: is an address; give the path alone, without file://", "missing")
    raise InputError(
        f"{text}: mien fetches nothing from the network; save the picture first, or pipe it in: "
        f"curl -L '{text}' | mien analyze -",
        "missing",
    )


def is_heif(data: bytes) -> bool:
    """Whether a file starts as HEIC or HEIF, and not as AVIF, its sibling that Pillow reads itself."""
    brand, others = data[8:12], data[16 : min(int.from_bytes(data[:4]), 256)]
    return data[4:8] == b"ftyp" and (brand in _HEVC or (brand in _ANY_HEIF and b"avif" not in others))


def allow_heif() -> None:
    """Register HEIC and HEIF with Pillow; raise MissingExtra without the extra `heif`."""
    optional("pillow_heif", "heif").register_heif_opener()


def over_white(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 1) as (H, W), and (H, W, 4) as (H, W, 3), what is transparent white; anything else as it is."""
    if array.dtype != np.uint8 or array.ndim != 3 or 0 in array.shape:
        return array
    if array.shape[2] == 1:
        return array[:, :, 0]
    if array.shape[2] == 4:
        image = Image.fromarray(np.ascontiguousarray(array))
        return np.array(Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB"))
    return array


def refuse_array(array: NDArray[Any]) -> None:
    """Raise InputError for an array that is no picture, with what to do."""
    wanted = "expected an image, uint8 of shape (H, W, 3), gray (H, W) or (H, W, 1), or with alpha (H, W, 4)"
    if array.dtype.kind == "f" and array.size:
        high = float(np.nanmax(array)) if np.isfinite(array).any() else 1.0
        scaled = "(255 * array)" if high <= 1 else "array"
        raise InputError(
            f"{wanted}, but got {array.dtype} of shape {array.shape}, up to {high:g}; floats have no agreed white: "
            f"pass {scaled}.round().clip(0, 255).astype('uint8')"
        )
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or array.shape[2:] not in ((), (3,)) or 0 in array.shape:
        raise InputError(
            f"{wanted}, but got {array.dtype} of shape {array.shape}; scale to 0..255 and call .astype('uint8'), put "
            "channels last, or pass the file to mien.read_image"
        )


def warn_of_more(image: Image.Image, name: str) -> None:
    """Warn when a file that was read has pictures besides the first: pages, or an animation."""
    if image.format not in _SEVERAL:
        return
    try:
        image.seek(image.tell() + 1)
    except Exception:  # the end, or damage behind the picture that was read
        return
    warnings.warn(f"{name}: holds several pictures; the first was read", InputWarning, stacklevel=2)
