"""Networks that others made, through analyze, evaluate, compare and a report."""

import json

import pytest
from click.testing import CliRunner
from PIL import Image

from mien.cli import commands
from tests.core.test_checkpoint import SIDE, bare, save_resnet, save_vit
from tests.helpers import ASTRONAUT, drawn_face

pytest.importorskip("torch")
pytest.importorskip("transformers")


def run(*arguments, code=0):
    result = CliRunner().invoke(commands, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


@pytest.fixture
def drawn_faces(tmp_path):
    """A folder a class, six faces each."""
    for n in range(12):
        place = tmp_path / "data" / ("happy" if n % 2 == 0 else "sad") / f"{n}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(drawn_face(n % 2 == 0, seed=n)).save(place)
    return tmp_path / "data"


def test_networks_of_others_are_evaluated_compared_and_shown(tmp_path, drawn_faces):
    models = {"vit": save_vit(tmp_path / "vit"), "resnet": save_resnet(tmp_path / "resnet")}
    (tmp_path / "lab").mkdir()
    models["lab"] = bare(tmp_path / "lab", SIDE)
    results = []
    for name, model in models.items():
        result = tmp_path / f"{name}.json"
        run("evaluate", model, "--data", f"folder:{drawn_faces}", "--resamples", 20, "-o", result)
        made = json.loads(result.read_text())
        assert made["n"] == 12
        assert made["unknown_to_model"] == ["contempt"]
        results.append(result)
    compared = json.loads(run("compare", *results).stdout)
    assert [row["model"] for row in compared["models"]] == ["vit", "resnet", "lab"]
    files = tmp_path / "page.html", tmp_path / "faces.jsonl"
    run("analyze", ASTRONAUT, "--model", models["vit"], "-o", files[0], "-o", files[1])
    record = json.loads(files[1].read_text())
    assert record["model"] == str(models["vit"])
    assert record["faces"][0]["expression"]["top"] in files[0].read_text()


def test_a_model_of_the_hub_that_cannot_be_had_is_a_sentence(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    told = run("analyze", ASTRONAUT, "--model", "hf:nobody/nothing", code=2).output
    assert "nobody/nothing" in told
    assert "hub" in told
