import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pyarrow.parquet
import pytest
from click.testing import CliRunner
from PIL import Image
from rich.console import Console

from mien.cli import commands
from mien.cli.read.analyze import summary
from mien.core.batch import analyze_many
from mien.core.images import read_image
from mien.core.zoo import load
from mien.errors import InputError, ModelError
from mien.facs.vocabulary import Expression
from mien.report import records
from mien.results.face import ImageReport
from mien.results.outcome import Outcome
from tests.helpers import ASTRONAUT, encoded, full_report, noise, scores, units


@pytest.fixture
def folder(tmp_path):
    """A photo, a picture without people, a broken file and a note, in a folder with a folder."""
    study = tmp_path / "study"
    (study / "day two").mkdir(parents=True)
    Image.open(ASTRONAUT).convert("RGB").resize((256, 256)).save(study / "a.jpg")
    (study / "b.png").write_bytes(encoded(noise(64, 64, 3)))
    (study / "day two" / "c.jpg").write_bytes(b"no picture at all")
    (study / "notes.txt").write_text("not a picture")
    return study


def run(*arguments):
    return CliRunner().invoke(commands, ["analyze", *map(str, arguments)])


def test_a_pipe_gets_one_json_line_a_picture():
    result = run(ASTRONAUT)
    (line,) = result.stdout.splitlines()
    answer = json.loads(line)
    assert result.exit_code == 0
    assert (answer["input"], answer["status"], len(answer["faces"])) == (str(ASTRONAUT), "ok", 1)


def test_a_folder_is_read_with_all_below_it_and_a_broken_file_does_not_stop_it(folder):
    result = run(folder)
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [answer["status"] for answer in answers] == ["ok", "no_face", "unreadable"]
    assert "not a picture" in answers[2]["error"]
    assert result.exit_code == 1


def test_a_pattern_names_its_matches_in_order(folder):
    result = run(folder / "*.*")
    assert [json.loads(line)["input"][-5:] for line in result.stdout.splitlines()] == ["a.jpg", "b.png", "s.txt"]


@pytest.mark.parametrize(("name", "status"), [("gone.jpg", "missing"), ("*.tiff", "missing"), ("empty", "no_pictures")])
def test_an_argument_that_names_no_picture_is_a_failed_row(tmp_path, name, status):
    (tmp_path / "empty").mkdir()
    result = run(tmp_path / name, ASTRONAUT)
    assert [json.loads(line)["status"] for line in result.stdout.splitlines()] == [status, "ok"]
    assert result.exit_code == 1


@pytest.mark.parametrize("ending", [".csv", ".json", ".jsonl", ".parquet", ".html"])
def test_a_file_is_written_as_its_ending_says_even_when_an_input_failed(folder, tmp_path, ending):
    output = tmp_path / f"faces{ending}"
    result = run(folder, "-o", output)
    assert result.exit_code == 1
    assert output.stat().st_size > 200
    assert result.stderr.rstrip().endswith(f"wrote {output}")


@pytest.mark.parametrize("ending", [".png", ".jpg"])
def test_an_annotated_picture_has_the_size_of_its_input(tmp_path, ending):
    output = tmp_path / f"faces{ending}"
    assert run(ASTRONAUT, "-o", output).exit_code == 0
    with Image.open(output) as drawn, Image.open(ASTRONAUT) as photo:
        assert drawn.size == photo.size


def test_a_picture_that_fails_leaves_no_annotated_picture(tmp_path):
    broken, output = tmp_path / "broken.jpg", tmp_path / "faces.png"
    broken.write_bytes(b"")
    assert run(broken, "-o", output).exit_code == 1
    assert not output.exists()


def test_several_outputs_come_from_one_reading(tmp_path):
    outputs = [tmp_path / "faces.csv", tmp_path / "faces.json"]
    assert run(ASTRONAUT, "-o", outputs[0], "-o", outputs[1]).exit_code == 0
    assert all(output.is_file() for output in outputs)


