import json

import pytest
from click.testing import CliRunner
from PIL import Image

from mien.cli import commands
from tests.helpers import drawn_face

TINY = [
    "--epochs", "1", "--batch-size", "8", "--precision", "32-true", "--widths", "4,8", "--blocks", "1,1", "--strides",
    "2,2", "--width", "16", "--heads", "2", "--hidden", "32",
]  # fmt: skip


def run(*arguments):
    return CliRunner().invoke(commands, ["ablate", *map(str, arguments)])


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    for seed in range(16):
        kind = folder / ("happy" if seed % 2 else "sad")
        kind.mkdir(exist_ok=True)
        Image.fromarray(drawn_face(smiling=bool(seed % 2), seed=seed)).save(kind / f"{seed}.png")
    return f"folder:{folder}"


def test_arms_are_trained_and_their_questions_answered_in_one_table(faces, tmp_path):
    data = ("--data", faces, "--valid", faces, "-o", tmp_path)
    first = run("vtff", *data, "--arms", "A0,A5", "--seeds", "3", *TINY)
    assert first.exit_code == 0, first.output
    again = run("vtff", *data, "--arms", "A0,A5,A3", "--seeds", "3", *TINY)
    assert again.exit_code == 0, again.output
    assert sorted(path.parent.name for path in tmp_path.glob("*/result.json")) == ["A0-s3", "A3-s3", "A5-s3"]
    assert Image.open(tmp_path / "table.png").width > 900
    found = json.loads((tmp_path / "table.json").read_text())
    assert [row["arm"] for row in found["arms"]] == ["A0", "A3", "A5"]
    assert found["n"] == 16
    assert {"command", "machine", "mien", "date"} <= found.keys()
    assert {q["question"] for q in found["questions"]} >= {"Do patterns add to the image?"}
    assert "the method: attentional selective fusion" in again.stderr
    settings = json.loads((tmp_path / "A0-s3" / "settings.json").read_text())
    assert (settings["branches"], settings["seed"], settings["mixup_share"]) == ("image", 3, 0)


def test_help_names_the_arms_and_the_flags():
    shown = run("se-swin", "--help").output
    assert "B4: plain Swin, twice as long" in " ".join(shown.split())
    assert "--rho" in shown
    assert "--preset [tiny|small]" in shown


def test_an_arm_that_there_is_not_is_refused(faces, tmp_path):
    result = run("vtff", "--data", faces, "--valid", faces, "-o", tmp_path, "--arms", "A99")
    assert "no arm 'A99'" in str(result.exception)
