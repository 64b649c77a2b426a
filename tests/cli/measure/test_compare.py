import json

import numpy as np
import pytest
from click.testing import CliRunner

from mien.cli import commands
from mien.evaluation.compare import kept


def run(*arguments):
    return CliRunner().invoke(commands, ["compare", *map(str, arguments)])


@pytest.fixture
def results(tmp_path):
    """Three result files: two models, the second with two seeds."""
    labels = np.arange(300) % 3
    paths = []
    for name, right in (("reader", 270), ("vtff-0", 200), ("vtff-1", 204)):
        answers = np.where(np.arange(300) < right, labels, 7)
        said = {"data": "drawn", "protocol": "majority", "n": 300}
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(said | {"answers": kept([str(i) for i in range(300)], labels, answers)}))
        paths.append(path)
    return paths


def test_models_are_compared_with_the_first_and_their_seeds_counted_together(results, tmp_path):
    reader, *vtff = results
    output = tmp_path / "table.json"
    given = run(reader, f"vtff={vtff[0]},{vtff[1]}", "-o", output)
    assert given.exit_code == 0, given.output
    found = json.loads(output.read_text())
    assert given.stdout == ""
    assert json.loads(run(reader, f"vtff={vtff[0]},{vtff[1]}").stdout)["models"] == found["models"]
    first, second = found["models"]
    assert (first["model"], second["model"], second["runs"]) == ("reader", "vtff", 2)
    assert second["accuracy_difference"]["value"] == pytest.approx(202 / 300 - 0.9)
    assert second["accuracy_difference"]["answer"] == "lower"
    assert "-22.7 [" in given.stderr
    assert "differences from reader" in given.stderr


def test_a_path_may_hold_an_equals_sign(results, tmp_path):
    (tmp_path / "lr=0.1").mkdir()
    other = results[1].rename(tmp_path / "lr=0.1" / "vtff-0.json")
    found = json.loads(run(results[0], other).stdout)
    assert [model["model"] for model in found["models"]] == ["reader", "vtff-0"]
    assert json.loads(run(results[0], f"slow={other}").stdout)["models"][1]["model"] == "slow"


@pytest.mark.parametrize(
    ("text", "said"), [("3", "no result"), ('{"answers": "x"}', "face by face"), ("{", "no result")]
)
def test_what_is_no_result_is_refused(results, tmp_path, text, said):
    (tmp_path / "other.json").write_text(text)
    assert said in str(run(results[0], tmp_path / "other.json").exception)


def test_two_models_of_one_name_are_wrong_usage(results):
    given = run(results[0], results[0])
    assert given.exit_code == 2
    assert "NAME=FILE" in given.stderr
