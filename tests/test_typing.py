"""What a type checker says of programs that use mien: right ones pass, and misuse is caught before it runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "src").rglob("README.md"))]

RIGHT = """
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import mien
from mien import ActionUnit, Expression, Face, Outcome, Reading


def detect(image: NDArray[np.uint8]) -> list[Face]:
    height, width = image.shape[:2]
    return [Face(box=[0, 0, width, height], points=None, score=1)]


def read(crops: NDArray[np.uint8]) -> Sequence[Reading]:
    scores = mien.ExpressionScores([0.3, 0.7, 0, 0, 0, 0, 0, 0])
    return [Reading(scores, landmarks=None) for _ in crops]


def smiles(folder: Path) -> Iterator[tuple[str, float]]:
    for outcome in mien.analyze_many(folder, jobs=2, max_side=1280):
        for face in outcome.report.faces if outcome.report else ():
            units = face.action_units
            yield outcome.name, 0.0 if units is None else units[ActionUnit.LIP_CORNER_PULLER]


pipeline = mien.Pipeline(detect, read)
report = pipeline("photo.jpg")
happy: float = report.faces[0].expression["happiness"]
same: float = report.faces[0].expression[Expression.HAPPINESS]
side = [half.side == "left" for half in report.faces[0].hidden]
aligned = report.faces[0].landmark_source == "reader"
status: str = mien.analyze(b"bytes", model=Path("own.onnx"), assume_crop=True).status
with mien.open_writer("faces.csv", columns="openface") as writer:
    for outcome in mien.analyze_many(["a.jpg", Path("b.jpg")], pipeline=pipeline, images=True):
        writer.write(outcome)
mien.write_table([Outcome("a.jpg", report)], "faces.json")
"""

WRONG = """
import mien
report = mien.analyze("photo.jpg")
face = report.faces[0]
mien.analyse("photo.jpg")  # misspelt function
mien.analyze("photo.jpg", max_sid=1)  # misspelt option
face.expression["hapiness"]  # misspelt label
face.landmark_source == "readr"  # not in the vocabulary
mien.open_writer("faces.csv", columns="excel")  # not in the vocabulary
mien.Pipeline(threshold="high")  # wrong type
face.action_units[12]  # may be None
[half.side == "top" for half in face.hidden]  # not in the vocabulary
mien.analyze_many(["a.jpg"], threads=1, job=2)  # misspelt option
"""


def snippets(page: Path) -> str:
    """The Python of a page as one program, each snippet on the lines where it stands."""
    lines, inside = [], False
    for line in page.read_text(encoding="utf-8").splitlines():
        fence = line.startswith("```")
        lines.append(line if inside and not fence else "")
        inside = line.startswith("```python") if fence and not inside else inside and not fence
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def complaints(tmp_path_factory):
    """What mypy --strict says, by file: one run for all, for most of its time goes into mien itself."""
    pytest.importorskip("mypy")
    folder = tmp_path_factory.mktemp("programs")
    programs = {"right.py": RIGHT, "wrong.py": WRONG}
    for page in PAGES:
        if snippets(page).strip():
            programs["_".join(page.relative_to(ROOT).with_suffix("").parts) + ".py"] = snippets(page)
    for name, source in programs.items():
        (folder / name).write_text(source, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--ignore-missing-imports", "--hide-error-context"]
    command += ["--enable-error-code", "unreachable", "--cache-dir", str(ROOT / ".mypy_cache" / "programs"), *programs]
    environment = {"MYPYPATH": str(ROOT / "src"), "PATH": "", "HOME": str(folder)}
    answer = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert answer.returncode in (0, 1), answer.stdout + answer.stderr
    found = {name: {} for name in programs}
    for line in answer.stdout.splitlines():
        match = re.match(r"([\w.-]+\.py):(\d+): error: (.*)", line)
        if match and match[1] in found:
            found[match[1]].setdefault(int(match[2]), []).append(match[3])
    return found


def test_a_right_program_passes(complaints):
    assert complaints["right.py"] == {}


def test_every_misuse_is_caught_where_it_is(complaints):
    wrong = [number for number, line in enumerate(WRONG.splitlines(), start=1) if "  # " in line]
    assert len(wrong) >= 7
    assert sorted(complaints["wrong.py"]) == wrong, complaints["wrong.py"]


def test_every_snippet_of_the_documentation_passes(complaints):
    pages = {name: lines for name, lines in complaints.items() if name not in ("right.py", "wrong.py")}
    assert {"README.py", "docs_python.py"} <= set(pages)
    assert {name: lines for name, lines in pages.items() if lines} == {}
