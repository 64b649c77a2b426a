"""The layers of mien, read off the source: imports go down the list, never up, and never in a circle."""

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1] / "src" / "mien"
# From low to high. `weights` holds data with its checksums, `mien` itself gathers names, `__main__` starts the command
# line: these stand outside.
LAYERS = (
    "telemetry", "text", "progress", "errors", "extras", "hub", "arrays", "files", "facs", "results", "core", "video",
    "report", "batch", "providers", "datasets", "evaluation", "training", "export", "methods", "serve", "cli",
)  # fmt: skip
OUTSIDE = {"__init__", "__main__", "weights"}
# Here torch is what the code is about; elsewhere it is an extra, imported where it is used.
WITH_TORCH = {"training", "export", "methods"}


class Import(NamedTuple):
    """One imported name: the file and line, the module it is in, and whether that is inside a function."""

    file: Path
    line: int
    module: str
    inside: bool

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line} imports {self.module}"


def module_of(file: Path) -> tuple[str, ...]:
    parts = ("mien", *file.relative_to(ROOT).with_suffix("").parts)
    return parts[:-1] if parts[-1] == "__init__" else parts


@cache
def imports_of(file: Path) -> tuple[Import, ...]:
    """Every import of a file, also those inside functions and under TYPE_CHECKING; from-imports name by name."""

    def walk(node: ast.AST, inside: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from (Import(file, child.lineno, alias.name, inside) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                package = module_of(file) if file.name == "__init__.py" else module_of(file)[:-1]
                above = package[: len(package) - child.level + 1] if child.level else ()
                module = ".".join([*above, *([child.module] if child.module else [])])
                yield from (Import(file, child.lineno, f"{module}.{alias.name}", inside) for alias in child.names)
            yield from walk(child, inside or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))

    return tuple(walk(ast.parse(file.read_text(encoding="utf-8")), inside=False))


def layer_of(file: Path) -> str:
    first = file.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


def file_of(module: str) -> Path | None:
    """The file that an imported name of mien lies in; None for one of another package."""
    parts = module.split(".")
    if parts[0] != "mien":
        return None
    for length in range(len(parts), 0, -1):
        stem = ROOT.joinpath(*parts[1:length])
        for file in (stem.with_suffix(".py"), stem / "__init__.py"):
            if file.is_file() and file != ROOT.with_suffix(".py"):
                return file
    raise AssertionError(f"{module} is no module of mien")


FILES = sorted(ROOT.rglob("*.py"))


def test_every_module_has_a_place_in_the_layers():
    assert {layer_of(file) for file in FILES} <= {*LAYERS, *OUTSIDE}


@pytest.mark.parametrize("layer", LAYERS)
def test_no_module_imports_from_a_higher_layer(layer):
    higher = set(LAYERS[LAYERS.index(layer) + 1 :])
    wrong = [
        str(one)
        for file in FILES
        if layer_of(file) == layer
        for one in imports_of(file)
        if (target := file_of(one.module)) is not None and layer_of(target) in higher
    ]
    assert not wrong


def test_no_folder_imports_in_a_circle():
    folders: dict[Path, set[Path]] = {}
    for file in FILES:
        if layer_of(file) not in OUTSIDE:
            targets = (file_of(one.module) for one in imports_of(file))
            folders.setdefault(file.parent, set()).update(
                target.parent for target in targets if target and layer_of(target) not in OUTSIDE
            )
    for folder in folders:
        folders[folder] -= {folder}
    done: set[Path] = set()
    while True:  # take away, over and over, the folders that import none of those left
        free = {folder for folder, targets in folders.items() if folder not in done and not targets - done - {ROOT}}
        if not free:
            break
        done |= free
    circles = {str(f.relative_to(ROOT)): sorted(str(t.relative_to(ROOT)) for t in folders[f] - done) for f in folders}
    assert not {folder: targets for folder, targets in circles.items() if targets}


def test_torch_is_imported_at_the_top_of_a_file_only_where_networks_are_trained_or_exported():
    wrong = [
        str(one)
        for file in FILES
        if layer_of(file) not in WITH_TORCH
        for one in imports_of(file)
        if not one.inside and one.module.split(".")[0] in {"torch", "torchvision", "timm", "lightning", "transformers"}
    ]
    assert not wrong


def test_a_class_name_has_one_meaning():
    # Every method has its Settings, of which the command line makes flags.
    names = Counter(
        node.name
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and node.name != "Settings" and not node.name.startswith("_")
    )
    assert [name for name, count in names.items() if count > 1] == []
