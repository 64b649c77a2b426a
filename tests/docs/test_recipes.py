"""The commands of docs/guides/recipes.md run, shrunk, on folders drawn in the layout of the data sets."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from mien import datasets
from mien.cli import commands
from mien.datasets.pseudo_labels import MeshReading, label, write
from mien.facs.blendshapes import ShapeCalibration
from mien.facs.landmarks import mean_face
from tests.helpers import drawn_face

PAGE = (Path(__file__).parents[2] / "docs" / "guides" / "recipes.md").read_text()
SHRUNK = ["--epochs", "1", "--batch-size", "2", "--size", "64", "--precision", "32-true", "--average", "0"]


def recipe(heading: str) -> list[list[str]]:
    """The commands of a section, as words."""
    section = PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    block = re.search(r"```sh\n(.*?)```", section, re.S)
    assert block is not None
    return [shlex.split(line) for line in block[1].replace("\\\n", " ").splitlines() if not line.startswith("#")]


def rafdb(root: Path) -> None:
    """Two faces of happiness and sadness in each split, as Kaggle's copy has them."""
    for split in ("train", "test"):
        for number in range(4):
            path = root / "DATASET" / split / ("4", "5")[number % 2] / f"{split}_{number:05d}_aligned.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            gray = drawn_face(number % 2 == 0, number)
            Image.fromarray(np.stack([gray, gray // 2, 255 - gray], axis=-1)).resize((100, 100)).save(path)


def labels(data: str, path: Path) -> None:
    """What `mien pseudo-label` would write, with the mean face for everybody."""

    def teach(image: np.ndarray) -> MeshReading:
        points = (mean_face() * image.shape[0]).astype(np.float32)
        return MeshReading(points, np.zeros(52, np.float32), np.zeros(3, np.float32), 0)

    write(label(datasets.open(data), teach, ShapeCalibration(np.zeros(52), np.ones(52))), path)


def run(words: list[str], *more: str) -> None:
    done = CliRunner().invoke(commands, [*words[1:], *more])
    assert done.exit_code == 0, done.output + repr(done.exception)


def test_every_command_of_the_page_exists_with_its_options():
    for line in re.findall(r"^mien .+$", PAGE.replace("\\\n", " "), re.M):
        words = shlex.split(line)
        path, command = [], commands
        for word in words[1:]:
            if not hasattr(command, "commands"):
                break
            command = command.get_command(None, word)
            path.append(word)
        known = {option for parameter in command.params for option in parameter.opts + parameter.secondary_opts}
        assert known >= {word for word in words if word.startswith("--")}, path


@pytest.mark.slow
@pytest.mark.parametrize("heading", ["VTFF on RAF-DB", "AU cues on RAF-DB"])
def test_a_recipe_runs_from_training_to_a_measured_file(tmp_path, monkeypatch, heading):
    monkeypatch.chdir(tmp_path)
    rafdb(tmp_path / "RAF-DB")
    for words in recipe(heading):
        if words[1] == "train":
            words = [word for word in words if word not in ("--start", "resnet18_msceleb.pth")]
            run(words, *SHRUNK, "--start", "")
        elif words[1] == "pseudo-label":
            labels(words[words.index("--data") + 1], Path(words[-1]))
        else:
            run(words)
