import csv
import json

import pyarrow.parquet
import pytest

from mien.errors import InputError
from mien.facs.vocabulary import Attribute
from mien.report.records import CsvFile, JsonFile, JsonLinesFile, ParquetFile
from mien.report.writers import open_writer, write_table
from mien.results.face import ImageReport
from mien.results.outcome import Outcome
from tests.helpers import full_report

COLUMNS = {"input": str, "face": int, "score": float}
ROWS = [{"input": "a,\n\u2028.png", "face": 0, "score": 0.1}, {"input": "b", "face": None, "score": None}]
ENDINGS = [".csv", ".json", ".jsonl", ".parquet"]
ONE = Outcome("one.jpg", ImageReport((512, 512), (full_report(),), "reader"))
FAILED = Outcome("odd.jpg", error=InputError("odd: the file is empty", "unreadable"))


def opened(path, resume=False):
    """A file of records of each kind."""
    if path.suffix == ".csv":
        return CsvFile(path, COLUMNS, resume=resume)
    if path.suffix == ".json":
        return JsonFile(path, {"mien": "1"}, "rows", resume=resume)
    if path.suffix == ".jsonl":
        return JsonLinesFile(path, resume=resume)
    return ParquetFile(path, COLUMNS, resume=resume)


def read(path):
    """The records of a finished file, or of a part that a stopped run left."""
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            typed = {"input": str, "face": int, "score": float}
            return [{k: typed[k](v) if v else None for k, v in row.items()} for row in csv.DictReader(file)]
    if path.suffix == ".json":
        return json.loads(path.read_text(encoding="utf-8"))["rows"]
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    return pyarrow.parquet.read_table(path).to_pylist()


