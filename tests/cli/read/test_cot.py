import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from mien.cli import commands
from mien.cli.read import cot
from mien.datasets import pseudo_labels
from mien.facs.blendshapes import BLENDSHAPES, ShapeCalibration
from mien.facs.units import VECTOR
from mien.facs.vocabulary import ActionUnit
from mien.providers.base import Completion
from mien.results.scan import AnswerStatus
from tests.helpers import drawn_face
from tests.methods.expllm.engine.test_llm import node

UNITS = list(ActionUnit)
HAPPY = {12: 0.6, 6: 0.5, 25: 0.3}
SAD = {15: 0.5, 4: 0.5, 1: 0.4, 17: 0.3}
SAID = {
    "happiness": "The lip corners are strongly pulled up.",
    "sadness": "The lip corners are strongly pulled down.",
}


@pytest.fixture
def faces(tmp_path):
    """Six drawn faces, smiling or not, in one folder a class."""
    for seed in range(6):
        kind = tmp_path / "faces" / ("happy" if seed % 2 else "sad")
        kind.mkdir(parents=True, exist_ok=True)
        Image.fromarray(drawn_face(smiling=bool(seed % 2), seed=seed)).save(kind / f"{seed}.png")
    return tmp_path / "faces"


@pytest.fixture
def labels(faces, tmp_path):
    """A teacher's labels of them; it missed the last."""
    from mien.datasets import Folder

    sources = [sample.source for sample in Folder(faces)]
    found = np.array([True] * 5 + [False])
    units = np.zeros((6, VECTOR), np.float32)
    for row, source in enumerate(sources):
        for unit, value in (HAPPY if "happy" in source else SAD).items():
            units[row, UNITS.index(unit)] = value
    units[~found] = np.nan
    shapes, landmarks = np.zeros((6, len(BLENDSHAPES)), np.float32), np.zeros((6, 68, 2), np.float32)
    calibration = ShapeCalibration(np.zeros(len(BLENDSHAPES)), np.ones(len(BLENDSHAPES)))
    pose = np.zeros((6, 3), np.float32)
    made = pseudo_labels.PseudoLabels(found, landmarks, shapes, pose, units, sources, calibration, {})
    pseudo_labels.write(made, tmp_path / "labels.parquet")
    return tmp_path / "labels.parquet"


def run(*arguments):
    return CliRunner().invoke(commands, ["cot", *map(str, arguments)])


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_face_gets_a_line_from_its_teacher_or_else_from_the_reader(faces, labels, tmp_path):
    output = tmp_path / "cot.jsonl"
    result = run("--data", f"folder:{faces}", "--pseudo-labels", labels, "-o", output)
    assert result.exit_code == 0, result.output
    rows = lines(output)
    assert [row["au_source"] for row in rows] == ["teacher"] * 5 + ["reader"]
    assert all(row["image_id"] and row["text"].startswith("Key observations: ") for row in rows)
    assert {row["label"] for row in rows} == {"happiness", "sadness"}
    happy = next(row for row in rows if row["label"] == "happiness")
    assert happy["au"][UNITS.index(12)] == 0.6
    assert (happy["verified"], happy["engine"], happy["seed"], happy["calls"]) == (True, "deterministic", 0, [])
    assert not any("viewers" in row["text"] for row in rows)  # a folder's labels are nobody's votes


def test_the_summary_counts_by_expression(faces, labels, tmp_path):
    result = run("--data", f"folder:{faces}", "--pseudo-labels", labels, "-o", tmp_path / "cot.jsonl", "--limit", 4)
    counted = json.loads(result.stdout)
    assert counted["faces"] == sum(v["faces"] for v in counted["per_class"].values()) == 4
    assert sum(counted["loops"].values()) == 4
    assert "verified" in result.stderr
    assert f"wrote {tmp_path / 'cot.jsonl'}" in " ".join(result.stderr.split())


def test_without_pseudo_labels_the_reader_measures_every_face(faces, tmp_path):
    output = tmp_path / "cot.jsonl"
    assert run("--data", f"folder:{faces}", "-o", output, "--limit", 2).exit_code == 0
    assert [row["au_source"] for row in lines(output)] == ["reader"] * 2


def test_the_same_command_goes_on_and_leaves_finished_lines_as_they_are(faces, labels, tmp_path):
    whole, output = tmp_path / "whole.jsonl", tmp_path / "cot.jsonl"
    arguments = ("--data", f"folder:{faces}", "--pseudo-labels", labels, "--seed", 4, "-o")
    assert run(*arguments, whole).exit_code == 0
    assert run(*arguments, output, "--limit", 3).exit_code == 0
    cut = output.read_text()
    output.write_text(cut + '{"image_id": "cut sh')
    assert run(*arguments, output).exit_code == 0
    assert output.read_text() == whole.read_text()
    assert output.read_text().startswith(cut)


def test_a_file_of_another_seed_is_not_mixed_with_this_one(faces, labels, tmp_path):
    arguments = ("--data", f"folder:{faces}", "--pseudo-labels", labels, "-o", tmp_path / "cot.jsonl")
    run(*arguments, "--seed", 1)
    assert "made with seed 1, not 2" in str(run(*arguments, "--seed", 2).exception)


def test_a_file_of_other_data_or_labels_is_not_mixed_with_this_one(faces, labels, tmp_path):
    output = ("-o", tmp_path / "cot.jsonl")
    run("--data", f"folder:{faces}", "--pseudo-labels", labels, *output)
    assert "made with pseudo_labels" in str(run("--data", f"folder:{faces}", *output).exception)
    other = faces.rename(faces.with_name("others"))
    result = run("--data", f"folder:{other}", "--pseudo-labels", labels, *output)
    assert "made with data 'folder:faces', not 'folder:others'" in str(result.exception)


