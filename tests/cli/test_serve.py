import sys

import pytest
from click.testing import CliRunner

from mien.cli import commands


def run(*arguments):
    return CliRunner().invoke(commands, ["serve", *arguments])


@pytest.fixture
def served(monkeypatch):
    """What uvicorn would have been given."""
    uvicorn = pytest.importorskip("uvicorn")
    pytest.importorskip("fastapi")
    calls = []
    monkeypatch.setattr(uvicorn, "run", lambda app, **options: calls.append((app, options)))
    return calls


def test_it_listens_on_this_machine_alone_and_says_where(served):
    result = run("--port", "8123")
    ((app, options),) = served
    assert (options["host"], options["port"]) == ("127.0.0.1", 8123)
    assert "http://127.0.0.1:8123/" in result.stderr
    assert "/v1" not in result.stderr
    assert "/v1/models" not in app.openapi()["paths"]


def test_openai_adds_its_routes_and_says_the_base_url(served):
    result = run("--openai", "--host", "::1")
    assert "http://[::1]:8000/v1" in result.stderr
    assert "/v1/chat/completions" in served[0][0].openapi()["paths"]


def test_a_model_that_is_not_there_is_wrong_usage(served):
    result = run("--model", "gone.onnx")
    assert result.exit_code == 2
    assert served == []


def test_without_its_extra_it_names_the_pip_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "fastapi", None)
    assert "mien[serve]" in str(run().exception)
