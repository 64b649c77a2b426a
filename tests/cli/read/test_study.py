import pytest
from click.testing import CliRunner
from PIL import Image

from mien.batch.table import read_table
from mien.cli import commands
from tests.helpers import drawn_face

pytest.importorskip("pyarrow")


def run(*arguments, code=0):
    result = CliRunner().invoke(commands, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result.output


@pytest.fixture
def faces(tmp_path):
    folder = tmp_path / "study"
    folder.mkdir()
    for n in range(3):
        Image.fromarray(drawn_face(n % 2 == 0, seed=n)).save(folder / f"{n}.png")
    return folder


def test_a_study_goes_into_a_folder_and_from_there_into_one_file(faces, tmp_path):
    told = run("analyze", "--assume-crop", faces, "-o", tmp_path / "out")
    assert "3 inputs: 3 ok" in told
    assert f"wrote {tmp_path / 'out'} (3 parts)" in told
    run("merge", tmp_path / "out", "-o", tmp_path / "faces.csv")
    assert read_table(tmp_path / "faces.csv").equals(read_table(tmp_path / "out"))
    # Nothing is left to do, and other options are another study.
    assert "3 inputs: 3 ok" in run("analyze", "--assume-crop", faces, "-o", tmp_path / "out")
    assert "assume_crop was True, now False" in run("analyze", faces, "-o", tmp_path / "out", code=2)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("-o", "out", "-o", "faces.csv"), "a folder stands alone"),
        (("-o", "out", "--jobs", "2"), "into a folder say --workers"),
        (("-o", "out", "--safe-csv"), "is for .csv"),
        (("-o", "faces.csv", "--workers", "2"), "is for a folder"),
        (("-o", "faces.csv", "--part-size", "2"), "is for a folder"),
        (("-o", "faces.csv", "--resume"), "into a folder (-o out/) are gone on with"),
    ],
)
def test_options_that_a_folder_or_a_file_cannot_have_are_refused(faces, tmp_path, monkeypatch, arguments, told):
    monkeypatch.chdir(tmp_path)
    assert told in " ".join(run("analyze", faces, *arguments, code=2).replace("│", " ").split())


def test_what_is_no_study_is_not_merged(faces, tmp_path):
    assert "_manifest.json" in run("merge", faces, "-o", tmp_path / "faces.csv", code=2)
