import json
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from mien.cli import commands
from mien.cli.read import explain as command
from mien.cli.read.explain import WIDTH, Flow, remarks
from mien.cli.shared import outcomes
from mien.facs.vocabulary import ActionUnit, Expression
from mien.results.explanation import Effect, Explanation, Part, Phrase, Rejected
from tests.helpers import ASTRONAUT, noise, scores
from tests.methods.expllm.scripted import write_model
from tests.video.clips import write_clip


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def bright(tmp_path):
    """A picture that is one bright face."""
    path = tmp_path / "bright.png"
    Image.new("L", (48, 48), 230).save(path)
    return path


def run(*arguments):
    return CliRunner().invoke(commands, ["explain", *map(str, arguments)])


def on_a_terminal(monkeypatch):
    terminal = SimpleNamespace(isatty=lambda: True, flush=lambda: None)
    for module in (command, outcomes):
        monkeypatch.setattr(module, "sys", SimpleNamespace(stdout=terminal, stderr=terminal, argv=["mien", "explain"]))


def test_a_pipe_gets_one_json_line_a_picture_and_nothing_else(model):
    result = run(ASTRONAUT, "--model", model)
    assert result.exit_code == 0, result.output
    (line,) = result.stdout.splitlines()
    (face,) = json.loads(line)["faces"]
    said = face["explanation"]
    assert [part["title"] for part in said["parts"]] == ["Key observations", "Overall interpretation", "Conclusion"]
    assert (said["mode"], said["model"], said["verified"]) == ("label-first", "scripted", True)
    assert said["expression"] == said["concluded"]


def test_a_phrase_is_marked_by_what_the_reader_measured_of_the_same_face(model):
    (face,) = json.loads(run(ASTRONAUT, "--model", model).stdout)["faces"]
    for part in face["explanation"]["parts"]:
        for phrase in part["phrases"]:
            measured = face["action_units"][phrase["unit"]]
            assert phrase["measured"] == pytest.approx(measured, abs=1e-3)
            assert phrase["supported"] == (not phrase["against"])


def test_a_terminal_gets_the_text_and_after_it_what_was_measured_of_each_action_unit(model, bright, monkeypatch):
    on_a_terminal(monkeypatch)
    result = run(bright, "--assume-crop", "--model", model, "--unverified", "--no-effects")
    head, *parts, marks, end = result.stdout.split("\n\n")
    assert head.startswith(f"{bright}, face 1: ")
    assert parts == [
        "Key observations: The lip corners are strongly pulled up.",
        "Overall interpretation: This makes a smile.",
        "Conclusion: It shows happiness.",
    ]
    assert [line.split()[1] for line in marks.splitlines()] == ["AU12", "AU12"]
    assert end == ""


def test_a_page_holds_the_explanation_while_the_text_goes_to_the_terminal_s_other_channel(model, bright, tmp_path):
    page = tmp_path / "report.html"
    result = run(bright, "--assume-crop", "--model", model, "-o", page, "--unverified")
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert "Conclusion: It shows happiness." in result.stderr
    assert result.stderr.endswith(f"wrote {page}\n")
    assert "<h5>Overall interpretation</h5>" in page.read_text()


def test_the_label_may_come_of_the_text(model, bright):
    result = run(bright, "--assume-crop", "--model", model, "--mode", "reason-first")
    assert json.loads(result.stdout)["faces"][0]["explanation"]["mode"] == "reason-first"


def test_what_is_printed_is_borne_out_and_json_keeps_what_was_taken_back(model, bright):
    (face,) = json.loads(run(bright, "--assume-crop", "--model", model).stdout)["faces"]
    said = face["explanation"]
    assert all(phrase["supported"] for part in said["parts"] for phrase in part["phrases"])
    smile, *_ = said["rejected"]
    assert smile["text"] == "The lip corners are strongly pulled up."
    assert (smile["part"], smile["kind"]) == ("Key observations", "absent")
    assert smile["why"] == '"lip corners are strongly pulled up": measured as absent'
    assert smile["instead"] in said["parts"][0]["text"]
    whole = json.loads(run(bright, "--assume-crop", "--model", model, "--unverified").stdout)["faces"][0]["explanation"]
    assert (whole["verified"], whole["rejected"]) == (False, [])
    assert "The lip corners are strongly pulled up." in whole["parts"][0]["text"]


def test_a_smile_is_taken_away_and_the_face_read_again(model):
    (face,) = json.loads(run(ASTRONAUT, "--model", model).stdout)["faces"]
    (smile,) = face["explanation"]["effects"]
    assert (smile["units"], smile["phrase"], smile["word"]) == (["AU12"], "lifted lip corners", "happiness")
    assert smile["before"] == pytest.approx(face["expression"]["confidence"], abs=0.03)
    assert smile["after"] < smile["before"]
    assert smile["measured"][1] < 0.5 < smile["measured"][0]
    (face,) = json.loads(run(ASTRONAUT, "--model", model, "--no-effects").stdout)["faces"]
    assert face["explanation"]["effects"] == []


