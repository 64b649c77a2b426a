"""Arrays of records: checked and fixed when they come in, rounded when they go out."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import InputError


def fixed(values: Any, shape: tuple[int, ...], name: str) -> NDArray[np.float32]:
    """Return a read-only float32 copy of values; raise InputError unless it has this shape and all of it is finite."""
    array = np.array(values, dtype=np.float32)
    if array.shape != shape or not np.isfinite(array).all():
        raise InputError(f"expected {name} of shape {shape}, all finite, but got {array.tolist()}")
    array.setflags(write=False)
    return array


def rounded(values: Any, digits: int) -> Any:
    """Return values rounded to so many digits, as plain numbers for JSON."""
    # Through float64, or a rounded float32 would print all its digits again.
    return np.round(np.asarray(values, dtype=np.float64), digits).tolist()
