import csv
import json
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from mien.cli import commands
from mien.report.clips import CLIP_COLUMNS
from mien.report.records import CsvFile, ParquetFile
from mien.video.rows import read_rows
from mien.video.series import recordings
from tests.video.test_events import row


@pytest.fixture
def table(tmp_path):
    """Two tracks; the first smiles from 1 to 2 seconds, from an AU12 of 0.2 at rest."""
    made = []
    for n in range(60):
        smile = {"happiness": 0.9, "neutral": 0.1, "expression": "happiness", "AU12": 0.8}
        made.append(row(n, **({"AU12": 0.2} | (smile if 20 <= n < 40 else {}))))
        made.append(row(n, track=1))
    with CsvFile(tmp_path / "faces.csv", CLIP_COLUMNS) as file:
        file.append(made)
    return tmp_path / "faces.csv"


def run(*arguments, code=0):
    result = CliRunner().invoke(commands, ["timeline", *map(str, arguments)])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_without_options_the_summary_goes_into_a_pipe_a_line_a_track(table):
    lines = [json.loads(line) for line in run(table).stdout.splitlines()]
    assert [(line["track"], line["seconds"]) for line in lines] == [(0, 3.0), (1, 3.0)]
    assert lines[0]["happiness_share"] == pytest.approx(1 / 3, abs=1e-3)


def test_events_and_summary_are_tables(table, tmp_path):
    run(table, "--events", tmp_path / "events.csv", "--summary", tmp_path / "summary.csv")
    events = [(e["name"], e["onset"], e["offset"], e["enter"]) for e in read(tmp_path / "events.csv")]
    assert events == [("happiness", "1.0", "2.0", "0.5"), ("AU12", "1.0", "2.0", "0.4")]
    assert len(read(tmp_path / "summary.csv")) == 2


def test_changes_stand_beside_the_values_that_were_read(table, tmp_path):
    run(table, "--changes", tmp_path / "changes.csv", "--baseline", "0-1")
    rows = [r for r in read(tmp_path / "changes.csv") if r["track"] == "0"]
    assert [(r["AU12"], float(r["AU12_change"])) for r in rows[19:21]] == [("0.2", 0.0), ("0.8", pytest.approx(0.6))]
    assert float(rows[20]["happiness_change"]) == pytest.approx(0.9)


def test_with_a_baseline_events_of_action_units_are_those_of_the_change(table, tmp_path):
    run(table, "--events", tmp_path / "events.csv", "--baseline", "auto")
    (event,) = [e for e in read(tmp_path / "events.csv") if e["name"] == "AU12"]
    assert float(event["value"]) == pytest.approx(0.6)


def test_elan_and_bids_are_written_for_each_clip(table, tmp_path):
    run(table, "--elan", tmp_path / "elan", "--bids", tmp_path / "bids")
    root = ElementTree.parse(tmp_path / "elan" / "clip.eaf").getroot()
    assert {tier.get("TIER_ID") for tier in root.iter("TIER")} == {"0/expression", "0/AU12"}
    assert len(list((tmp_path / "bids").iterdir())) == 4


def test_a_page_is_made_of_a_table_whose_clip_is_gone(table, tmp_path):
    run(table, "-o", tmp_path / "clip.html")
    assert (tmp_path / "clip.html").read_text(encoding="utf-8").count('class="chart"') == 2


def test_every_kind_of_table_gives_the_same(table, tmp_path):
    pytest.importorskip("pyarrow")
    rows = list(read_rows(table))
    typed = [{k: None if v is None else CLIP_COLUMNS[k](v) for k, v in r.items()} for r in rows]
    with ParquetFile(tmp_path / "faces.parquet", CLIP_COLUMNS) as file:
        file.append(typed)
    assert run(tmp_path / "faces.parquet").stdout == run(table).stdout


@pytest.fixture
def photographs(tmp_path):
    """Two people, neutral and smiling; the second looks happy when she is at rest."""
    rows = []
    for person, rest in (("s01", 0.1), ("s02", 0.6)):
        for name, more in (("neutral", 0.0), ("smile", 0.3)):
            values = {"happiness": rest + more, "neutral": 1 - rest - more, "AU12": rest + more}
            rows.append(
                row(0, name=f"study/{person}_{name}.jpg", **values) | {"frame": None, "timestamp": None, "track": None}
            )
    with CsvFile(tmp_path / "photos.csv", CLIP_COLUMNS) as file:
        file.append(rows)
    return tmp_path / "photos.csv"


@pytest.mark.parametrize("baseline", ["neutral", "auto"])
def test_people_in_photographs_are_compared_with_themselves(photographs, tmp_path, baseline):
    run(photographs, "--person", "s[0-9]+", "--baseline", baseline, "--changes", tmp_path / "changes.csv")
    changes = [float(r["AU12_change"]) for r in read(tmp_path / "changes.csv")]
    assert changes == pytest.approx([0, 0.3, 0, 0.3])
    assert [float(r["happiness"]) for r in read(tmp_path / "changes.csv")] == pytest.approx([0.1, 0.4, 0.6, 0.9])


def test_who_has_no_picture_named_neutral_is_said(photographs, tmp_path):
    text = photographs.read_text().replace("s02_neutral", "s02_calm")
    photographs.write_text(text)
    result = run(photographs, "--person", "s[0-9]+", "--baseline", "neutral", "--changes", tmp_path / "c.csv")
    assert "1 without a picture named neutral, such as s02" in result.output
    assert [float(r["AU12_change"]) for r in read(tmp_path / "c.csv")] == pytest.approx([0, 0.3, 0, 0.3])


def test_a_person_can_be_a_column(photographs, tmp_path):
    lines = photographs.read_text().splitlines()
    with_column = [lines[0] + ",who", *(f"{line},{'ab'[i // 2]}" for i, line in enumerate(lines[1:]))]
    photographs.write_text("\n".join(with_column))
    run(photographs, "--person", "who", "--changes", tmp_path / "c.csv")
    assert [r["who"] for r in read(tmp_path / "c.csv")] == ["a", "a", "b", "b"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--events", "x.txt"), "the ending must be one of"),
        (("-o", "x.pdf"), "the ending must be .html"),
        (("--baseline", "5-2"), "expected auto, neutral or seconds"),
        (("--baseline", "neutral"), "needs to know whose they are"),
        (("--unit-thresholds", "0.2", "0.4"), "ENTER >= LEAVE"),
    ],
)
def test_wrong_options_are_refused_and_say_why(table, arguments, words):
    result = CliRunner().invoke(commands, ["timeline", str(table), *arguments])
    assert result.exit_code != 0
    assert words in " ".join((result.output + str(result.exception)).split())


def test_a_table_of_photographs_is_refused_without_a_person(photographs):
    result = CliRunner().invoke(commands, ["timeline", str(photographs)])
    assert "say --person" in str(result.exception)


def test_a_file_that_is_no_table_of_miens_is_refused(tmp_path):
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    result = CliRunner().invoke(commands, ["timeline", str(tmp_path / "other.csv")])
    assert "not a table of mien's" in str(result.exception)


def test_json_lines_have_the_rows_of_the_table():
    from mien.video.rows import record_rows

    line = {"input": "a.mp4", "status": "no_face", "error": None, "frame": 3, "timestamp": 0.1, "faces": []}
    (only,) = record_rows(line)
    assert (only["frame"], only["status"], only["happiness"]) == (3, "no_face", None)
    assert recordings([only])[0].tracks == ()
