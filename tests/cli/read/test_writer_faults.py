"""A writer that raises in the middle of a run, whatever it raises: the other files are written, and its own is kept."""

import csv
import json
import subprocess
import sys

import pytest
from click.testing import CliRunner
from PIL import Image

from mien.cli import commands
from mien.cli.read import clip_files
from mien.report import annotated, outputs, records
from mien.report.annotated import AnnotatedClip
from mien.report.html import PageWriter
from mien.report.records import CsvFile
from tests.helpers import noise
from tests.video.clips import write_clip

KINDS = {
    ".csv": records.CsvFile,
    ".json": records.JsonFile,
    ".jsonl": records.JsonLinesFile,
    ".parquet": records.ParquetFile,
}
FAULTS = [OSError(28, "No space left on device"), MemoryError("full"), RuntimeError("of a library")]


def failing(plain, error, after):
    """A method that works so many times, then raises."""
    left = iter(range(after))

    def method(self, *arguments, **options):
        if next(left, None) is None:
            raise error
        return plain(self, *arguments, **options)

    return method


def analyze(*arguments):
    return CliRunner().invoke(commands, ["analyze", *map(str, arguments)])


def left(path):
    """The names of the inputs in a table or a part."""
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            return [row["input"] for row in csv.DictReader(file)]
    if path.suffix == ".json":
        return [each["input"] for each in json.loads(path.read_text())["images"]]
    return [json.loads(line)["input"] for line in path.read_text().splitlines()]


@pytest.fixture
def study(tmp_path):
    """Three pictures without a face."""
    folder = tmp_path / "study"
    folder.mkdir()
    for name in "abc":
        Image.fromarray(noise(8, 8, 3)).save(folder / f"{name}.png")
    return folder


@pytest.mark.parametrize("error", FAULTS, ids=repr)
@pytest.mark.parametrize("ending", KINDS)
def test_a_table_that_fails_midway_keeps_its_rows_and_costs_no_other_file(study, monkeypatch, ending, error):
    kind, other = KINDS[ending], study.parent / ("other.csv" if ending != ".csv" else "other.json")
    if ending == ".parquet":
        pytest.importorskip("pyarrow")
    monkeypatch.setattr(kind, "append", failing(kind.append, error, 2))  # type: ignore[attr-defined]
    bad = study.parent / f"bad{ending}"
    result = analyze(study, "-o", bad, "-o", other)
    assert result.exit_code == 1
    assert f"bad{ending}: cannot be written ({getattr(error, 'strerror', None) or error})" in _words(result)
    assert len(left(other)) == 3
    assert not bad.exists()
    (part,) = study.parent.glob("bad*part*")
    assert [name[-5:] for name in left(part)] == ["a.png", "b.png"]


@pytest.mark.parametrize("error", FAULTS, ids=repr)
@pytest.mark.parametrize("method", ["add", "write"])
def test_a_page_that_fails_leaves_its_reports_as_lines(study, monkeypatch, error, method):
    monkeypatch.setattr(PageWriter, method, failing(getattr(PageWriter, method), error, 2 if method == "add" else 0))
    result = analyze(study, "-o", study.parent / "bad.html", "-o", study.parent / "other.csv")
    assert result.exit_code == 1
    assert "bad.html: cannot be written" in _words(result)
    assert len(left(study.parent / "other.csv")) == 3
    assert not (study.parent / "bad.html").exists()
    (lines,) = study.parent.glob("bad*jsonl")
    assert len(left(lines)) == (2 if method == "add" else 3)


