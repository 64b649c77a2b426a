"""What the pages name exists: modules, names, files and options."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("src", "tests", "docs", "benchmarks", "examples")
# Not those that scripts write: the results keep the commands of their time.
PAGES = sorted(
    path
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("src/**/*.md")]
    if path.name not in ("cli.md", "results.md", "CHANGELOG.md")
)
FILES = [
    *((path.name,) for path in ROOT.glob("*.*")),
    *(path.relative_to(ROOT).parts for place in FOLDERS for path in (ROOT / place).rglob("*.*")),
]
NAME = re.compile(r"`(mien(?:\.\w+)+)\b")
FILE = re.compile(r"`((?:\w+/)*\w+\.(?:py|toml|svg|yaml))`")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]\b(?!-)")
# Of other programs, and of scripts in benchmarks/ and docs/.
FOREIGN = {"--strict", "--stop-timeout", "--data-binary", "--binary"}
# Protocols of WebSockets, which look like names.
NO_NAMES = {"mien.live", "mien.token"}


def options() -> set[str]:
    known = set(OPTION.findall((ROOT / "docs" / "cli.md").read_text(encoding="utf-8")))
    scripts = [*ROOT.glob("benchmarks/*.py"), *ROOT.glob("src/mien/export/*.py"), *ROOT.glob("src/mien/training/*.py")]
    return known | FOREIGN | {o for script in scripts for o in OPTION.findall(script.read_text(encoding="utf-8"))}


def exists(name: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            thing: object = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            if not hasattr(thing, part) and part not in getattr(thing, "__dataclass_fields__", {}):
                return False
            thing = getattr(thing, part, None)
        return True
    return False


def missing_file(name: str) -> bool:
    """Whether no file has this path, or ends with it."""
    parts = tuple(name.split("/"))
    return "NAME" not in parts and not any(path[-len(parts) :] == parts for path in FILES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_names_files_and_options_on_a_page_exist(page):
    text = page.read_text(encoding="utf-8")
    assert [name for name in NAME.findall(text) if name not in NO_NAMES and not exists(name)] == []
    assert [name for name in FILE.findall(text) if missing_file(name)] == []
    assert set(OPTION.findall(text)) - options() == set()