def test_pseudo_labels_of_other_faces_are_an_error(faces, labels, tmp_path):
    Image.fromarray(drawn_face(smiling=True)).save(faces / "happy" / "new.png")
    result = run("--data", f"folder:{faces}", "--pseudo-labels", labels, "-o", tmp_path / "cot.jsonl")
    assert "made of other data" in str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [(["-o", "gone/cot.jsonl"], "does not exist"), (["-o", "cot.jsonl", "--engine", "llm"], "--base-url and --model")],
)
def test_wrong_usage_is_said_before_any_work(arguments, complaint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("--data", "folder:none", *arguments)
    assert result.exit_code == 2
    assert complaint in result.stderr


def test_the_llm_engine_names_the_extra_it_needs(faces, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "openai", None)
    result = run("--data", f"folder:{faces}", "-o", tmp_path / "c.jsonl", *ASK, "--base-url", "http://localhost:1/v1")
    assert "pip install 'mien[vlm]'" in str(result.exception)


ASK = ("--engine", "llm", "--model", "fake", "--workers", 2)


def answer(question):
    """A model that looks only at the corners of the mouth."""
    label = "sadness" if "AU15" in question or "down" in question else "happiness"
    kind = node(question)
    if kind == "describe":
        return SAID[label]
    if kind == "refine":
        return (
            f"Key observations: {SAID[label]}\nOverall interpretation: This fits it.\n"
            f"Conclusion: The visible expression is {label}."
        )
    return {"infer": label, "verify": "Yes.", "reflect": "Say more."}[kind]


class Server:
    """In place of OpenAICompatible; after `fail` answers it gives none any more."""

    fail = 10**9

    def __init__(self, base_url, model, key=None, *, timeout):
        self.asked = 0

    def complete(self, messages, images):
        self.asked += 1
        if self.asked > self.fail:
            return Completion(failure=AnswerStatus.TIMEOUT, problem="the server did not answer in time")
        return Completion(answer(messages[1].text), usage={"prompt_tokens": 50, "completion_tokens": 5})


def test_a_language_model_writes_the_same_lines_and_its_cost_is_summed(faces, labels, tmp_path, monkeypatch):
    monkeypatch.setattr(cot, "OpenAICompatible", Server)
    output = tmp_path / "cot.jsonl"
    data = ("--data", f"folder:{faces}", "--pseudo-labels", labels, "-o", output, "--limit", 5)
    result = run(*data, *ASK, "--base-url", "http://localhost/v1")
    assert result.exit_code == 0, result.output
    rows = lines(output)
    assert [row["verified"] for row in rows] == [True] * 5
    assert {(row["engine"], row["model"]) for row in rows} == {("llm", "fake")}
    assert json.loads(result.stdout)["cost"]["calls"] == 20
    assert json.loads(result.stdout)["cost"]["prompt_tokens"] == 1000


def test_a_server_that_gives_up_stops_the_run_and_the_next_run_goes_on(faces, labels, tmp_path, monkeypatch):
    output = tmp_path / "cot.jsonl"
    data = ("--data", f"folder:{faces}", "--pseudo-labels", labels, "-o", output, "--limit", 5)
    monkeypatch.setattr(cot, "OpenAICompatible", type("Failing", (Server,), {"fail": 8}))
    result = run(*data, "--engine", "llm", "--model", "fake", "--workers", 1, "--base-url", "http://localhost/v1")
    assert "run the same command again" in str(result.exception)
    first = output.read_text()
    assert len(lines(output)) == 2
    monkeypatch.setattr(cot, "OpenAICompatible", Server)
    assert run(*data, *ASK, "--base-url", "http://localhost/v1").exit_code == 0
    assert output.read_text().startswith(first)
    assert len(lines(output)) == 5


def test_a_refusal_is_a_rejected_line(faces, labels, tmp_path, monkeypatch):
    class Refusing(Server):
        def complete(self, messages, images):
            return Completion("", refusal="no faces")

    monkeypatch.setattr(cot, "OpenAICompatible", Refusing)
    output = tmp_path / "cot.jsonl"
    data = ("--data", f"folder:{faces}", "--pseudo-labels", labels, "-o", output, "--limit", 2)
    result = run(*data, *ASK, "--base-url", "http://localhost/v1")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["rejected"] == 2
    assert {(row["status"], len(row["calls"])) for row in lines(output)} == {("rejected", 1)}


@pytest.fixture
def address():
    """A server on this machine that speaks POST /v1/chat/completions as OpenAI's does."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert self.path == "/v1/chat/completions"
            message = {"role": "assistant", "content": answer(asked["messages"][1]["content"])}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
            body = {"id": "1", "object": "chat.completion", "created": 0, "model": asked["model"]}
            sent = json.dumps(body | {"choices": [choice], "usage": usage}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def test_a_server_that_speaks_as_openai_does_is_asked_over_http(faces, labels, tmp_path, address):
    pytest.importorskip("openai")
    output = tmp_path / "cot.jsonl"
    data = ("--data", f"folder:{faces}", "--pseudo-labels", labels, "-o", output, "--limit", 3)
    result = run(*data, *ASK, "--base-url", address)
    assert result.exit_code == 0, result.output
    assert [row["verified"] for row in lines(output)] == [True] * 3
    assert json.loads(result.stdout)["cost"]["completion_tokens"] == 36
