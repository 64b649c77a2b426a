"""Standard output that takes nothing, of every command that prints results: one sentence, exit code 1, no traceback."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.cli import COMMANDS, main
from mien.cli.shared.result import publish
from mien.evaluation.compare import kept
from mien.report.clips import CLIP_COLUMNS
from tests.helpers import ASTRONAUT, noise, write_csv
from tests.video.clips import write_clip

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it")

SENTENCE = "mien: standard output: No space left on device"


@pytest.fixture
def full(monkeypatch, capsys):
    """Run a command whose standard output takes nothing; its exit code, and what it says on standard error."""

    def run(*arguments):
        with Path("/dev/full").open("w") as stream:
            monkeypatch.setattr(sys, "stdout", stream)
            monkeypatch.setattr(sys, "argv", ["mien", *map(str, arguments)])
            with pytest.raises(SystemExit) as ended:
                main()
            monkeypatch.undo()
        return ended.value.code, capsys.readouterr().err.splitlines()

    return run


@pytest.fixture
def photo(tmp_path):
    """A picture without a face."""
    Image.fromarray(noise(32, 32, 3)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def clip(tmp_path):
    return write_clip(tmp_path / "noise.avi", [noise(64, 64, 3, seed=n) for n in range(3)])


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_is_refused_in_one_sentence(full, name):
    assert full(*name.split(), "--help") == (1, [SENTENCE])


@pytest.mark.parametrize("arguments", [["--version"], ["weights"]])
def test_what_needs_no_input_is_refused_in_one_sentence(full, arguments):
    assert full(*arguments) == (1, [SENTENCE])


@pytest.mark.parametrize("count", [1, 2])
def test_pictures_are_refused_in_one_sentence(full, photo, count):
    code, said = full("analyze", *[photo] * count)
    assert (code, said[-1]) == (1, SENTENCE)
    assert "Traceback" not in "".join(said)


def test_a_file_is_whole_although_nothing_can_be_printed(full, photo, tmp_path):
    full("analyze", photo, "-o", tmp_path / "faces.json")
    assert len(json.loads((tmp_path / "faces.json").read_text())["images"]) == 1


@pytest.mark.parametrize("more", [0, 1])
def test_a_clip_is_refused_in_one_sentence(full, clip, photo, more):
    assert full("analyze", clip, *[photo] * more) == (1, [SENTENCE])


def test_words_are_refused_in_one_sentence(full):
    code, said = full("explain", ASTRONAUT)
    assert (code, said[-1]) == (1, SENTENCE)
    assert "Traceback" not in "".join(said)


def test_a_scan_is_refused_in_one_sentence(full, photo):
    code, said = full("scan", photo, "--provider", "embedded")
    assert (code, said[-1]) == (1, SENTENCE)
    assert "Traceback" not in "".join(said)


def test_timelines_are_refused_in_one_sentence(full, tmp_path):
    row = {"input": "a.avi", "face": 0, "status": "ok", "frame": 0, "timestamp": 0.0, "track": 0, "happiness": 1.0}
    table = write_csv(tmp_path / "clip.csv", list(CLIP_COLUMNS), [[row.get(name, "") for name in CLIP_COLUMNS]])
    assert full("timeline", table) == (1, [SENTENCE])


def test_comparisons_are_refused_in_one_sentence(full, tmp_path):
    labels = np.arange(30) % 3
    said = {"data": "drawn", "protocol": "majority", "n": 30}
    result = tmp_path / "a.json"
    result.write_text(json.dumps(said | {"answers": kept([str(i) for i in range(30)], labels, labels)}))
    assert full("compare", result, f"again={result}") == (1, [SENTENCE])


def test_a_measurement_is_refused_in_one_sentence(full, tmp_path):
    for name in ("happiness", "neutral"):
        (tmp_path / "faces" / name).mkdir(parents=True)
        Image.fromarray(noise(48, 48, 3)).save(tmp_path / "faces" / name / "a.png")
    code, said = full("evaluate", "reader", "--data", f"folder:{tmp_path / 'faces'}")
    assert (code, said[-1]) == (1, SENTENCE)
    assert "Traceback" not in "".join(said)


@pytest.mark.parametrize("terminal", [False, True])
def test_what_the_other_measurements_print_with_is_an_error_of_the_output(monkeypatch, terminal):
    """Those of `ablate`, `attention`, `bench`, `downstream` and `judge`; `main` makes the sentence of it."""
    with pytest.raises(OSError, match="No space left"), Path("/dev/full").open("w") as stream:  # noqa: PT012
        monkeypatch.setattr(stream, "isatty", lambda: terminal, raising=False)
        monkeypatch.setattr(sys, "stdout", stream)
        publish({"value": 1.0}, "a summary", None, width=80)
        stream.flush()


def test_standard_error_that_is_full_too_changes_no_exit_code(photo):
    with Path("/dev/full").open("w") as stream:
        command = [sys.executable, "-m", "mien", "analyze", str(photo)]
        assert subprocess.run(command, stdout=stream, stderr=stream, check=False).returncode == 1