def test_a_picture_that_cannot_be_read_or_has_no_face_does_not_stop_the_others(model, bright, tmp_path, monkeypatch):
    Image.fromarray(noise(64, 64, 3)).save(tmp_path / "nobody.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    on_a_terminal(monkeypatch)
    result = run(tmp_path / "broken.png", tmp_path / "nobody.png", ASTRONAUT, "--model", model)
    assert result.exit_code == 1
    assert f"{tmp_path / 'broken.png'}: not a picture" in result.stdout.replace("\n", " ")
    assert f"{tmp_path / 'nobody.png'}: no face found\n" in result.stdout
    assert "astronaut.png, face 1: " in result.stdout


def test_a_folder_that_is_no_model_is_a_usage_error(tmp_path, bright):
    result = run(bright, "--model", tmp_path)
    assert result.exit_code == 2
    assert "mien export expllm" in " ".join(result.stderr.split())


def test_text_is_shown_piece_by_piece_in_lines_that_fit_the_terminal():
    shown = []
    flow = Flow(shown.append)
    pieces = ["Key observations:", *[" words"] * 40, ".", "\n\n", "Conclusion:", *[" more"] * 30, "."]
    for piece in pieces:
        flow(piece)
    assert len(shown) == len(pieces)
    text = "".join(shown)
    lines = text.splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert min(len(line) for line in lines[:2]) > WIDTH - 10
    assert text.split() == "".join(pieces).split()
    assert "\n\nConclusion:" in text


def test_remarks_say_of_each_phrase_whether_it_was_measured_and_whether_the_conclusion_is_the_label():
    text = "A smile, no frown."
    smile = Phrase(2, 7, ActionUnit.LIP_CORNER_PULLER, "both", None, True, 0.62, "")
    frown = Phrase(12, 17, ActionUnit.BROW_LOWERER, "both", None, False, 0.4, "measured as moderate")
    happy = scores({Expression.HAPPINESS: 1})
    said = Explanation((Part("Key observations", text, (smile, frown)),), happy, Expression.FEAR, "reason-first", "m")
    assert list(remarks(said)) == [
        '  yes  AU12  0.62  measured: "smile"',
        '  no   AU4   0.40  measured as moderate: no "frown"',
        "  It concludes fear; asked for the label alone, the same model says happiness.",
    ]


def test_remarks_say_what_was_taken_back_and_what_is_read_without_each_movement():
    happy = scores({Expression.HAPPINESS: 1})
    corners, jaw = (ActionUnit.LIP_CORNER_PULLER,), (ActionUnit.JAW_DROP,)
    smile = Effect(
        corners, "lifted lip corners", Expression.HAPPINESS, -0.8, (0.8, 0.1), (0.97, 0.2), Expression.NEUTRAL, 0.7
    )
    untried = replace(smile, units=jaw, phrase="a dropped jaw", refused="what is behind the lips is not in the picture")
    back = Rejected("Key observations", "A frown.", "absent", "measured as absent")
    said = Explanation((), happy, Expression.HAPPINESS, "label-first", "m", (back,), True, (smile, untried))
    taken, empty, first, *rest = remarks(said)
    assert taken == "  1 sentence taken back while it was written; JSON says which and why."
    assert (empty, first) == ("", "  without lifted lip corners: happiness 97 % -> 20 %; it reads neutral, 70 %")
    assert "not tried, what is behind the lips" in rest[0]
    assert "tests the model that reads the face, not the person" in " ".join(rest[-1].split())
    assert max(len(line) for each in rest for line in each.splitlines()) <= WIDTH


def test_it_runs_where_only_the_core_is_installed(model, bright):
    code = (
        "import sys; [sys.modules.__setitem__(m, None) for m in ('torch', 'transformers', 'tokenizers', 'pyarrow')];"
        "from mien.cli import main;"
        f"sys.argv = ['mien', 'explain', {str(bright)!r}, '--assume-crop', '--model', {str(model)!r}]; main()"
    )
    line = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert json.loads(line)["faces"][0]["explanation"]["concluded"] == "happiness"


def test_of_a_clip_each_expression_is_explained_at_its_apex(model, tmp_path):
    head = np.asarray(Image.open(ASTRONAUT).convert("RGB"))[40:180, 145:285]
    write_clip(tmp_path / "clip.avi", [head] * 6)
    result = run(tmp_path / "clip.avi", "--model", model)
    assert result.exit_code == 0, result.output
    (line,) = [json.loads(line) for line in result.stdout.splitlines()]
    assert line["input"].startswith(f"{tmp_path / 'clip.avi'}, track 0 at 0.")
    assert line["faces"][0]["expression"]["top"] == "happiness"
    assert line["faces"][0]["explanation"]["parts"]


def test_a_clip_that_cannot_be_read_is_a_line_that_says_why(model, tmp_path):
    (tmp_path / "clip.mp4").write_text("no clip")
    result = run(tmp_path / "clip.mp4", "--model", model)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["status"] == "unreadable"
