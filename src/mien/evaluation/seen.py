"""Faces that a model's choices and calibration saw, stored in its contract, so that they are not called unseen.

A picture is identified by 32 bits of a hash of its pixels: two different pictures collide once in four billion.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mien.errors import ModelError

# The entry of a contract that holds them.
ENTRY = "calibrated_on"


def fingerprint(image: NDArray[np.uint8]) -> int:
    """32 bits of the SHA-256 of a picture's pixels."""
    return int.from_bytes(hashlib.sha256(image.tobytes()).digest()[:4], "little")


def packed(images: Iterable[NDArray[np.uint8]]) -> str:
    """Return fingerprints as text for a contract."""
    return base64.b64encode(np.array(sorted({fingerprint(i) for i in images}), "<u4").tobytes()).decode()


def seen(fingerprints: Sequence[int], meta: Mapping[str, str]) -> int | None:
    """Return how many pictures the model's choices or calibration saw; None if the model does not state it.

    fingerprints: of the pictures.   meta: of the model's contract. Raise ModelError if its entry cannot be read.
    """
    if ENTRY not in meta:
        return None
    try:
        known = np.frombuffer(base64.b64decode(meta[ENTRY], validate=True), "<u4")
    except ValueError as error:
        raise ModelError(f"the model's {ENTRY} cannot be read: {error}") from error
    return int(np.isin(np.array(fingerprints, np.int64), known).sum())
