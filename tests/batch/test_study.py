import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mien
from mien.batch.crew import CrewError
from mien.batch.plan import UNFINISHED, part_files
from mien.batch.reading import ReadingOptions
from mien.batch.study import Study
from mien.batch.table import merge, read_table
from mien.core.batch import find_pictures
from mien.errors import InputError, InputWarning
from tests.helpers import drawn_face, running
from tests.video.clips import scene, write_clip

pytest.importorskip("pyarrow")
# Each picture is one face, so that reading takes no detector.
CROPS = ReadingOptions(options={"assume_crop": True})


def draw(folder, count):
    folder.mkdir()
    for n in range(count):
        Image.fromarray(drawn_face(n % 2 == 0, seed=n)).save(folder / f"{n:03}.png")
    return folder


def study(inputs, out, reading=CROPS, **options):
    return Study(find_pictures([str(path) for path in inputs]), out, reading, **options)


def read(inputs, out, reading=CROPS, **options):
    made = study(inputs, out, reading, **options)
    assert sum(made.run()) == len(made.plan.inputs)
    return read_table(out)


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Nine faces, and among them a file that is no picture."""
    folder = draw(tmp_path_factory.mktemp("faces") / "study", 9)
    (folder / "004b.png").write_bytes(b"no picture")
    return folder


def test_a_folder_holds_the_rows_of_the_inputs_in_their_order(faces, tmp_path):
    table = read([faces, "missing.jpg"], tmp_path / "out", workers=2, size=3)
    assert [file.name for file in part_files(tmp_path / "out")] == [f"part-{n:06}.parquet" for n in range(4)]
    outcomes = list(mien.analyze_many([faces, "missing.jpg"], assume_crop=True))
    mien.write_table(outcomes, tmp_path / "one.parquet")
    assert table.equals(read_table(tmp_path / "one.parquet"))
    assert [row["status"] for row in table.to_pylist()].count("unreadable") == 1


def test_a_finished_part_is_never_touched_again(faces, tmp_path):
    before = read([faces], tmp_path / "out", size=4)
    written = [(file.stat().st_mtime_ns, file.stat().st_ino) for file in part_files(tmp_path / "out")]
    again = study([faces], tmp_path / "out")
    assert list(again.run()) == [10]
    assert [(file.stat().st_mtime_ns, file.stat().st_ino) for file in part_files(tmp_path / "out")] == written
    assert again.statuses() == {"ok": 9, "unreadable": 1}
    assert read_table(tmp_path / "out").equals(before)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"options": {"assume_crop": True, "prior": "uniform"}}, "prior was None, now uniform"),
        ({"options": {"assume_crop": True, "model": "vtff"}}, "model was reader, now vtff"),
        ({"options": {"assume_crop": True}, "columns": "openface"}, "columns was mien, now openface"),
    ],
)
def test_other_options_are_refused_by_name(faces, tmp_path, change, told):
    study([faces], tmp_path / "out").plan.save(_made(tmp_path / "out"))
    with pytest.raises(InputError, match=told):
        study([faces], tmp_path / "out", ReadingOptions(**change))


def test_other_inputs_are_refused_by_name(tmp_path):
    folder = draw(tmp_path / "study", 3)
    study([folder], tmp_path / "out").plan.save(_made(tmp_path / "out"))
    (folder / "001.png").write_bytes(b"shorter")
    (folder / "002.png").rename(folder / "003.png")
    with pytest.raises(InputError) as error:
        study([folder], tmp_path / "out")
    assert f"{folder / '003.png'} is new" in str(error.value)
    assert f"{folder / '002.png'} is no longer among the inputs" in str(error.value)
    assert f"{folder / '001.png'} is changed since" in str(error.value)


def test_the_same_inputs_in_another_order_are_another_study(faces, tmp_path):
    pair = [faces / "000.png", faces / "001.png"]
    study(pair, tmp_path / "out").plan.save(_made(tmp_path / "out"))
    study(pair, tmp_path / "out")
    with pytest.raises(InputError, match="another order"):
        study(pair[::-1], tmp_path / "out")


def test_a_folder_with_other_files_is_left_alone(faces, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="other files"):
        study([faces], tmp_path)


def test_an_unfinished_folder_is_read_with_a_warning_and_merged_on_request_alone(faces, tmp_path):
    whole = read([faces], tmp_path / "out", size=4)
    part_files(tmp_path / "out")[-1].unlink()
    with pytest.warns(InputWarning, match="1 of 3 parts are missing"):
        table = read_table(tmp_path / "out")
    assert table.equals(whole.slice(0, len(table)))
    with pytest.raises(InputError, match="only 2 of 3 parts"):
        merge(tmp_path / "out", tmp_path / "faces.csv")
    merge(tmp_path / "out", tmp_path / "faces.csv", partial=True)
    merge(tmp_path / "out", tmp_path / "faces.parquet", partial=True)
    assert read_table(tmp_path / "faces.parquet").equals(table)
    assert read_table(tmp_path / "faces.csv").equals(table)


def test_a_folder_without_a_study_is_no_table(tmp_path):
    with pytest.raises(InputError, match=r"_manifest\.json"):
        read_table(tmp_path)


# A run whose workers die: each reads with a detector that ends its process at one picture, or a few times.
DYING = """
import os, sys
from pathlib import Path
import mien.core.pipeline as pipeline
real = pipeline.read_image
def read_image(source, *rest):
    mark = Path({mark!r})
    if str(source).endswith({name!r}) and len(mark.read_text()) < {times}:
        mark.write_text(mark.read_text() + "x")
        os.kill(os.getpid(), 11)
    return real(source, *rest)
