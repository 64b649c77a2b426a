import json

import pytest
from click.testing import CliRunner
from PIL import Image

from mien.cli import commands
from mien.methods.facescan.published import EXPRESSION
from tests.helpers import drawn_face


def run(*arguments):
    return CliRunner().invoke(commands, ["bench", *map(str, arguments)])


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    root = tmp_path_factory.mktemp("bench")
    for i in range(8):
        folder = root / "faces" / ("happiness", "sadness")[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(drawn_face(i % 2 == 0, i)).save(folder / f"{i}.png")
    result = run("fer-rows", "--data", f"folder:{root / 'faces'}", "--rows", 4, "--people", 2, "-o", root / "rows")
    assert result.exit_code == 0, result.output
    assert "4 rows of 2; 4 happiness, 4 sadness" in result.stderr
    return root / "rows"


def test_the_benchmark_says_what_it_was_made_of_without_folders_of_the_machine(built):
    about = json.loads((built / "about.json").read_text())
    assert (about["data"], about["rows"], about["people_a_row"], about["seed"]) == ("folder:faces", 4, 2, 0)


def test_the_embedded_models_are_asked_and_put_beside_the_published_rows(built, tmp_path):
    file = tmp_path / "embedded.json"
    result = run("ask", built, "--system", "splitter", "--resamples", 50, "-o", file)
    assert result.exit_code == 0, result.output
    found = json.loads(file.read_text())
    assert result.stdout == ""
    assert (found["provider"], found["model"]) == ("embedded", "reader")
    assert found["systems"]["splitter"]["count_accuracy"]["value"] == 1
    assert {"command", "date", "machine", "mien", "seed", "resamples"} <= found.keys()
    assert "people counted right %" in result.stderr
    report = run("report", file, file, "-o", tmp_path / "report.json")
    assert report.exit_code == 0, report.output
    lines = json.loads((tmp_path / "report.json").read_text())
    assert [line["provider"] for line in lines["providers"]] == ["embedded:reader"] * 2
    assert len(lines["published"]) == len(EXPRESSION)
    assert "not comparable" in report.stderr
    assert "FaceScanPaliGemma, tuned" in report.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--system", "target"], "needs a model that reads"),
        (["--provider", "openai"], "no default server"),
        (["--prompt", "people-1"], "there is no prompt"),
        (["-o", "/nowhere/result.json"], "does not exist"),
    ],
)
def test_what_cannot_be_asked_is_said_first(built, options, words):
    result = run("ask", built, *options)
    assert result.exit_code != 0
    assert words in result.stderr + str(result.exception)


def test_a_file_that_is_no_result_is_named(tmp_path):
    (tmp_path / "other.json").write_text('{"systems": {"splitter": {}}}')
    result = run("report", tmp_path / "other.json")
    assert result.exit_code == 1
    assert "mien bench ask" in str(result.exception)
