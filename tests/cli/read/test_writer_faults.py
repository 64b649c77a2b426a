"""A writer that raises in the middle of a run, whatever it raises: the other files are written, and its own is kept."""

import csv
import json

import pytest
from click.testing import CliRunner
from PIL import Image

from mien.cli import commands
from mien.cli.read import clip_files
from mien.report import outputs, records
from mien.report.html import PageWriter
from tests.helpers import noise
from tests.video.clips import blank, write_clip

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


@pytest.mark.parametrize("error", FAULTS, ids=repr)
@pytest.mark.parametrize("ending", KINDS)
def test_a_table_of_a_clip_that_fails_midway_keeps_whole_frames_and_says_so(tmp_path, monkeypatch, ending, error):
    if ending == ".parquet":
        pytest.importorskip("pyarrow")
    clip = write_clip(tmp_path / "blank.avi", [blank(90, (64, 64))] * 4)
    kind = getattr(clip_files, KINDS[ending].__name__)
    monkeypatch.setattr(kind, "append", failing(kind.append, error, 2))
    result = analyze(clip, "-o", tmp_path / f"bad{ending}")
    assert result.exit_code == 1
    assert f"cannot continue to write ({getattr(error, 'strerror', None) or error})" in _words(result)
    assert not (tmp_path / f"bad{ending}").exists()
    (part,) = tmp_path.glob("bad*part*")
    if ending == ".parquet":
        assert [row["frame"] for row in pytest.importorskip("pyarrow.parquet").read_table(part).to_pylist()] == [0, 1]
    else:
        assert len(left(part)) == 2


def _words(result):
    return " ".join(result.output.split())