@pytest.mark.parametrize("ending", ENDINGS)
def test_records_come_back_as_they_were_written(tmp_path, ending):
    with opened(tmp_path / f"t{ending}") as file:
        for row in ROWS:
            file.append([row])
    assert read(tmp_path / f"t{ending}") == ROWS
    assert [place.name for place in tmp_path.iterdir()] == [f"t{ending}"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_without_records_is_whole_too(tmp_path, ending):
    with opened(tmp_path / f"t{ending}"):
        pass
    assert read(tmp_path / f"t{ending}") == []


@pytest.mark.parametrize("ending", ENDINGS)
def test_while_a_run_goes_on_its_part_holds_whole_records(tmp_path, ending):
    file = opened(tmp_path / f"t{ending}")
    for n in range(3):
        assert list(file.records()) == [ROWS[0]] * n
        kind = ".jsonl" if ending == ".parquet" else ending
        assert file.part.suffix == kind
        assert read(file.part) == [ROWS[0]] * n
        file.append([ROWS[0]])
    file.abandon()


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_killed_run_is_gone_on_with_from_its_last_whole_record(tmp_path, ending):
    path = tmp_path / f"t{ending}"
    killed = opened(path)
    killed.append([ROWS[0]])
    if ending != ".json":  # whose part is whole at any time
        with killed.part.open("ab") as part:
            part.write(b"half a rec")
    with opened(path, resume=True) as file:
        assert list(file.records()) == [ROWS[0]]
        file.append([ROWS[1]])
    assert read(path) == ROWS
    with opened(tmp_path / f"whole{ending}") as file:
        file.append([ROWS[0]])
        file.append([ROWS[1]])
    assert path.read_bytes() == (tmp_path / f"whole{ending}").read_bytes()


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_run_killed_before_its_first_record_is_gone_on_with_too(tmp_path, ending):
    opened(tmp_path / f"t{ending}")
    with opened(tmp_path / f"t{ending}", resume=True) as file:
        assert file.resumed
        file.append(ROWS)
    assert read(tmp_path / f"t{ending}") == ROWS


def test_a_part_with_other_columns_is_not_gone_on_with(tmp_path):
    CsvFile(tmp_path / "t.csv", {"other": str}).append([{"other": "x"}])
    with pytest.raises(InputError, match="other columns"):
        CsvFile(tmp_path / "t.csv", COLUMNS, resume=True)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_run_that_fails_keeps_the_earlier_file_and_leaves_its_part(tmp_path, ending):
    path = tmp_path / f"t{ending}"
    path.write_text("earlier")

    def fail():
        with opened(path) as file:
            file.append([ROWS[0]])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "earlier"
    assert read(tmp_path / f"t.part{ending}") == [ROWS[0]]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_run_that_fails_before_its_first_record_leaves_nothing(tmp_path, ending):
    opened(tmp_path / f"t{ending}").abandon()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", ENDINGS)
def test_two_runs_that_write_one_file_do_not_disturb_each_other(tmp_path, ending):
    path = tmp_path / f"t{ending}"
    first, second = opened(path), opened(path)
    first.append([ROWS[0]])
    second.append([ROWS[1]])
    second.close()
    first.close()
    assert read(path) == [ROWS[0]]
    assert [place.name for place in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("ending", ENDINGS)
def test_records_that_find_no_room_leave_those_before_them_whole(tmp_path, ending):
    file = opened(tmp_path / f"t{ending}")
    file.append([ROWS[0]])

    class Full:
        """Writes half of what it is given, then nothing more, as a disk that is full."""

        def __init__(self, stream):
            self.stream, self.room = stream, 5

        def __getattr__(self, name):
            return getattr(self.stream, name)

        def write(self, data):
            if not self.room:
                self.room = 100
                raise OSError(28, "No space left on device")
            written, self.room = self.stream.write(data[: self.room]), 0
            return written

    file._stream = Full(file._stream)
    with pytest.raises(OSError, match="No space"):
        file.append([ROWS[0]])
    assert list(file.records()) == [ROWS[0]]


def test_a_row_with_a_column_that_the_table_lacks_is_refused(tmp_path):
    with CsvFile(tmp_path / "t.csv", COLUMNS) as file, pytest.raises(InputError, match="no column smile"):
        file.append([{"smile": 1}])


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_writer_takes_outcomes_one_at_a_time(tmp_path, ending):
    with open_writer(tmp_path / f"one{ending}") as writer:
        writer.write(ONE)
        writer.write(FAILED)
    assert write_table([ONE, FAILED], tmp_path / f"all{ending}") == tmp_path / f"all{ending}"
    assert (tmp_path / f"one{ending}").read_bytes() == (tmp_path / f"all{ending}").read_bytes()


def test_a_table_larger_than_memory_holds_is_written_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr("mien.report.records.ROWS", 2)
    write_table(iter([ONE] * 5), tmp_path / "t.parquet")
    assert pyarrow.parquet.ParquetFile(tmp_path / "t.parquet").num_row_groups == 3


def test_a_writer_has_columns_for_what_a_scan_asks(tmp_path):
    with open_writer(tmp_path / "t.csv", asked=[Attribute.AGE]) as writer:
        writer.write(ONE)
    header = (tmp_path / "t.csv").read_text().splitlines()[0]
    assert header.endswith("model,age,age_confidence,age_status,scan_model,scan_prompt,scan_seed")


@pytest.mark.parametrize(
    ("name", "columns", "problem"), [("t.xls", "mien", "ending"), ("t.json", "openface", "not .json")]
)
def test_a_file_that_cannot_hold_what_is_asked_is_refused(tmp_path, name, columns, problem):
    with pytest.raises(InputError, match=problem):
        open_writer(tmp_path / name, columns)
    assert list(tmp_path.iterdir()) == []


def test_text_that_a_spreadsheet_would_run_is_made_harmless_on_request(tmp_path):
    names = ["=1+1", "+x", "-x", "@x", "\t=x", "plain", "'quoted"]
    rows = [{"input": name, "face": -1, "score": -0.5} for name in names]
    with CsvFile(tmp_path / "t.csv", COLUMNS, safe=True) as file:
        file.append(rows)
        assert list(file.records()) == rows
    assert [row["input"] for row in read(tmp_path / "t.csv")] == [f"'{name}" for name in names[:5]] + names[5:]
    assert [row["score"] for row in read(tmp_path / "t.csv")] == [-0.5] * 7
    with open_writer(tmp_path / "o.csv", safe_csv=True) as writer:
        writer.write(Outcome("=cmd.jpg", error=InputError("no")))
    assert "'=cmd.jpg" in (tmp_path / "o.csv").read_text()


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_link_is_written_to_where_it_points_and_its_part_lies_there(tmp_path, ending):
    (tmp_path / "real").mkdir()
    link, real = tmp_path / f"t{ending}", tmp_path / "real" / f"r{ending}"
    real.write_text("earlier")
    link.symlink_to(real)
    with opened(link) as file:
        file.append([ROWS[0]])
        assert file.part.parent == real.parent
    assert link.is_symlink()
    assert read(real) == [ROWS[0]]
