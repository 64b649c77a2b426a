import json

from click.testing import CliRunner
from PIL import Image

from mien.cli import commands
from mien.datasets.captions import FILE
from tests.helpers import noise


def run(tmp_path, *rows):
    Image.fromarray(noise(6, 8, 3)).save(tmp_path / "face.png")
    (tmp_path / FILE).write_text("".join(json.dumps({"file": "face.png"} | row) + "\n" for row in rows))
    return CliRunner().invoke(commands, ["pairs", "check", str(tmp_path)])


def test_good_pairs_are_counted(tmp_path):
    result = run(tmp_path, {"expression": "fear"}, {"caption": "a grin", "action_units": {"AU12": 1}})
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "2 pairs: 1 with a caption of their own, 1 with action units",
        "expressions: fear 1, none 1",
    ]


def test_the_first_faults_are_listed_with_their_lines_and_the_others_counted(tmp_path):
    result = run(tmp_path, *[{"expression": "glee\x1b[31m"}] * 23)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0].startswith("line 1: ")
    assert lines[19].startswith("line 20: ")
    assert lines[20:22] == ["and 3 more", "23 lines cannot be used"]
    assert "\x1b" not in result.stdout
