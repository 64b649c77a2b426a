"""benchmarks/peers.py: labels of other tools, faces that they do not find, sizes, and what the pages say of them."""

import json
from pathlib import Path

import numpy as np
import pytest

from mien.errors import InputError
from mien.facs.vocabulary import Expression

ROOT = Path(__file__).parents[2]


@pytest.fixture
def peers(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import peers

    return peers


@pytest.fixture
def write_results(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    import write_results

    return write_results


def test_labels_of_other_tools_are_mapped_by_name(peers):
    fer = {"angry": 0.1, "disgust": 0, "fear": 0, "happy": 0.7, "sad": 0, "surprise": 0, "neutral": 0.2}
    face_api = {"surprised": 0.6, "fearful": 0.3, "disgusted": 0.1}
    values = peers.probabilities([fer, face_api])
    assert values[0, [Expression.ANGER, Expression.HAPPINESS, Expression.NEUTRAL]] == pytest.approx([0.1, 0.7, 0.2])
    assert values[0, Expression.CONTEMPT] == 0
    assert peers.words(values).tolist() == [Expression.HAPPINESS, Expression.SURPRISE]


def test_a_label_that_names_no_expression_is_refused(peers):
    with pytest.raises(InputError, match="names no expression"):
        peers.probabilities([{"browInnerUp": 1.0}])


def test_a_face_that_is_not_found_counts_as_wrong_and_is_left_out_among_those_found(peers):
    labels = np.array([1, 1, 0, 0])
    answers = peers.words(peers.probabilities([{"happy": 1.0}, None, {"happy": 1.0}, {"neutral": 1.0}]))
    result = peers.with_detector(labels, answers)
    assert (result["n"], result["found"]) == (4, 3)
    assert result["accuracy"]["value"] == 2 / 4
    assert result["accuracy_of_found"]["value"] == 2 / 3


def test_an_unfound_face_is_wrong_even_where_neutral_is_right(peers):
    assert peers.words(peers.probabilities([None])).tolist() != [Expression.NEUTRAL]


def test_differences_are_paired(peers):
    labels = np.zeros(50, np.int64)
    right, wrong = {"neutral": 1.0}, {"happy": 1.0}
    answered = {"mien": {"answers": [right] * 50}, "fer": {"answers": [right] * 25 + [wrong] * 25}}
    found = peers.differences(labels, answered, seed=0)
    assert found["mien less fer"]["value"] == 0.5
    assert 0.3 < found["mien less fer"]["low"] < 0.5 < found["mien less fer"]["high"] < 0.7


def test_sizes_leave_out_the_installer(peers, tmp_path):
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    for name, size in (("tool", 300_000), ("pip", 900_000), ("pip-25.0.dist-info", 900_000)):
        (packages / name).mkdir(parents=True)
        (packages / name / "file").write_bytes(b"x" * size)
    assert peers.python_mb(tmp_path) == 0.3


def test_a_tool_whose_folder_is_not_given_is_left_out(peers):
    assert [tool.name for tool in peers.chosen(peers.options().parse_args(["ferplus:x.parquet"]))] == ["mien"]


def test_mien_reads_whole_faces_in_a_process_of_its_own(peers):
    (tool,) = peers.chosen(peers.options().parse_args(["ferplus:x.parquet"]))
    answer = peers.read(tool, "crop", np.full((2, 48, 48, 3), 90, np.uint8))
    values = peers.probabilities(answer["answers"])
    assert values.shape == (2, 8)
    assert values.sum(axis=1) == pytest.approx([1, 1], abs=1e-3)
    assert len(answer["milliseconds"]) == 2


def test_the_readme_says_what_the_result_says(write_results):
    assert write_results.README.read_text(encoding="utf-8") == write_results.readme(), (
        "run: python docs/write_results.py"
    )


def test_the_readme_has_a_row_for_each_tool(write_results):
    result = json.loads((ROOT / "benchmarks" / "results" / "peers.json").read_text())
    lines = write_results.readme_table(result).splitlines()[2:]
    assert [line.split("|")[1].strip(" *") for line in lines] == [tool["name"] for tool in result["tools"]]
    assert write_results.readme_table(result) in write_results.README.read_text(encoding="utf-8")


def test_faces_stand_in_the_middle_of_gray_pictures_for_detectors(peers):
    pictures = peers.framed_faces(np.zeros((2, 48, 48, 3), np.uint8))
    assert pictures.shape == (2, 576, 576, 3)
    assert (pictures[:, 192:-192, 192:-192] == 0).all()
    assert (pictures[:, :192] == 127).all()
