"""Import an optional library, or say which extra installs it."""

import importlib
from types import ModuleType

from mien.errors import MissingExtra


def optional(module: str, extra: str) -> ModuleType:
    """Import `module`, or raise MissingExtra naming the extra of mien that brings it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtra(f"this needs {module}, which is not installed; run: pip install 'mien[{extra}]'") from error
