import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from rich.console import Console

from mien.cli import commands
from mien.cli.shared.texts import summary
from tests.methods.expllm.scripted import write_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Two bright faces called happy, two dark ones called sad."""
    folder = tmp_path_factory.mktemp("faces")
    for name, level in (("happy", 220), ("sad", 30)):
        (folder / name).mkdir()
        for i in range(2):
            Image.fromarray(np.full((48, 48), level + i, np.uint8)).save(folder / name / f"{i}.png")
    return folder


def run(*arguments):
    return CliRunner().invoke(commands, ["evaluate", *map(str, arguments)])


def test_a_folder_is_a_model_that_writes_and_its_texts_are_measured_beside_its_labels(model, faces, tmp_path):
    output = tmp_path / "result.json"
    done = run(model, "--data", f"folder:{faces}", "--texts", 3, "--resamples", 20, "-o", output)
    assert done.exit_code == 0, done.output
    result = json.loads(output.read_text())
    assert (result["n"], result["accuracy"]["value"], result["free"]["mismatches"]) == (4, 1, 0)
    assert (result["texts"]["n"], result["texts"]["held_against"]) == (3, "reader")
    assert result["texts"]["reason-first"]["format"]["value"] == 1
    assert {"command", "seed", "date", "machine", "mien"} <= result.keys()


def test_the_summary_fits_80_columns_and_has_a_row_for_every_metric_and_what_is_aimed_at(model, faces, tmp_path):
    output = tmp_path / "result.json"
    run(model, "--data", f"folder:{faces}", "--resamples", 20, "-o", output)
    console = Console(width=80, record=True)
    console.print(summary(json.loads(output.read_text())))
    lines = console.export_text().splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 80
    for said in ("reason-first", "label-first", "engine", "form %", "Exp-CoT score", "mouth blurred", ">= 60"):
        assert any(said in line for line in lines), said
    assert any("0.0 % no label" in line for line in lines)


def test_options_for_models_that_only_read_are_refused(model, faces):
    for option in (("--detect",), ("--cross-fit", 2)):
        done = run(model, "--data", f"folder:{faces}", *option)
        assert done.exit_code == 2
        assert "models that only read" in done.stderr
