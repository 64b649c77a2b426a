import json
import shutil
from dataclasses import asdict

import pytest
from click.testing import CliRunner

from mien.cli import commands
from mien.cli.shared.kinds import hint, kind_of, method_of
from tests.helpers import ASTRONAUT


@pytest.fixture
def things(tmp_path):
    """A folder with one of each kind."""
    for name, files in {
        "run": ["settings.json", "model.safetensors"],
        "writer": ["encoder.onnx", "language.onnx", "tokenizer.json"],
        "checkpoint": ["config.json"],
        "empty": [],
    }.items():
        (tmp_path / name).mkdir()
        for file in files:
            (tmp_path / name / file).write_text("{}")
    shutil.copy(ASTRONAUT, tmp_path / "photo.png")
    (tmp_path / "faces.csv").write_text("input,face,status,error,FaceRectX\n")
    (tmp_path / "other.csv").write_text("a,b\n")
    (tmp_path / "result.json").write_text(json.dumps({"accuracy": {}, "per_class": {}}))
    (tmp_path / "broken.json").write_text("{")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("run", "a training run"),
        ("writer", "a model that writes"),
        ("checkpoint", "a checkpoint of transformers"),
        ("photo.png", "a picture"),
        ("faces.csv", "a table of faces"),
        ("result.json", "a result of `mien evaluate`"),
        ("run/model.safetensors", "a file of weights alone"),
    ],
)
def test_a_path_is_known_for_what_it_is(things, name, what):
    assert kind_of(things / name).what == what


@pytest.mark.parametrize("name", ["gone", "empty", "other.csv", "broken.json", "nul\0"])
def test_of_what_mien_does_not_know_nothing_is_said(things, name):
    assert kind_of(things / name) is None


def test_an_error_about_a_path_says_what_it_is_unless_the_command_takes_such_a_thing(things):
    run = str(things / "run")
    assert "training run; `mien export METHOD RUN" in hint(f"{run} cannot be read", "evaluate", ["--model", run])
    assert hint(f"{run} holds a run already", "train", [run]) == ""
    assert hint("something else", "evaluate", [run]) == ""
    assert "training run" in hint(f"{run}: no face", "analyze", [f"folder:{run}"])


def test_a_run_of_another_method_is_named_with_the_command_that_takes_it(things):
    from mien.methods import se_swin

    run = things / "run"
    (run / "settings.json").write_text(json.dumps(asdict(se_swin.Settings())))
    assert method_of(run) == "se-swin"
    said = hint(f"{run} was trained by another method", "export", ["vtff", str(run)])
    assert f"{run} is a training run of se-swin; `mien export se-swin {run} -o FILE`" in said
    assert hint(f"{run} is not finished", "export", ["se-swin", str(run)]) == ""


def test_the_command_line_says_what_a_wrong_model_is(things, monkeypatch):
    for wrong, what in (("run", "a training run"), ("result.json", "a result of")):
        arguments = ["analyze", str(ASTRONAUT), "--model", str(things / wrong)]
        monkeypatch.setattr("sys.argv", ["mien", *arguments])
        result = CliRunner().invoke(commands, arguments)
        assert result.exit_code == 2
        assert what in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["analyse", "x.jpg"], "did you mean 'analyze'?"),
        (["analyze", "x.jpg", "--modle", "x"], "--model"),
        (["analyze", "x.jpg", "--model", "vttf"], "did you mean 'vtff'?"),
        (["train", "vttf"], "did you mean 'vtff'?"),
        (["scan", "x.jpg", "--ask", "gendre"], "did you mean 'gender'?"),
    ],
)
def test_a_misspelt_word_is_answered_with_the_one_that_was_meant(arguments, meant):
    result = CliRunner().invoke(commands, arguments)
    assert result.exit_code == 2
    assert meant in " ".join(result.stderr.split())
