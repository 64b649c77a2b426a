import json

import numpy as np
import pytest
from click import UsageError
from click.testing import CliRunner
from PIL import Image

from mien.cli import commands
from mien.cli.shared.data import open_data
from tests.helpers import drawn_face

TINY = [
    "--epochs",
    "2",
    "--widths",
    "4,8",
    "--blocks",
    "1,1",
    "--strides",
    "1,2",
    "--batch-size",
    "8",
    "--precision",
    "32-true",
]


def run(*arguments):
    return CliRunner().invoke(commands, list(map(str, arguments)))


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Sixteen drawn faces, smiling or not, in one folder a class."""
    folder = tmp_path_factory.mktemp("faces")
    for seed in range(16):
        kind = folder / ("happy" if seed % 2 else "sad")
        kind.mkdir(exist_ok=True)
        Image.fromarray(drawn_face(smiling=bool(seed % 2), seed=seed)).save(kind / f"{seed}.png")
    return folder


@pytest.fixture(scope="module")
def trained(faces, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    result = run("train", "au-cues", "--data", f"folder:{faces}", "--valid", f"folder:{faces}", "-o", folder, *TINY)
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="module")
def exported(faces, trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "tiny.onnx"
    result = run("export", "au-cues", trained, "-o", path, "--calibrate", f"folder:{faces}")
    assert result.exit_code == 0, result.output
    assert "parity" in result.stderr
    return path


def test_a_run_leaves_its_settings_its_log_and_its_weights(trained):
    settings = json.loads((trained / "settings.json").read_text())
    assert (settings["epochs"], settings["widths"]) == (2, [4, 8])
    log = [json.loads(line) for line in (trained / "log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in log] == [0, 1]
    assert all(0 <= line["accuracy"] <= 1 for line in log)
    assert (trained / "model.safetensors").is_file()


def test_a_folder_with_a_run_is_not_trained_over(faces, trained):
    result = run("train", "au-cues", "--data", f"folder:{faces}", "-o", trained, *TINY)
    assert result.exit_code != 0
    assert "--resume" in str(result.exception)


def test_every_setting_is_a_flag_with_its_default():
    from mien.methods.au_cues import Settings

    shown = run("train", "au-cues", "--help").output
    for name in vars(Settings()):
        assert f"--{name.replace('_', '-')}" in shown
    assert "32,64,128,192" in shown


def test_widths_that_are_no_numbers_are_wrong_usage(faces, tmp_path):
    result = run("train", "au-cues", "--data", f"folder:{faces}", "-o", tmp_path / "r", "--widths", "4,x")
    assert result.exit_code == 2
    assert "'4,x' is not a list" in result.stderr


def test_an_exported_run_reads_a_photo(exported):
    from tests.helpers import ASTRONAUT

    (face,) = json.loads(run("analyze", ASTRONAUT, "--model", exported).stdout)["faces"]
    assert sum(face["expression"]["probabilities"].values()) == pytest.approx(1, abs=1e-3)


def test_an_exported_run_is_evaluated_and_the_result_has_the_agreed_form(exported, faces, tmp_path):
    output = tmp_path / "result.json"
    result = run(
        "evaluate",
        exported,
        "--data",
        f"folder:{faces}",
        "-o",
        output,
        "--figures",
        "--cross-fit",
        2,
        "--resamples",
        100,
    )
    assert result.exit_code == 0, result.output
    scores = json.loads(output.read_text())
    agreed = {
        "model",
        "data",
        "protocol",
        "n",
        "dropped",
        "accuracy",
        "macro_f1",
        "per_class",
        "ece",
        "confusion",
        "with_duplicates",
        "command",
        "seed",
        "date",
        "machine",
        "mien",
    }
    assert agreed <= set(scores)
    assert set(scores["accuracy"]) == {"value", "low", "high"}
    assert {"recall", "n"} <= set(scores["per_class"]["happiness"])
    assert np.shape(scores["confusion"]) == (8, 8)
    assert scores["masked"] == ["neutral", "surprise", "anger", "disgust", "fear", "contempt"]
    assert result.stdout == "", "a file was asked for"
    assert "masked" in result.stderr
    assert (tmp_path / "result.confusion.png").is_file()
    assert (tmp_path / "result.reliability.png").is_file()
    assert "NaN" not in output.read_text()


def test_a_run_that_is_not_finished_cannot_be_exported(tmp_path):
    result = run("export", "au-cues", tmp_path, "-o", tmp_path / "m.onnx")
    assert "settings.json is not there" in str(result.exception)


def test_what_is_tuned_of_a_model_of_the_hub_is_not_exported(tmp_path):
    result = run("export", "facescan", tmp_path, "-o", tmp_path / "x.onnx")
    assert result.exit_code == 2
    assert "is not one of" in result.stderr


def test_a_split_may_stand_beside_the_kind(tmp_path):
    for split, name in (("train", "happy"), ("test", "sad")):
        (tmp_path / split / name).mkdir(parents=True)
        Image.fromarray(drawn_face(True)).save(tmp_path / split / name / "0.png")
    assert [sample.expression.label for sample in open_data(f"folder/test:{tmp_path}")] == ["sadness"]
    assert len(open_data(f"worn:folder/train:{tmp_path}")) == 2
    with pytest.raises(UsageError, match="names the split 'test', but 'train' is asked for too"):
        open_data(f"folder/test:{tmp_path}", "train")


@pytest.mark.parametrize("data", ["ferplus", "unknown:x", "folder:"])
def test_data_that_name_no_data_set_are_wrong_usage(data):
    result = run("evaluate", "reader", "--data", data)
    assert result.exit_code == 2
    assert "KIND:PATH" in result.stderr


def test_figures_without_a_result_file_are_wrong_usage():
    assert run("evaluate", "reader", "--data", "folder:x", "--figures").exit_code == 2


def test_teachers_are_names_or_files_and_one_that_is_not_there_is_named(faces, tmp_path):
    given = ["--data", f"folder:{faces}", "-o", tmp_path / "run", "--teachers", "reader, none.onnx"]
    result = run("train", "au-cues", *given, *TINY)
    assert "none.onnx: there is no such file" in str(result.exception)
