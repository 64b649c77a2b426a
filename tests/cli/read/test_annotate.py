import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from mien.cli import commands
from mien.datasets import Synthetic
from mien.facs.vocabulary import Expression
from tests.methods.synfer import toy

ROOT = Path(__file__).parents[3]


def run(*arguments):
    return CliRunner().invoke(commands, list(map(str, arguments)))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    generator = toy.generator(folder / "toy.onnx")
    return ("--generator", generator, "--head", toy.head(folder / "head.onnx", generator), "--expert", "reader")


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def shade(folder, name, level):
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((48, 48), level, np.uint8)).save(folder / name)


def test_generated_faces_are_labelled_against_what_was_asked_for(models, tmp_path):
    made = tmp_path / "made"
    asked = ("--expression", "neutral,contempt", "--steps", 4, "-n", 4)
    assert run("generate", "-o", made, "--model", models[1], *asked).exit_code == 0
    result = run("annotate", made, *models)
    assert result.exit_code == 0, result.output + str(result.exception)
    said = lines(made / "labels.jsonl")
    assert [row["requested"] for row in said] == ["neutral", "contempt"] * 2
    assert {row["decision"] for row in said} <= {"keep", "relabel", "drop"}
    assert all(list(row["answers"]) == ["feranno", "reader"] for row in said)
    assert all(sum(row["label_soft"]) == pytest.approx(1, abs=2e-3) for row in said)
    assert all(row["decision"] == "keep" for row in said if row["label"] == row["requested"])
    assert len(Synthetic(made)) == sum(row["decision"] != "drop" for row in said)
    assert json.loads(result.stdout)["all"] == {
        name: sum(row["decision"] == name for row in said) for name in ("keep", "relabel", "label", "drop")
    }
    assert "requested" in result.stderr


def test_threads_change_no_label(models, tmp_path):
    for level in range(70):
        shade(tmp_path, f"{level:02d}.png", 3 * level)
    for threads in (1, 3):
        assert (
            run("annotate", tmp_path, *models, "--threads", threads, "-o", tmp_path / f"{threads}.jsonl").exit_code == 0
        )
    assert [row["file"] for row in lines(tmp_path / "3.jsonl")] == [f"{level:02d}.png" for level in range(70)]
    assert (tmp_path / "1.jsonl").read_bytes() == (tmp_path / "3.jsonl").read_bytes()


def test_a_vote_that_is_stopped_does_not_cost_an_earlier_one(models, tmp_path, monkeypatch):
    shade(tmp_path, "light.png", 235)
    shade(tmp_path, "dark.png", 15)
    assert run("annotate", tmp_path, *models).exit_code == 0
    before = (tmp_path / "labels.jsonl").read_bytes()

    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("mien.methods.feranno.labeler.Jury.__call__", stop)
    assert run("annotate", tmp_path, *models).exit_code == 1
    assert (tmp_path / "labels.jsonl").read_bytes() == before


def test_any_folder_is_labelled_and_folders_named_after_expressions_say_the_label(models, tmp_path):
    shade(tmp_path / "surprised", "light.png", 235)
    shade(tmp_path / "other", "dark.png", 15)
    result = run("annotate", tmp_path, *models, "-o", tmp_path / "out.jsonl")
    assert result.exit_code == 0, result.output + str(result.exception)
    by_file = {row["file"]: row for row in lines(tmp_path / "out.jsonl")}
    assert by_file["surprised/light.png"]["requested"] == "surprise"
    assert by_file["surprised/light.png"]["answers"]["feranno"] == "surprise"
    assert by_file["other/dark.png"]["requested"] is None
    assert by_file["other/dark.png"]["answers"]["feranno"] == Expression.NEUTRAL.label
    assert not (tmp_path / "labels.jsonl").exists()


def test_a_picture_that_cannot_be_read_is_a_row_that_says_why_and_exit_code_1(models, tmp_path):
    shade(tmp_path, "face.png", 200)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    result = run("annotate", tmp_path, *models)
    assert result.exit_code == 1
    broken, whole = lines(tmp_path / "labels.jsonl")
    assert (broken["file"], broken["status"]) == ("broken.png", "unreadable")
    assert "decision" in whole
    assert "1 pictures without" in result.stderr


def test_a_picture_without_a_face_is_no_face_where_faces_are_looked_for(models, tmp_path):
    shade(tmp_path, "wall.png", 200)
    run("annotate", tmp_path, *models, "--detect")
    assert lines(tmp_path / "labels.jsonl")[0]["status"] == "no_face"


def test_a_photo_is_labelled_by_the_models_that_come_with_mien(tmp_path):
    (tmp_path / "happy").mkdir()
    (tmp_path / "happy" / "photo.png").write_bytes((ROOT / "examples" / "astronaut.png").read_bytes())
    assert run("annotate", tmp_path, "--detect").exit_code == 0
    (said,) = lines(tmp_path / "labels.jsonl")
    assert said["decision"] == "keep"
    assert said["answers"] == dict.fromkeys(("feranno", "reader", "vtff", "se-swin"), "happiness")


def test_a_folder_without_pictures_is_named(models, tmp_path):
    result = run("annotate", tmp_path, *models)
    assert "no pictures in this folder" in str(result.exception)
    assert not (tmp_path / "labels.jsonl").exists()


def test_a_head_of_another_generator_is_refused(models, tmp_path):
    shade(tmp_path, "face.png", 200)
    other = toy.head(tmp_path / "head.onnx", models[3])
    result = run("annotate", tmp_path, *models[:2], "--head", other)
    assert "another generator" in str(result.exception)
