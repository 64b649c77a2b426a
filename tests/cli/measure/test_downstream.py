import hashlib
import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from mien.cli import commands
from tests.helpers import drawn_face
from tests.methods.synfer import toy

TINY = ("--epochs", 1, "--widths", "4,8", "--size", 24, "--batch-size", 8, "--precision", "32-true")


def run(*arguments):
    return CliRunner().invoke(commands, list(map(str, arguments)))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Drawn photographs of all expressions, and as many generated faces."""
    root = tmp_path_factory.mktemp("data")
    names = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
    made, said = [], []
    (root / "made" / "faces").mkdir(parents=True)
    for i in range(24):
        folder = root / "photos" / names[i % 8]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(drawn_face(i % 2 == 0, i)).save(folder / f"{i}.png")
        Image.fromarray(drawn_face(i % 2 == 0, 100 + i)).save(root / "made" / "faces" / f"{i}.png")
        made.append({"file": f"faces/{i}.png", "requested": names[i % 8], "caption": "a happy look"})
        said.append({"file": f"faces/{i}.png", "decision": "keep", "label_soft": np.eye(8)[i % 8].tolist()})
    for name, rows in (("meta.jsonl", made), ("labels.jsonl", said)):
        (root / "made" / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root


def test_arms_are_trained_measured_and_tabulated(data, tmp_path):
    photos = f"folder:{data / 'photos'}"
    given = ("--data", photos, "--valid", photos, "--synthetic", data / "made", "-o", tmp_path)
    result = run("downstream", "supervised", *given, *TINY, "--arms", "real,syn-1x", "--seeds", 0)
    assert result.exit_code == 0, result.output + str(result.exception)
    table = json.loads((tmp_path / "table.json").read_text())
    assert [row["arm"] for row in table["arms"]] == ["real", "syn-1x"]
    assert table["paradigm"] == "supervised"
    assert "syn-1x" in result.stderr
    compared = run("compare", *(f"{arm}={tmp_path / f'{arm}-s0' / 'result.json'}" for arm in ("real", "syn-1x")))
    found = json.loads(compared.stdout)
    assert (found["data"], found["protocol"], found["n"]) == (photos, "single label", 24)
    said = json.loads((tmp_path / "given.json").read_text())
    assert said["meta.jsonl"] == hashlib.sha256((data / "made" / "meta.jsonl").read_bytes()).hexdigest()
    again = run("downstream", "supervised", *given, *TINY, "--count", 16, "--arms", "real", "--seeds", 1)
    assert "other values of count" in str(again.exception)
    result = run("downstream", "few-shot", tmp_path / "real-s0", "--valid", photos, "--shots", 1, "--episodes", 5)
    assert "needs 6 faces" in str(result.exception)


def test_so_many_photographs_are_drawn_as_are_asked_for(data, tmp_path):
    photos = f"folder:{data / 'photos'}"
    given = ("--data", photos, "--valid", photos, "--synthetic", data / "made", "-o", tmp_path, "--count", 16)
    result = run("downstream", "supervised", *given, *TINY, "--arms", "syn-1x", "--seeds", 0)
    assert result.exit_code == 0, result.output + str(result.exception)
    assert json.loads((tmp_path / "table.json").read_text())["count"] == 16
    assert json.loads((tmp_path / "syn-1x-s0" / "result.json").read_text())["generated"] == 16


def test_encoders_are_named_by_their_path_and_the_untrained_one_is_among_them(tmp_path):
    for i, name in enumerate(("contempt", "disgust", "fear", "anger", "sadness") * 6):
        (tmp_path / "photos" / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(drawn_face(i % 2 == 0, i)).save(tmp_path / "photos" / name / f"{i}.png")
    photos = f"folder:{tmp_path / 'photos'}"
    runs = [tmp_path / place / "none-s0" for place in ("one", "two")]
    for run_ in runs:
        given = ("--data", photos, "--valid", photos, "-o", run_.parent, "--arms", "none", "--seeds", 0)
        result = run("downstream", "self-supervised", *given, *TINY)
        assert result.exit_code == 0, result.output + str(result.exception)
    asked = ("--valid", photos, "--shots", 1, "--episodes", 5, "-o", tmp_path / "few.json")
    result = run("downstream", "few-shot", *runs, *asked)
    assert result.exit_code == 0, result.output + str(result.exception)
    said = json.loads((tmp_path / "few.json").read_text())["rows"]
    assert [row["run"] for row in said] == [str(run_) for run_ in runs]
    assert said[0]["accuracy"] == said[1]["accuracy"]
    assert "difference" not in said[0]
    assert said[1]["difference"] == {"value": 0, "low": 0, "high": 0}
    result = run("downstream", "few-shot", runs[0], tmp_path / "photos", *asked)
    assert "settings.json is not there" in str(result.exception)


def test_feranno_alone_is_measured_as_a_classifier_and_compared_with_one(tmp_path):
    generator = toy.generator(tmp_path / "toy.onnx")
    head = toy.head(tmp_path / "head.onnx", generator)
    for i, (name, level) in enumerate([("neutral", 20), ("surprise", 230), ("surprise", 240), ("fear", 230)]):
        (tmp_path / "photos" / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((48, 48), level, np.uint8)).save(tmp_path / "photos" / name / f"{i}.png")
    models = ("--generator", generator, "--head", head)
    for name in ("one", "two"):
        place = tmp_path / f"{name}.json"
        result = run("downstream", "feranno", "--valid", f"folder:{tmp_path / 'photos'}", *models, "-o", place)
        assert result.exit_code == 0, result.output + str(result.exception)
    found = json.loads((tmp_path / "one.json").read_text())
    assert (found["n"], found["accuracy"]["value"]) == (4, 0.75)
    compared = run("compare", tmp_path / "one.json", tmp_path / "two.json")
    assert compared.exit_code == 0, compared.output + str(compared.exception)


@pytest.mark.parametrize("paradigm", ["self-supervised", "zero-shot"])
def test_the_other_paradigms_learn_from_the_same_folders(data, tmp_path, paradigm):
    photos = f"folder:{data / 'photos'}"
    given = ("--data", photos, "--valid", photos, "--synthetic", data / "made", "-o", tmp_path)
    result = run("downstream", paradigm, *given, *TINY, "--arms", "synthetic", "--seeds", 0)
    assert result.exit_code == 0, result.output + str(result.exception)
    assert (tmp_path / "synthetic-s0" / "model.safetensors").is_file()


def test_every_setting_of_a_paradigm_is_a_flag():
    shown = run("downstream", "zero-shot", "--help").output
    assert all(flag in shown for flag in ("--widths", "--depth", "--pseudo-labels", "--arms"))


def test_generated_faces_are_mixed_in_by_the_training_of_any_method(data, tmp_path):
    tiny = ("--epochs", 1, "--widths", "4,8", "--blocks", "1,1", "--strides", "1,2", "--batch-size", 8)
    photos = f"folder:{data / 'photos'}"
    given = ("--data", photos, "--synthetic", data / "made", "-o", tmp_path, "--precision", "32-true")
    result = run("train", "au-cues", *given, *tiny)
    assert result.exit_code == 0, result.output + str(result.exception)
    said = json.loads((tmp_path / "data.json").read_text())
    assert said.items() >= {"data": photos, "split": None, "synthetic": str(data / "made"), "half": ""}.items()


def test_feranno_refuses_to_learn_from_generated_faces(data, tmp_path):
    generator = toy.generator(tmp_path / "toy.onnx")
    given = ("--data", f"folder:{data / 'photos'}", "--synthetic", data / "made", "--generator", generator)
    result = run("train", "feranno", *given, "-o", tmp_path / "run")
    assert "is a generated face" in str(result.exception)
