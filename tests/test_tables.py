import csv
import json

import numpy as np
import pyarrow.parquet
import pytest

from mien import tables
from mien.errors import InputError
from mien.results import ExpressionScores, Face, FaceReport, ImageReport, Outcome
from mien.vocabulary import Expression

HAPPY = np.array([0.05, 0.9, 0.01, 0.01, 0.01, 0.005, 0.005, 0.01], np.float32)


def face(x=10.0):
    box = np.array([x, 20, x + 40, 70], np.float32)
    return FaceReport(Face(box, np.zeros((5, 2), np.float32), 0.95), ExpressionScores(HAPPY))


FOUND = Outcome("two.jpg", ImageReport((100, 200), (face(), face(110)), "reader"))
NOBODY = Outcome("sea.jpg", ImageReport((100, 200), (), "reader"))
FAILED = Outcome("odd,\nname.jpg", error=InputError("odd: the file is empty", "unreadable"))
ALL = [FOUND, NOBODY, FAILED]


def test_a_picture_with_two_faces_gives_two_rows_with_the_columns_of_py_feat():
    first, second = tables.rows(FOUND)
    assert (first["face"], second["face"]) == (0, 1)
    assert (first["FaceRectX"], first["FaceRectY"], first["FaceRectWidth"], first["FaceRectHeight"]) == (10, 20, 40, 50)
    assert first["happiness"] == pytest.approx(0.9)
    assert (first["expression"], first["status"], first["error"]) == ("happiness", "ok", None)
    assert list(first)[:5] == ["input", "face", "status", "error", "FaceRectX"]


def test_a_picture_without_faces_and_a_failed_one_give_one_row_each_with_nulls():
    (nobody,), (failed,) = tables.rows(NOBODY), tables.rows(FAILED)
    assert (nobody["status"], nobody["face"], nobody["happiness"]) == ("no_face", None, None)
    assert (failed["status"], failed["error"]) == ("unreadable", "odd: the file is empty")
    assert failed["FaceRectX"] is None


def test_every_row_has_every_column_in_one_order():
    assert {tuple(row) for outcome in ALL for row in tables.rows(outcome)} == {tuple(tables.COLUMNS)}


def test_csv_reads_back_with_empty_fields_for_missing_values(tmp_path):
    tables.write_csv(ALL, tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(newline="") as file:
        back = list(csv.DictReader(file))
    assert [row["input"] for row in back] == ["two.jpg", "two.jpg", "sea.jpg", "odd,\nname.jpg"]
    assert back[2]["happiness"] == ""
    assert float(back[0]["happiness"]) == pytest.approx(0.9)


def test_parquet_has_typed_columns_even_where_all_values_are_missing(tmp_path):
    tables.write_parquet([NOBODY], tmp_path / "t.parquet")
    schema = pyarrow.parquet.read_schema(tmp_path / "t.parquet")
    assert str(schema.field("happiness").type) == "double"
    assert str(schema.field("face").type) == "int32"
    assert pyarrow.parquet.read_table(tmp_path / "t.parquet")["happiness"].to_pylist() == [None]


def test_equal_reports_give_equal_parquet_bytes(tmp_path):
    for name in ("a", "b"):
        tables.write_parquet(ALL, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_json_holds_the_whole_report_and_rounds_what_means_nothing(tmp_path):
    tables.write_json(ALL, tmp_path / "t.json")
    images = json.loads((tmp_path / "t.json").read_text())["images"]
    assert images[0]["faces"][1]["box"] == [110, 20, 150, 70]
    assert images[0]["faces"][0]["expression"]["probabilities"] == {
        e.label: pytest.approx(float(HAPPY[e]), abs=5e-5) for e in Expression
    }
    assert images[2] == {
        "input": "odd,\nname.jpg",
        "status": "unreadable",
        "error": "odd: the file is empty",
        "faces": [],
    }
    assert "0.90000" not in (tmp_path / "t.json").read_text()


def test_json_lines_are_one_line_a_picture_whatever_its_name(tmp_path):
    tables.write_json_lines(ALL, tmp_path / "t.jsonl")
    lines = (tmp_path / "t.jsonl").read_text().splitlines()
    assert [json.loads(line)["status"] for line in lines] == ["ok", "no_face", "unreadable"]