@pytest.mark.parametrize("error", FAULTS, ids=repr)
def test_an_annotated_picture_that_fails_costs_no_table(study, monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(outputs, "draw", fail)
    result = analyze(study / "a.png", "-o", study.parent / "bad.png", "-o", study.parent / "other.csv")
    assert result.exit_code == 1
    assert "bad.png: cannot be written" in _words(result)
    assert len(left(study.parent / "other.csv")) == 1
    assert not (study.parent / "bad.png").exists()


@pytest.fixture
def clip(tmp_path):
    """Four frames of noise without a face."""
    return write_clip(tmp_path / "noise.avi", [noise(64, 64, 3, seed=n) for n in range(4)])


@pytest.mark.parametrize("error", FAULTS, ids=repr)
@pytest.mark.parametrize("ending", KINDS)
def test_a_table_of_a_clip_that_fails_midway_keeps_whole_frames_and_costs_no_other_file(
    clip, tmp_path, monkeypatch, ending, error
):
    if ending == ".parquet":
        pytest.importorskip("pyarrow")
    kind, other = getattr(clip_files, KINDS[ending].__name__), ".csv" if ending != ".csv" else ".json"
    monkeypatch.setattr(kind, "append", failing(kind.append, error, 2))
    result = analyze(clip, "-o", tmp_path / f"bad{ending}", "-o", tmp_path / f"other{other}")
    assert result.exit_code == 1
    assert f"bad{ending}: cannot be written ({_cause(error)}); finished rows are in" in _words(result)
    assert not (tmp_path / f"bad{ending}").exists()
    assert len(left(tmp_path / f"other{other}")) == 4
    (part,) = tmp_path.glob("bad*part*")
    if ending == ".parquet":
        assert [row["frame"] for row in pytest.importorskip("pyarrow.parquet").read_table(part).to_pylist()] == [0, 1]
    else:
        assert len(left(part)) == 2


def test_a_run_ends_when_none_of_its_files_can_be_written(clip, tmp_path, monkeypatch):
    tried = []

    def append(self, records):
        tried.append(records)
        raise FAULTS[0]

    monkeypatch.setattr(CsvFile, "append", append)
    assert analyze(clip, "-o", tmp_path / "bad.csv").exit_code == 1
    assert len(tried) == 1


@pytest.mark.parametrize("error", FAULTS, ids=repr)
@pytest.mark.parametrize("where", ["add", "close"])
def test_an_annotated_clip_that_fails_costs_no_table_and_leaves_no_half_file(clip, tmp_path, monkeypatch, where, error):
    pytest.importorskip("av")
    old = tmp_path / "bad.mp4"
    old.write_bytes(b"an earlier clip")
    monkeypatch.setattr(AnnotatedClip, where, failing(getattr(AnnotatedClip, where), error, 2 if where == "add" else 0))
    result = analyze(clip, "-o", old, "-o", tmp_path / "other.csv")
    assert result.exit_code == 1
    assert _words(result).count(f"bad.mp4: cannot be written ({_cause(error)})") == 1
    assert "Traceback" not in result.output
    assert len(left(tmp_path / "other.csv")) == 4
    assert old.read_bytes() == b"an earlier clip"
    assert sorted(place.name for place in tmp_path.iterdir()) == ["bad.mp4", "noise.avi", "other.csv"]


@pytest.mark.parametrize("raised", ["FFmpegError", "OSError"])
def test_a_codec_that_fails_costs_no_table(clip, tmp_path, monkeypatch, raised):
    av = pytest.importorskip("av")
    error = OSError(28, "No space left on device") if raised == "OSError" else av.error.ExternalError(1, "no codec")

    def fail(*_):
        raise error

    monkeypatch.setattr(annotated, "draw", fail)
    result = analyze(clip, "-o", tmp_path / "bad.mp4", "-o", tmp_path / "other.csv")
    assert result.exit_code == 1
    assert "bad.mp4: cannot be written" in _words(result)
    assert len(left(tmp_path / "other.csv")) == 4
    assert sorted(place.name for place in tmp_path.iterdir()) == ["noise.avi", "other.csv"]


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files")
def test_an_annotated_clip_that_finds_no_room_is_one_sentence(tmp_path):
    pytest.importorskip("av")
    clip = write_clip(tmp_path / "noise.avi", [noise(240, 320, 3, seed=n) for n in range(40)])
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000));"
        "from mien.__main__ import main"
    )
    arguments = ["analyze", str(clip), "-o", str(tmp_path / "bad.mp4"), "-o", str(tmp_path / "other.csv")]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if "mien:" in line] == [
        f"mien: {tmp_path / 'bad.mp4'}: cannot be written (File too large)"
    ]
    assert "Traceback" not in done.stderr
    assert len(left(tmp_path / "other.csv")) == 40
    assert sorted(place.name for place in tmp_path.iterdir()) == ["noise.avi", "other.csv"]


def _cause(error):
    return getattr(error, "strerror", None) or error


def _words(result):
    return " ".join(result.output.split())
