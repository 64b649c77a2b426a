import socket
import sys

import pytest
from click.testing import CliRunner

from mien.cli import commands


def run(*arguments):
    return CliRunner().invoke(commands, ["serve", *arguments])


@pytest.fixture
def served(monkeypatch):
    """What the server would have been given: the application and the address that it listens on."""
    pytest.importorskip("fastapi")
    server = pytest.importorskip("mien.serve.server")
    calls = []
    monkeypatch.setattr(server, "run", lambda app, listening, limits: calls.append((app, listening.getsockname())))
    return calls


def test_it_listens_on_this_machine_alone_and_says_where(served):
    result = run("--port", "0")
    ((app, (host, port)),) = served
    assert host == "127.0.0.1"
    assert f"http://127.0.0.1:{port}/" in result.stderr
    assert "/v1/models" not in result.stderr
    assert "/v1/models" not in app.openapi()["paths"]


def test_openai_adds_its_routes_and_says_the_base_url(served):
    result = run("--openai", "--port", "0", "--host", "::1")
    ((app, (_, port, *_)),) = served
    assert f"http://[::1]:{port}/v1" in result.stderr
    assert "/v1/chat/completions" in app.openapi()["paths"]


def test_a_port_in_use_is_an_error_before_anything_is_said_to_be_open(served):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("--port", str(port))
    assert (result.exit_code, served) == (1, [])
    assert f"port {port}" in result.stderr
    assert "open http" not in result.stderr


def test_an_empty_token_is_wrong_usage(served):
    assert run("--token", "", "--port", "0").exit_code == 2
    assert served == []


def test_a_model_that_is_not_there_is_wrong_usage(served):
    result = run("--model", "gone.onnx")
    assert result.exit_code == 2
    assert served == []


def test_without_its_extra_it_names_the_pip_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "fastapi", None)
    assert "mien[serve]" in str(run().exception)
