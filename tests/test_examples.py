import csv
import importlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.video.clips import scene, write_clip

ROOT = Path(__file__).parents[1]


def run(script, *arguments):
    command = [sys.executable, str(ROOT / script), *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_one_photo_prints_a_line_for_the_face():
    assert run("examples/one_photo.py").startswith("face 1: ")


def test_many_photos_writes_a_row_for_each_face_and_each_failure(tmp_path):
    study = tmp_path / "study"
    study.mkdir()
    shutil.copy(ROOT / "examples" / "astronaut.png", study)
    (study / "broken.jpg").write_bytes(b"nothing")
    run("examples/many_photos.py", study, tmp_path / "faces.csv")
    with (tmp_path / "faces.csv").open(newline="") as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["ok", "unreadable"]


@pytest.mark.parametrize("script", ["write_cli", "write_results", "draw_layers"])
def test_a_page_that_is_written_by_a_script_says_what_the_script_says(script, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    module = importlib.import_module(script)
    assert module.TARGET.read_text(encoding="utf-8") == module.text(), f"run: python docs/{script}.py"


def test_one_clip_prints_when_a_face_smiles(tmp_path):
    clip = write_clip(tmp_path / "clip.avi", [scene([(200 + 3 * n, 180, 170)]) for n in range(12)], 12)
    first, *smiles = run("examples/one_clip.py", clip).splitlines()
    assert first == "1.0 s, 1 faces"
    assert smiles[0].startswith("face 0: happiness from 0.00 to 1.00 s")