import mien.core.batch
mien.core.batch.read_image = read_image
"""


@pytest.fixture
def dying(tmp_path, monkeypatch):
    """Make every new Python process end when it reads a picture of that name, so many times."""

    def arrange(name, times):
        (tmp_path / "mark").write_text("")
        place = tmp_path / "site"
        place.mkdir()
        (place / "sitecustomize.py").write_text(DYING.format(mark=str(tmp_path / "mark"), name=name, times=times))
        monkeypatch.setenv("PYTHONPATH", f"{place}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")

    return arrange


def test_a_worker_that_dies_once_costs_nothing(faces, tmp_path, dying):
    whole = read([faces], tmp_path / "whole", size=5)
    dying("003.png", 1)
    assert read([faces], tmp_path / "out", size=5).equals(whole)


def test_a_picture_that_ends_its_process_twice_is_a_row(faces, tmp_path, dying):
    whole = read([faces], tmp_path / "whole", size=5).to_pylist()
    dying("003.png", 99)
    table = read([faces], tmp_path / "out", size=5).to_pylist()
    assert [row["status"] for row in table] == ["ok"] * 3 + ["crashed"] + ["ok"] + ["unreadable"] + ["ok"] * 4
    assert "SIGSEGV" in table[3]["error"]
    del table[3], whole[3]
    assert table == whole


def test_a_process_that_cannot_begin_ends_the_run_with_its_reason(faces, tmp_path, monkeypatch):
    made = study([faces], tmp_path / "out")
    monkeypatch.setattr("mien.batch.crew.command", running("import os; os._exit(7)"))
    with pytest.raises(CrewError, match="exit code 7"):
        list(made.run())


COMMAND = [sys.executable, "-m", "mien", "analyze", "--assume-crop", "--part-size", "6"]


def test_a_study_that_is_killed_again_and_again_ends_as_an_unbroken_one(tmp_path):
    folder, out = draw(tmp_path / "study", 40), tmp_path / "out"
    whole = read([folder], tmp_path / "whole", size=6)
    chance = random.Random(0)
    for _ in range(5):
        process = subprocess.Popen([*COMMAND, str(folder), "-o", str(out), "--workers", "2"], stderr=subprocess.PIPE)
        seen = set(part_files(out))
        until, wanted = time.monotonic() + 60, chance.randint(0, 1)
        while process.poll() is None and time.monotonic() < until and len(set(part_files(out)) - seen) < wanted:
            time.sleep(0.01)
        time.sleep(chance.random() / 2)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        untouched = {file: file.stat().st_mtime_ns for file in part_files(out)}
    done = subprocess.run([*COMMAND, str(folder), "-o", str(out)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "40 inputs: " in done.stderr
    assert {file: file.stat().st_mtime_ns for file in untouched} == untouched
    assert read_table(out).equals(whole)
    assert [left.name for left in (out / UNFINISHED).iterdir()] == [".lock"]


def test_a_clip_goes_on_behind_the_frame_that_a_killed_run_wrote(tmp_path):
    folder = draw(tmp_path / "study", 3)
    clip = write_clip(folder / "001b.avi", [scene([(150 + 3 * n, 180, 160)]) for n in range(16)], 12)
    reading = ReadingOptions()
    inputs = [folder / "000.png", clip, folder / "002.png"]
    whole = read(inputs, tmp_path / "whole", reading)
    made = study(inputs, tmp_path / "out", reading)
    steps = made.run()
    next(steps)
    left = tmp_path / "out" / UNFINISHED / "part-000001.parquet.part.jsonl"
    until = time.monotonic() + 60
    next(steps)  # the picture before the clip is done
    while time.monotonic() < until and (not left.exists() or left.read_bytes().count(b"\n") < 3):
        time.sleep(0.01)
    steps.close()
    before = left.read_bytes().count(b"\n") if left.exists() else 16
    assert before >= 3
    assert read(inputs, tmp_path / "out", reading).equals(whole)
    frames = [row["frame"] for row in read_table(tmp_path / "out").to_pylist()]
    assert frames == [None, *range(16), None]


def test_two_runs_do_not_write_into_one_folder(faces, tmp_path, monkeypatch):
    monkeypatch.setattr("mien.batch.study._PATIENCE", 0.1)
    first, second = (study([faces], tmp_path / "out") for _ in range(2))
    steps = first.run()
    next(steps)
    with pytest.raises(InputError, match="another run"):
        list(second.run())
    list(steps)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 300 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_ends_with_a_sentence_and_readable_parts(tmp_path, small_disk):
    folder, out = draw(tmp_path / "study", 60), small_disk / "out"
    whole = read([folder], tmp_path / "whole", size=4)
    command = [*COMMAND, str(folder), "-o", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    parts = part_files(out)
    assert 0 < len(parts) < 10
    assert f"{len(parts)} parts are finished" in done.stderr
    with pytest.warns(InputWarning):
        table = read_table(out)
    assert table.equals(whole.slice(0, len(table)))


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_what_a_study_depends_on_stands_in_the_manifest(faces, tmp_path):
    made = study([faces], tmp_path / "out")
    made.plan.save(_made(tmp_path / "out"))
    manifest = json.loads((tmp_path / "out" / "_manifest.json").read_text())
    assert manifest["mien"] == mien.__version__
    assert len(manifest["model_sha256"]) == 64
    assert manifest["inputs"] == 10
    assert np.isin(["assume_crop", "fps", "smooth", "columns"], list(manifest)).all()
