"""Torch takes every core it finds, and its threads wait for each other where cores are busy; one is enough here."""

import ast
import importlib.util
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out, where the core alone is to be tested, the files that import what is not installed."""
    if not os.environ.get("MIEN_CORE") or collection_path.suffix != ".py":
        return None
    tree = ast.parse(collection_path.read_text(encoding="utf-8"))
    names = [alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in tree.body if isinstance(node, ast.ImportFrom) and node.module]
    missing = {name.split(".")[0] for name in names if importlib.util.find_spec(name.split(".")[0]) is None}
    return True if missing else None
