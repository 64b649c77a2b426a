import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from mien.cli import commands
from tests.helpers import ASTRONAUT
from tests.video.clips import blank, scene, write_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Two seconds, 12 frames a second: one face that walks, alone and then with a second one."""
    places = [[(150 + 3 * n, 180, 160)] + [(480 - 2 * n, 170, 150)] * (n >= 8) for n in range(24)]
    return write_clip(tmp_path_factory.mktemp("clip") / "walk.avi", [scene(p) for p in places], 12)


def run(*arguments, code=0):
    result = CliRunner().invoke(commands, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_clip_gives_a_row_for_each_face_of_each_frame_in_the_order_of_tracks(clip, tmp_path):
    run("analyze", clip, "-o", tmp_path / "faces.csv")
    table = rows(tmp_path / "faces.csv")
    assert list(table[0])[:7] == ["input", "face", "status", "error", "frame", "timestamp", "track"]
    places = [(int(row["frame"]), int(row["track"])) for row in table]
    assert places == sorted(set(places))
    assert {track for _, track in places} == {0, 1}
    assert {frame for frame, _ in places} == set(range(24))
    assert [float(row["timestamp"]) for row in table] == pytest.approx([int(r["frame"]) / 12 for r in table], abs=1e-3)
    assert {row["expression"] for row in table} == {"happiness"}


def test_every_kind_of_table_holds_the_same_rows(clip, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    outputs = [tmp_path / f"faces.{ending}" for ending in ("csv", "parquet", "jsonl", "json")]
    run("analyze", clip, "--end", 1, *(word for output in outputs for word in ("-o", output)))
    table = parquet.read_table(outputs[1])
    facts = table.schema.metadata
    assert table.schema.field("frame").type == "int32"
    assert table.schema.field("AU12").type == "double"
    assert b"seconds from the first frame" in facts[b"units"]
    assert b"end=1.0" in facts[b"settings"]
    assert facts[b"smoothing"] == b"none"
    lines = [json.loads(line) for line in outputs[2].read_text().splitlines()]
    assert json.loads(outputs[3].read_text())["images"] == lines
    from_json = [
        (line["frame"], face["track"], face["action_units"]["AU12"]) for line in lines for face in line["faces"]
    ]
    from_csv = [(int(row["frame"]), int(row["track"]), float(row["AU12"])) for row in rows(outputs[0])]
    from_parquet = [(row["frame"], row["track"], row["AU12"]) for row in table.to_pylist()]
    assert from_json == from_csv == from_parquet


def test_openface_columns_count_frames_from_1_and_faces_by_track(clip, tmp_path):
    run("analyze", clip, "--end", 0.5, "-o", tmp_path / "of.csv", "--columns", "openface")
    table = rows(tmp_path / "of.csv")
    assert [row["frame"] for row in table] == ["1", "2", "3", "4", "5", "6"]
    assert {(row["face_id"], row["success"]) for row in table} == {("0", "1")}


def test_a_folder_of_clips_and_photographs_goes_into_one_table(clip, tmp_path):
    study = tmp_path / "study"
    study.mkdir()
    (study / "a.avi").write_bytes(clip.read_bytes())
    Image.open(ASTRONAUT).save(study / "b.png")
    write_clip(study / "c.avi", [blank()] * 2)
    (study / "d.mp4").write_text("no clip")
    run("analyze", study, "--every", 8, "-o", tmp_path / "faces.csv", code=1)
    table = [(row["input"][-5:], row["frame"], row["status"]) for row in rows(tmp_path / "faces.csv")]
    assert ("b.png", "", "ok") in table
    assert ("c.avi", "0", "no_face") in table
    assert ("d.mp4", "", "unreadable") in table
    assert {frame for name, frame, _ in table if name == "a.avi"} == {"0", "8", "16"}


def test_a_prior_is_of_clips_too(clip, tmp_path):
    run("analyze", clip, "--end", 0.2, "-o", tmp_path / "plain.csv")
    run("analyze", clip, "--end", 0.2, "-o", tmp_path / "even.csv", "--prior", "uniform")
    plain, even = ([float(row["neutral"]) for row in rows(tmp_path / f"{name}.csv")] for name in ("plain", "even"))
    assert plain != even


def test_a_broken_clip_keeps_its_frames_and_ends_with_a_row_that_says_so(clip, tmp_path):
    data = clip.read_bytes()
    (tmp_path / "broken.avi").write_bytes(data[: len(data) // 2])
    run("analyze", tmp_path / "broken.avi", "-o", tmp_path / "faces.csv", code=1)
    table = rows(tmp_path / "faces.csv")
    assert table[-1]["status"] == "broken"
    assert "of the 24" in table[-1]["error"]
    assert {row["status"] for row in table[:-1]} == {"ok"}
    assert len(table) > 5


def test_without_a_file_a_clip_is_a_json_line_a_frame_in_a_pipe(clip):
    lines = [json.loads(line) for line in run("analyze", clip, "--every", 12).stdout.splitlines()]
    assert [line["frame"] for line in lines] == [0, 12]
    assert [face["track"] for face in lines[1]["faces"]] == [0, 1]


def test_a_page_shows_every_track_and_asks_nobody_for_anything(clip, tmp_path):
    run("analyze", clip, "-o", tmp_path / "clip.html")
    page = (tmp_path / "clip.html").read_text(encoding="utf-8")
    assert page.count('class="chart"') == 2
    assert "data:image/jpeg;base64," in page
    assert "http://" not in page
    assert "https://" not in page


def test_an_annotated_clip_has_the_times_of_the_clip(clip, tmp_path):
    av = pytest.importorskip("av")
    run("analyze", clip, "-o", tmp_path / "annotated.mp4", "--end", 1)
    with av.open(str(tmp_path / "annotated.mp4")) as container:
        stream = container.streams.video[0]
        times = [float(frame.pts * stream.time_base) for frame in container.decode(stream)]
    assert stream.codec_context.name == "h264"
    assert times == pytest.approx([n / 12 for n in range(12)], abs=5e-4)


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl", "json"])
@pytest.mark.parametrize("smooth", [0, 0.3])
def test_a_run_that_was_stopped_goes_on_with_the_same_rows(clip, tmp_path, monkeypatch, ending, smooth):
    whole, again = tmp_path / f"whole.{ending}", tmp_path / f"again.{ending}"
    options = ("--detect-every", 5, "--smooth", smooth)
    run("analyze", clip, "-o", whole, *options)
    _stop_after(monkeypatch, 13)
    run("analyze", clip, "-o", again, *options, code=1)
    monkeypatch.undo()
    assert not again.exists()
    written = _counted(monkeypatch)
    run("analyze", clip, "-o", again, *options, "--resume")
    assert written == list(range(13, 24))
    assert _comparable(again) == _comparable(whole)
    assert sorted(place.name for place in tmp_path.iterdir()) == [f"again.{ending}", f"whole.{ending}"]


def _stop_after(monkeypatch, count):
    from mien.cli.read.clip_files import Sinks

    plain, left = Sinks.frame, iter(range(count))

    def frame(self, *arguments):
        if next(left, None) is None:
            raise KeyboardInterrupt
        plain(self, *arguments)

    monkeypatch.setattr(Sinks, "frame", frame)


def _counted(monkeypatch):
    """The numbers of the frames that are written from now on."""
    from mien.cli.read.clip_files import Sinks

    plain, numbers = Sinks.frame, []

    def frame(self, name, frame, *arguments):
        numbers.append(frame.number)
        plain(self, name, frame, *arguments)

    monkeypatch.setattr(Sinks, "frame", frame)
    return numbers


def _comparable(path):
    if path.suffix == ".parquet":
        return pytest.importorskip("pyarrow.parquet").read_table(path).to_pylist()
    return path.read_bytes()


@pytest.mark.parametrize(("ending", "part"), [("csv", "faces.part.csv"), ("parquet", "faces.parquet.part.jsonl")])
def test_a_killed_run_leaves_whole_frames_and_goes_on_behind_them(tmp_path, ending, part):
    long = write_clip(tmp_path / "long.avi", [scene([(150 + n, 180, 160)]) for n in range(80)], 25)
    table, whole = tmp_path / f"faces.{ending}", tmp_path / f"whole.{ending}"
    command = [sys.executable, "-m", "mien", "analyze", str(long), "-o", str(table)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and not ((tmp_path / part).exists() and (tmp_path / part).stat().st_size > 30_000):
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    assert not table.exists()
    lines = (tmp_path / part).read_text().splitlines()
    left = rows(tmp_path / part) if ending == "csv" else [json.loads(line) for line in lines]
    assert [int(row["frame"]) for row in left] == list(range(len(left)))
    assert left[-1]["neutral"]
    run("analyze", long, "-o", table, "--resume")
    run("analyze", long, "-o", whole)
    assert _comparable(table) == _comparable(whole)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("-o", "a.mp4", "-o", "b.mp4"), "one page and one annotated clip"),
        (("--fps", "5", "--every", "2"), "give one of them"),
        (("--start", "3", "--end", "2"), "before end"),
        (("-o", "a.png"), "the ending must be one of"),
        (("-o", "a.json", "--columns", "openface"), "openface columns are for .csv and .parquet"),
        (("-o", "a.mp4", "--resume"), "goes on with one table"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_read(clip, tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    assert words in " ".join(run("analyze", clip, *options, code=2).output.split())


def test_options_of_clips_are_refused_when_there_is_none():
    assert "--fps is for clips" in run("analyze", ASTRONAUT, "--fps", 5, code=2).output


def test_smoothing_calms_what_was_read_and_leaves_boxes_alone(clip, tmp_path):
    run("analyze", clip, "-o", tmp_path / "raw.csv")
    run("analyze", clip, "-o", tmp_path / "smooth.csv", "--smooth", 0.5)
    raw, smooth = rows(tmp_path / "raw.csv"), rows(tmp_path / "smooth.csv")
    assert [r["FaceRectX"] for r in raw] == [r["FaceRectX"] for r in smooth]
    steps = [np.abs(np.diff([float(r["AU25"]) for r in t if r["track"] == "0"])).mean() for t in (raw, smooth)]
    assert steps[1] < steps[0] / 2


def test_a_disk_that_fills_up_leaves_the_whole_frames_and_says_so(clip, tmp_path, monkeypatch):
    from mien.report.records import CsvFile

    plain, left = CsvFile.append, iter(range(5))

    def append(self, records):
        if next(left, None) is None:
            raise OSError(28, "No space left on device")
        plain(self, records)

    monkeypatch.setattr(CsvFile, "append", append)
    result = run("analyze", clip, "-o", tmp_path / "faces.csv", code=1)
    assert "No space left on device" in result.output
    assert [row["frame"] for row in rows(tmp_path / "faces.part.csv")] == ["0", "1", "2", "3", "4"]


def test_a_script_that_reads_openface_finds_its_columns(clip, tmp_path):
    pandas = pytest.importorskip("pandas")
    run("analyze", clip, "--end", 0.5, "-o", tmp_path / "of.csv", "--columns", "openface")
    table = pandas.read_csv(tmp_path / "of.csv")
    units = [name for name in table.columns if name.startswith("AU") and name.endswith("_r")]
    assert len(units) == 15
    assert table[table["success"] == 1].set_index(["face_id", "frame"])[units].notna().all(axis=None)
