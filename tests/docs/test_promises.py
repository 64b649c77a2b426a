import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / "promises.md").read_text(encoding="utf-8"))


@cache
def functions(file: Path) -> set[str]:
    return {n.name for n in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(n, ast.FunctionDef)}


@pytest.mark.parametrize(("file", "name"), TESTS)
def test_a_promise_has_its_test(file, name):
    assert name in functions(ROOT / file)


def test_every_promise_has_a_test():
    page = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
    sections = re.split(r"^## ", page, flags=re.M)[1:]
    assert [s.splitlines()[0] for s in sections if "tests/" not in s] == ["Not promised"]
