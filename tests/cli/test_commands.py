import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

import mien
from mien.cli import COMMANDS, SECTIONS, commands
from mien.core import zoo
from mien.methods.registry import methods


def test_version_is_that_of_the_package():
    assert CliRunner().invoke(commands, ["--version"]).output.strip() == f"mien, version {mien.__version__}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does(name):
    result = CliRunner().invoke(commands, [name, "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_help_lists_the_commands_in_sections():
    help_text = CliRunner().invoke(commands, ["--help"]).output
    places = [help_text.index(f"{heading}:\n") for heading in SECTIONS]
    assert places == sorted(places)
    assert list(SECTIONS) == ["Read", "Make", "Train and measure", "Serve"]
    assert help_text.index("Train and measure:") < help_text.index("  compare ") < help_text.index("Serve:")


def test_export_lists_its_methods():
    help_text = CliRunner().invoke(commands, ["export", "--help"]).output
    assert all(record.name in help_text for record in methods() if record.exports)


def _options(command, context, path):
    yield from ((f"{path} {p.opts[0]}", p.help) for p in command.params if isinstance(p, click.Option))
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            yield from _options(command.get_command(context, name), context, f"{path} {name}")


def test_every_option_of_every_command_has_a_help_text():
    options = list(_options(commands, click.Context(commands), "mien"))
    assert len(options) > 400
    assert [option for option, text in options if not text] == []


def test_an_error_is_one_sentence_and_exit_code_1(tmp_path):
    command = [sys.executable, "-m", "mien", "evaluate", "reader", "--data", f"folder:{tmp_path / 'gone'}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("mien: ")
    assert "Traceback" not in done.stderr


def test_help_imports_neither_the_models_nor_torch():
    code = (
        "import sys; from click.testing import CliRunner; from mien.cli import commands;"
        "assert CliRunner().invoke(commands, ['--help']).exit_code == 0;"
        "print([m for m in ('torch', 'cv2', 'onnxruntime', 'numpy') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_weights_lists_every_model_and_checks_it():
    result = CliRunner().invoke(commands, ["weights"])
    assert result.exit_code == 0
    assert all(name in result.output for name in zoo.MODELS)


def test_weights_fails_when_a_file_is_not_what_was_shipped(monkeypatch):
    changed = zoo.Entry("mien.weights", "reader.onnx", "0" * 64, "Apache-2.0", "reads")
    monkeypatch.setitem(zoo.MODELS, "reader", changed)
    result = CliRunner().invoke(commands, ["weights"])
    assert result.exit_code == 1
    assert "not the file" in " ".join(result.output.split())


def test_a_pipe_that_nobody_reads_ends_a_command_in_silence(tmp_path):
    command = [sys.executable, "-m", "mien", "analyze", str(tmp_path / "gone.jpg")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1