def test_two_runs_over_the_same_folder_give_byte_identical_parquet(folder, tmp_path):
    for name in ("one", "two"):
        run(folder, "-o", tmp_path / f"{name}.parquet")
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    rows = pyarrow.parquet.read_table(tmp_path / "one.parquet").to_pylist()
    assert [row["status"] for row in rows] == ["ok", "no_face", "unreadable"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-o", "faces.xls"], ".parquet"),
        (["-o", "nowhere/faces.csv"], "does not exist"),
        (["second.jpg", "-o", "faces.png"], "use .html"),
        (["--model", "no-such-model"], "reader"),
        (["--model", "gone.onnx"], "there is no such file"),
        (["--threshold", "3"], "between 0 and 1"),
        (["--threads", "0"], "1 or more"),
        (["--bogus"], "No such option"),
        (["--columns", "excel", "-o", "faces.csv"], "'mien', 'openface'"),
        (["--columns", "openface", "-o", "faces.json"], "openface columns are for .csv and .parquet, not .json"),
        (["--columns", "openface", "-o", "faces.csv", "-o", "faces.jsonl"], "not .jsonl"),
        (["--columns", "openface", "-o", "faces.html"], "-o with .csv or .parquet"),
        (["--columns", "openface"], "-o with .csv or .parquet"),
    ],
)
def test_wrong_usage_is_said_before_anything_is_read_and_ends_with_2(arguments, said):
    result = run(ASTRONAUT, *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""


def test_no_input_is_wrong_usage():
    assert run().exit_code == 2


def test_assume_crop_takes_a_small_picture_as_one_face(tmp_path):
    crop = tmp_path / "crop.png"
    crop.write_bytes(encoded(noise(48, 48)))
    (face,) = json.loads(run(crop, "--assume-crop").stdout)["faces"]
    assert face["box"] == [0, 0, 48, 48]
    assert face["points"] is None


def test_a_model_file_of_ones_own_reads_the_faces(tmp_path):
    own = tmp_path / "own.onnx"
    own.write_bytes(load("reader"))
    answer = json.loads(run(ASTRONAUT, "--model", own).stdout)
    assert answer["model"] == str(own)
    assert answer["faces"] == json.loads(run(ASTRONAUT).stdout)["faces"]


@pytest.mark.parametrize("content", [ASTRONAUT.read_bytes(), b"no picture"])
def test_file_names_that_are_not_utf8_stay_two_and_do_not_stop_the_batch(folder, tmp_path, content):
    for name in (b"/odd\xfe.jpg", b"/odd\xff.jpg"):
        with open(os.fsencode(folder) + name, "wb") as file:  # noqa: PTH123 - a path of bytes
            file.write(content)
    outputs = [tmp_path / f"faces{ending}" for ending in (".json", ".csv", ".parquet", ".html")]
    assert run(folder, *(word for output in outputs for word in ("-o", output))).exit_code == 1
    assert all(output.is_file() for output in outputs)
    names = [image["input"] for image in json.loads(outputs[0].read_text())["images"]]
    assert [name[-11:] for name in names if "odd" in name] == [r"odd\xfe.jpg", r"odd\xff.jpg"]
    lines = [json.loads(line)["input"] for line in run(folder, tmp_path / "gone\udcff.jpg").stdout.splitlines()]
    assert lines[-1].endswith(r"gone\xff.jpg")


def test_json_lines_are_ascii_so_that_any_pipe_takes_them(tmp_path):
    photo = tmp_path / "при.png"
    shutil.copy(ASTRONAUT, photo)
    line = run(photo).stdout
    assert line.isascii()
    assert json.loads(line)["input"] == str(photo)


def test_an_input_is_never_written_over(tmp_path):
    photo = tmp_path / "photo.png"
    shutil.copy(ASTRONAUT, photo)
    result = run(photo, "-o", tmp_path / "." / "photo.png")
    assert result.exit_code == 2
    assert "would be overwritten" in result.stderr
    assert photo.read_bytes() == ASTRONAUT.read_bytes()


def test_a_name_too_long_for_any_file_is_a_failed_row():
    result = run("x" * 5000 + ".png", ASTRONAUT)
    assert [json.loads(line)["status"] for line in result.stdout.splitlines()] == ["unreadable", "ok"]


def test_a_folder_that_cannot_be_listed_is_a_failed_row(folder, monkeypatch):
    def walk(top, onerror):
        onerror(PermissionError(13, "Permission denied", f"{top}/closed"))
        yield from ()

    monkeypatch.setattr("mien.core.batch.os.walk", walk)
    result = run(folder)
    (line,) = result.stdout.splitlines()
    assert json.loads(line)["error"].endswith("closed: cannot be listed (Permission denied)")
    assert result.exit_code == 1


def test_a_model_that_fails_on_a_face_fails_that_picture_only(folder, monkeypatch):
    def fail(self, faces, others):
        raise ModelError("the model cannot be run")

    monkeypatch.setattr("mien.core.contract.Classifier._run", fail)
    statuses = [json.loads(line)["status"] for line in run(folder).stdout.splitlines()]
    assert statuses == ["model_error", "no_face", "unreadable"]


def test_stopping_a_batch_keeps_what_was_read(folder, tmp_path, monkeypatch):
    def stop(path):
        if str(path).endswith("b.png"):
            raise KeyboardInterrupt
        return read_image(path)

    monkeypatch.setattr("mien.core.batch.read_image", stop)
    (tmp_path / "faces.json").write_text("of a whole run")
    result = run(folder, "-o", tmp_path / "faces.json")
    assert result.exit_code == 1
    assert "stopped after 1 of 3" in result.stderr
    assert f"wrote {tmp_path / 'faces.part.json'}" in result.stderr
    assert len(json.loads((tmp_path / "faces.part.json").read_text())["images"]) == 1
    assert (tmp_path / "faces.json").read_text() == "of a whole run"


def test_a_run_that_is_killed_leaves_whole_rows_beside(folder, tmp_path, monkeypatch):
    left = {}

    def look(image):
        if len(left) < 2:
            left[len(left)] = {place.name: place.read_text() for place in tmp_path.glob("faces*")}
        return image

    monkeypatch.setattr("mien.report.embed.reduced", look)
    monkeypatch.setattr("mien.cli.shared.outcomes.reduced", look)
    outputs = [tmp_path / f"faces{ending}" for ending in (".csv", ".json", ".jsonl", ".parquet", ".html")]
    run(folder, *(word for output in outputs for word in ("-o", output)))
    assert set(left[1]) == {
        "faces.part.csv", "faces.part.json", "faces.part.jsonl", "faces.parquet.part.jsonl", "faces.html.part.jsonl",
    }  # fmt: skip
    assert len(left[1]["faces.part.csv"].splitlines()) == 2
    assert len(json.loads(left[1]["faces.part.json"])["images"]) == 1
    for name in ("faces.part.jsonl", "faces.parquet.part.jsonl", "faces.html.part.jsonl"):
        assert [json.loads(line)["status"] for line in left[1][name].splitlines()] == ["ok"]
    assert sorted(place.name for place in tmp_path.glob("*faces*")) == sorted(output.name for output in outputs)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_sigterm_stops_a_run_as_ctrl_c_does(folder, tmp_path):
    shutil.copy(ASTRONAUT, folder / "day two" / "wait.jpg")
    code = (
        "import mien.core.batch as batch, time; read = batch.read_image\n"
        "batch.read_image = lambda path: time.sleep(600) if str(path).endswith('wait.jpg') else read(path)\n"
        "from mien.cli import main; main()"
    )
    command = [sys.executable, "-c", code, "analyze", str(folder), "-o", str(tmp_path / "faces.csv")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not (part := tmp_path / "faces.part.csv").is_file() or len(part.read_text().splitlines()) < 4:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        said = process.stderr.read()
    assert "stopped after 3 of 4 inputs" in said
    assert f"wrote {part}" in said
    assert process.returncode == 1
    assert len(part.read_text().splitlines()) == 4


def test_controls_in_a_name_reach_no_terminal(folder, tmp_path):
    (folder / "a\x1b[31m\u202egpj.jpg").write_bytes(b"no picture")
    result = run(folder / "a\x1b[31m\u202egpj.jpg", "-o", tmp_path / "\x1b[2Jfaces.html")
    assert result.exit_code == 1
    shown = result.stdout + result.stderr + (tmp_path / "\x1b[2Jfaces.html").read_text()
    assert not {"\x1b", "\u202e"} & set(shown)
    wrong = run(ASTRONAUT, "-o", "\x1b[2J.xls")
    assert "\x1b" not in wrong.stderr


def test_beside_files_a_long_table_becomes_a_line(tmp_path, monkeypatch):
    monkeypatch.setattr("mien.cli.shared.outcomes.SHOWN", 2)
    for n in range(4):
        (tmp_path / f"{n}.png").write_bytes(encoded(noise(8, 8, 3)) if n else b"")
    result = run(tmp_path, "-o", tmp_path / "faces.csv")
    assert "4 pictures: 3 no_face, 1 unreadable" in result.stderr
    assert result.stderr.rstrip().endswith(f"wrote {tmp_path / 'faces.csv'}")


def test_a_page_of_many_pictures_shows_large_ones_reduced_with_boxes_in_place(tmp_path):
    for name in ("a.png", "b.png"):
        Image.open(ASTRONAUT).convert("RGB").resize((2600, 2600)).save(tmp_path / name)
    assert run(tmp_path, "-o", tmp_path / "faces.html").exit_code == 0
    source = (tmp_path / "faces.html").read_text()
    assert source.count('viewBox="0 0 2600 2600"') == 2
    assert source.count("data:image/jpeg;base64,") == 6  # each picture, in the index too, and each face
    assert 'width="1280" height="1280"' in source


def test_an_output_that_cannot_be_written_does_not_cost_the_others(tmp_path, monkeypatch):
    def full(self, records):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(records.CsvFile, "_encode", full)
    result = run(ASTRONAUT, "-o", tmp_path / "faces.csv", "-o", tmp_path / "faces.json")
    assert result.exit_code == 1
    assert "cannot be written (No space left on device)" in result.stderr
    assert (tmp_path / "faces.json").is_file()


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_tables_have_openfaces_columns_on_request(folder, tmp_path, ending):
    output = tmp_path / f"faces{ending}"
    assert run(folder, "-o", output, "-o", tmp_path / "faces.html", "--columns", "openface").exit_code == 1
    if ending == ".csv":
        assert output.read_text().startswith("input,frame,face_id,timestamp,confidence,success,pose_Rx,")
        assert len(output.read_text().splitlines()) == 4
    else:
        assert [row["success"] for row in pyarrow.parquet.read_table(output).to_pylist()] == [1, 0, 0]


def printed(outcomes):
    text = io.StringIO()
    Console(file=text, width=80).print(summary(outcomes))
    return text.getvalue()


def test_a_terminal_gets_a_table_within_80_columns(tmp_path):
    long = tmp_path / ("a long name of a photograph that nobody wants to read in full " * 2 + ".png")
    shutil.copy(ASTRONAUT, long)
    table = printed(list(analyze_many([long, tmp_path / "gone.png"])))
    assert max(map(len, table.splitlines())) <= 80
    assert "missing" in table


def test_names_that_look_like_markup_are_printed_as_they_are():
    table = printed([Outcome("[red]x.png", error=InputError("[bold]cause[/bold]"))])
    assert "[red]x.png" in table
    assert "[bold]cause[/bold]" in table


def test_a_table_of_many_pictures_reduces_none(folder, tmp_path, monkeypatch):
    def never(image):
        raise AssertionError("nothing shows the pictures")

    monkeypatch.setattr("mien.cli.shared.outcomes.reduced", never)
    assert run(folder, "-o", tmp_path / "faces.csv").exit_code == 1  # for the broken file alone
    assert (tmp_path / "faces.csv").is_file()


def test_the_table_says_why_when_a_reader_does():
    happy, bare = full_report(), full_report(action_units=None)
    told = printed([Outcome("a.png", ImageReport((512, 512), (happy, bare), "reader"))])
    assert told.splitlines()[0].split()[-1] == "why"
    assert told.splitlines()[1].endswith("AU12 AU6 AU25")
    assert "AU" not in told.splitlines()[2]
    assert "why" not in printed([Outcome("a.png", ImageReport((512, 512), (bare,), "reader"))])


def test_the_longest_line_of_a_table_with_reasons_fits_80_columns():
    surest = full_report(
        expression=scores({Expression.HAPPINESS: 0.51, Expression.NEUTRAL: 0.49}),
        action_units=units({12: 0.5, 10: 0.9, 25: 0.8}),
    )
    name = "a/very/long/path/of/many/folders/to/some/photograph.png"
    table = printed([Outcome(name, ImageReport((512, 512), (surest,) * 12, "reader"))])
    assert max(map(len, table.splitlines())) <= 80
    assert len(table.splitlines()) == 13, "a line a face"
    assert "photograph.png" in table
    assert "AU12 AU10 AU25" in table


def test_a_picture_on_standard_input_is_read():
    done = subprocess.run(
        [sys.executable, "-m", "mien", "analyze", "-"], input=ASTRONAUT.read_bytes(), capture_output=True, check=True
    )
    assert len(json.loads(done.stdout)["faces"]) == 1


def test_of_several_pictures_in_a_file_a_line_on_standard_error_tells(tmp_path):
    path = tmp_path / "pages.tiff"
    page = Image.open(ASTRONAUT).convert("RGB")
    page.save(path, save_all=True, append_images=[page])
    done = subprocess.run([sys.executable, "-m", "mien", "analyze", path], capture_output=True, text=True, check=True)
    assert done.stderr == f"mien: {path}: holds several pictures; the first was read\n"
