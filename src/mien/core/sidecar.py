"""The contract of an ONNX file that carries none: a contract.json beside it, which says the same things.

{"labels": ["angry", "happy", "neutral"], "size": 224, "channels": 3, "mean": [0.485, 0.456, 0.406],
 "std": [0.229, 0.224, 0.225], "output": "output"}
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mien.core.files import read_regular
from mien.core.onnx_file import metadata, with_metadata
from mien.errors import InputError, ModelError

NAME = "contract.json"
_NEEDED = ("labels", "size", "mean", "std")
_ALLOWED = (*_NEEDED, "channels", "margin", "resize", "name", "output")
_LARGEST = 1_000_000


def with_contract(model: bytes, path: Path) -> bytes:
    """The bytes of an ONNX file, with the contract that lies beside it where it carries none of its own.

    That is contract.json in the same folder. Raise ModelError for one that cannot be used.
    """
    beside = path.with_name(NAME)
    if not beside.is_file() or "labels" in metadata(model):
        return model
    try:
        given = json.loads(read_regular(beside, _LARGEST))
    except (InputError, ValueError) as error:
        raise ModelError(f"{beside}: cannot be read ({error})") from error
    if not isinstance(given, Mapping) or (wrong := [*(given.keys() - set(_ALLOWED))]):
        what = ", ".join(map(repr, wrong)) if isinstance(given, Mapping) else "no JSON object"
        raise ModelError(f"{beside}: holds {what}; it may say {', '.join(_ALLOWED)}")
    if missing := [key for key in _NEEDED if key not in given]:
        raise ModelError(f"{beside}: says no {', '.join(missing)}")
    return with_metadata(model, {"name": path.stem} | {key: _text(value) for key, value in given.items()})


def _text(value: Any) -> str:
    """A value as the metadata of a model file holds it."""
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        return ",".join(value)
    return value if isinstance(value, str) else json.dumps(value)
