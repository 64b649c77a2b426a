import json
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from mien.cli import commands
from mien.cli.shared.data import open_data
from mien.methods.synfer.flow.dialled import SIDES, STEPS
from tests.helpers import drawn_face
from tests.methods.synfer import toy

FAST = ("--steps", 4, "--tries", 1)


def run(*arguments):
    return CliRunner().invoke(commands, list(map(str, arguments)))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return toy.generator(tmp_path_factory.mktemp("model") / "toy.onnx")


def generate(output, model, *options):
    result = run("generate", "-o", output, "--model", model, *FAST, *options)
    assert result.exit_code == 0, result.output + str(result.exception)
    return result


def lines(folder):
    return [json.loads(line) for line in (folder / "meta.jsonl").read_text().splitlines()]


def contents(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def picture(folder, number):
    return np.array(Image.open(folder / "faces" / f"{number:06d}.png")).astype(float)


ASKED = ("--expression", "surprise", "--au", "26=0.8", "--au", "2=0.6", "--caption", "eyebrows lifted, jaw dropped")


def test_faces_are_written_with_a_sheet_a_card_and_what_each_was_asked_for(model, tmp_path):
    result = generate(tmp_path / "faces", model, *ASKED, "-n", 10, "--seed", 7)
    assert "10 faces" in result.stderr
    assert set(contents(tmp_path / "faces")) == {
        "card.md", "meta.jsonl", "sheet.png", *(f"faces/{i:06d}.png" for i in range(10))
    }  # fmt: skip
    said = lines(tmp_path / "faces")
    assert [line["file"] for line in said] == [f"faces/{i:06d}.png" for i in range(10)]
    assert said[3]["requested"] == "surprise"
    assert said[3]["au_requested"] == {"AU02": 0.6, "AU26": 0.8}
    assert said[3]["caption"] == "eyebrows lifted, jaw dropped"
    assert (said[3]["seed"], said[3]["steps"], said[3]["guidance"], said[3]["label_soft"]) == (7, 4, None, None)
    assert len(said[3]["model_sha256"]) == 64
    card = (tmp_path / "faces" / "card.md").read_text()
    assert "surprise 10" in card
    assert "not for" in card
    assert Image.open(tmp_path / "faces" / "sheet.png").size[0] > 8 * 96


def test_the_same_command_writes_the_same_bytes_and_another_seed_other_faces(model, tmp_path):
    for name, seed in (("one", 7), ("two", 7), ("three", 8)):
        generate(tmp_path / name, model, *ASKED, "-n", 3, "--seed", seed)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert not np.array_equal(picture(tmp_path / "one", 0), picture(tmp_path / "three", 0))
    assert not np.array_equal(picture(tmp_path / "one", 0), picture(tmp_path / "one", 1))


def test_threads_change_no_byte(model, tmp_path):
    for threads in (1, 3):
        generate(tmp_path / str(threads), model, *ASKED, "-n", 35, "--threads", threads)
    assert contents(tmp_path / "1") == contents(tmp_path / "3")


@pytest.mark.parametrize("whole_lines", [8, 11, 20])
def test_a_stopped_command_goes_on_and_ends_as_the_uninterrupted_one(model, tmp_path, whole_lines):
    generate(tmp_path / "whole", model, *ASKED, "-n", 20)
    generate(tmp_path / "stopped", model, *ASKED, "-n", 20)
    meta = tmp_path / "stopped" / "meta.jsonl"
    meta.write_text("".join(meta.read_text().splitlines(keepends=True)[:whole_lines]) + '{"file": "faces/0000')
    if whole_lines < 20:
        (tmp_path / "stopped" / "faces" / "000012.png").unlink()
    generate(tmp_path / "stopped", model, *ASKED, "-n", 20)
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")


def test_faces_that_do_not_pass_are_drawn_again_and_that_is_said(model, tmp_path):
    # Nobody can read the toy's bars.
    result = generate(tmp_path / "one", model, "--expression", "fear", "-n", 3, "--tries", 2)
    assert "drew 6 faces for 3, 2.0 for one. 3 passed in none of 2 draws (fear 3)" in result.stderr
    assert [(line["drawn"], line["passed"], line["tries"]) for line in lines(tmp_path / "one")] == [(2, False, 2)] * 3
    generate(tmp_path / "two", model, "--expression", "fear", "-n", 3, "--tries", 2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_folder_may_grow_but_not_change(model, tmp_path):
    generate(tmp_path, model, *ASKED, "-n", 8)
    before = (tmp_path / "faces" / "000003.png").read_bytes()
    generate(tmp_path, model, *ASKED, "-n", 9)
    assert len(lines(tmp_path)) == 9
    assert (tmp_path / "faces" / "000003.png").read_bytes() == before
    result = run("generate", "-o", tmp_path, "--model", model, *FAST, *ASKED, "-n", 9, "--seed", 1)
    assert "face 0 was made with another seed" in str(result.exception)


def test_a_folder_of_something_else_is_left_alone(model, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    result = run("generate", "-o", tmp_path, "--model", model, "-n", 1)
    assert "is not empty" in str(result.exception)


def test_an_unknown_word_is_named_with_the_nearest_before_anything_is_written(model, tmp_path):
    result = run("generate", "-o", tmp_path / "f", "--model", model, "--caption", "eyebrowz lifted")
    assert result.exit_code == 1
    assert "no word 'eyebrowz' in captions; the nearest that it knows is 'eyebrows'" in str(result.exception)
    assert not (tmp_path / "f").exists()


def test_a_sweep_is_a_strip_of_one_person_with_one_action_unit_rising(model, tmp_path):
    generate(tmp_path, model, "--sweep", "AU12", "-n", 1, "--au-scale", 1)
    said = lines(tmp_path)
    assert [line["au_requested"]["AU12"] for line in said] == list(STEPS)
    assert {line["identity"] for line in said} == {0}
    row = slice(8 * toy.ROW, 9 * toy.ROW)
    lightness = [picture(tmp_path, i)[row, 24:].mean() for i in range(len(STEPS))]
    assert lightness == sorted(lightness)
    assert lightness[-1] - lightness[0] > 60
    left = [picture(tmp_path, i)[:, :24] for i in range(len(STEPS))]
    assert all(np.array_equal(one, left[0]) for one in left)


def test_a_sweep_of_all_is_a_grid_with_a_row_for_each_action_unit(model, tmp_path):
    generate(tmp_path, model, "--sweep", "all", "-n", 1, "--others", "rest")
    assert len(lines(tmp_path)) == 21 * len(STEPS)
    assert Image.open(tmp_path / "sheet.png").size[1] > 21 * 96


def test_some_action_units_are_swept_one_after_the_other(model, tmp_path):
    generate(tmp_path, model, "--sweep", "AU12,4", "-n", 2)
    said = lines(tmp_path)
    assert [line["identity"] for line in said[:: 2 * len(STEPS)]] == [0, 1]
    assert [list(line["au_requested"]) for line in said[:: len(STEPS)]] == [["AU12"], ["AU04"]] * 2


def test_a_grid_has_all_combinations_of_two_action_units_of_one_person(model, tmp_path):
    generate(tmp_path, model, "--grid", "AU12,4", "-n", 2)
    said = lines(tmp_path)
    assert [(line["au_requested"]["AU12"], line["au_requested"]["AU04"]) for line in said[:25]] == [
        (one, other) for one in SIDES for other in SIDES
    ]
    assert [line["identity"] for line in said] == [0] * 25 + [1] * 25
    page = (tmp_path / "dial.html").read_text()
    assert page.count("<img") == 50
    assert "Person 2, AU12 at 0.25, AU04 at 1" in page


@pytest.mark.parametrize(
    ("options", "said"), [(("--grid", "12"), "two different action units"), (("--grid", "12,12"), "two different")]
)
def test_a_grid_of_another_number_of_action_units_is_refused(model, tmp_path, options, said):
    result = run("generate", "-o", tmp_path / "f", "--model", model, *options)
    assert said in str(result.exception)


def test_expressions_are_taken_in_turn_and_have_units_of_their_class(model, tmp_path):
    generate(tmp_path, model, "--expression", "all", "-n", 9, "--write-captions", "short")
    said = lines(tmp_path)
    assert [line["requested"] for line in said][:3] == ["neutral", "happiness", "surprise"]
    assert all(len(line["au_requested"]) == 24 for line in said)
    assert any(line["caption"] for line in said)


def test_faces_keep_the_layout_of_a_picture_that_they_begin_with(model, tmp_path):
    Image.fromarray(drawn_face(True)).save(tmp_path / "me.png")
    generate(tmp_path / "out", model, "--init", "invert", "--layout", tmp_path / "me.png", "--depth", 0.2, "-n", 2)
    said = lines(tmp_path / "out")
    assert {line["layout"] for line in said} == {str(tmp_path / "me.png")}
    assert {line["init"] for line in said} == {"invert"}
    assert np.array_equal(picture(tmp_path / "out", 0), picture(tmp_path / "out", 1))
    assert "may resemble the person in it" in (tmp_path / "out" / "card.md").read_text()


def test_a_layout_may_come_from_a_data_set(model, tmp_path):
    (tmp_path / "data" / "happiness").mkdir(parents=True)
    for seed in range(3):
        Image.fromarray(drawn_face(True, seed)).save(tmp_path / "data" / "happiness" / f"{seed}.png")
    data = f"folder:{tmp_path / 'data'}"
    generate(tmp_path / "out", model, "--init", "invert", "--layout", data, "-n", 4)
    assert {line["layout"].rpartition("/")[2] for line in lines(tmp_path / "out")} <= {"0.png", "1.png", "2.png"}
    half = f"half-a:{data}" if len(open_data(f"half-a:{data}")) else f"half-b:{data}"
    generate(tmp_path / "half", model, "--init", "invert", "--layout", half, "-n", 1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--init", "invert"), "--layout go together"),
        (("--guide", "vtff:run"), "guidance needs --run and --guide"),
        (("--caption", "jaw", "--write-captions", "short", "--expression", "fear"), "give one of the two"),
        (("--sweep", "12", "--tries", 3), "draws other people"),
        (("--sweep", "12", "--grid", "12,4"), "one action unit at a time"),
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(model, tmp_path, options, said):
    result = run("generate", "-o", tmp_path / "f", "--model", model, *options)
    assert result.exit_code == 2
    assert said in result.stderr


def test_faces_are_drawn_without_torch(model, tmp_path):
    code = (
        "import sys; sys.modules['torch'] = None; from mien.cli import main;"
        f"sys.argv = ['mien', 'generate', '-o', {str(tmp_path / 'f')!r}, '--model', {str(model)!r}, '-n', '1',"
        " '--expression', 'fear', '--steps', '2', '--write-captions', 'long']; main()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert len(lines(tmp_path / "f")) == 1


def test_guides_steer_and_are_named_with_what_tells_them_apart(tmp_path):
    from tests.methods.synfer.runs import guided_run

    generator, guide = guided_run(tmp_path)
    options = ("--run", generator, "--guide", f"vtff:{guide}", "--guided-share", 1, "-n", 2, "--expression", "fear")
    result = run("generate", "-o", tmp_path / "f", *FAST, *options)
    assert result.exit_code == 0, result.output + str(result.exception)
    (said,) = {json.dumps(line["guidance"]) for line in lines(tmp_path / "f")}
    guidance = json.loads(said)
    assert (guidance["mode"], guidance["share"]) == ("tokens", 1.0)
    assert guidance["guides"]["expression"]["half"] == "half-a"
    assert guidance["guides"]["expression"]["method"] == "vtff"
    # The run is another generator than the one that comes with mien, whose card says nothing of it.
    assert "| model | generator |" in (tmp_path / "f" / "card.md").read_text()


def test_a_run_of_the_full_size_draws_what_is_asked_for_in_any_words(tmp_path):
    pytest.importorskip("diffusers")
    pytest.importorskip("peft")
    from tests.methods.synfer.runs import guided_run
    from tests.methods.synfer.tiny import SIDE, write_checkpoint, write_pairs

    write_pairs(tmp_path / "faces", 4, expression="happy")
    options = ("--epochs", 1, "--text-epochs", 1, "--batch-size", 4, "--precision", "32-true")
    trained = run(
        "train", "synfer-full", "--data", f"captions:{tmp_path / 'faces'}", "-o", tmp_path / "run",
        "--checkpoint", write_checkpoint(tmp_path / "checkpoint"), *options,
    )  # fmt: skip
    assert trained.exit_code == 0, trained.output + str(trained.exception)
    asked = ("--expression", "fear", "--au", "5=0.9", "--caption", "a zebra of a face", "-n", 3)
    _, guide = guided_run(tmp_path)
    ways = {
        "plain": (),
        "kept": ("--init", "invert", "--layout", tmp_path / "faces" / "1.png"),
        "guided": ("--guide", f"vtff:{guide}"),
    }
    for name, way in ways.items():
        generate(tmp_path / name, tmp_path / "run", *asked, *way)
    said, guided = lines(tmp_path / "plain")[0], lines(tmp_path / "guided")[0]["guidance"]
    assert (said["caption"], said["steps"], said["text_scale"]) == ("a zebra of a face", 4, 7.5)
    assert picture(tmp_path / "plain", 2).shape == (SIDE, SIDE, 3)
    assert not np.array_equal(picture(tmp_path / "plain", 0), picture(tmp_path / "kept", 0))
    assert guided["guides"]["expression"]["method"] == "vtff"
