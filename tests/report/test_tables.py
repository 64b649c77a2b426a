import csv
import json

import numpy as np
import pyarrow.parquet
import pytest

from mien.errors import InputError
from mien.facs.observation import Hidden, Pose
from mien.facs.vocabulary import ActionUnit, Attribute, Expression
from mien.report import tables
from mien.report.writers import write_table
from mien.results.expression import ExpressionScores
from mien.results.face import Face, ImageReport
from mien.results.outcome import Outcome
from mien.results.scan import Answer, AnswerStatus, Attributes
from tests.helpers import bare_report, full_report, units

HAPPY = np.array([0.05, 0.9, 0.01, 0.01, 0.01, 0.005, 0.005, 0.01], np.float32)


def face(x=10.0):
    box = np.array([x, 20, x + 40, 70], np.float32)
    return bare_report(Face(box, np.float32([[1, 1], [3, 1], [2, 2], [1, 3], [3, 3]]), 0.95), ExpressionScores(HAPPY))


FOUND = Outcome("two.jpg", ImageReport((100, 200), (face(), face(110)), "reader"))
NOBODY = Outcome("sea.jpg", ImageReport((100, 200), (), "reader"))
FAILED = Outcome("odd,\nname.jpg", error=InputError("odd: the file is empty", "unreadable"))
ALL = [FOUND, NOBODY, FAILED]


def one_row(read=tables.rows, **given):
    (row,) = read(Outcome("full.jpg", ImageReport((512, 512), (full_report(**given),), "reader")))
    return row


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
    write_table(ALL, tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(newline="") as file:
        back = list(csv.DictReader(file))
    assert [row["input"] for row in back] == ["two.jpg", "two.jpg", "sea.jpg", "odd,\nname.jpg"]
    assert back[2]["happiness"] == ""
    assert float(back[0]["happiness"]) == pytest.approx(0.9)


def test_parquet_has_typed_columns_even_where_all_values_are_missing(tmp_path):
    write_table([NOBODY], tmp_path / "t.parquet")
    schema = pyarrow.parquet.read_schema(tmp_path / "t.parquet")
    assert str(schema.field("happiness").type) == "double"
    assert str(schema.field("face").type) == "int32"
    assert pyarrow.parquet.read_table(tmp_path / "t.parquet")["happiness"].to_pylist() == [None]


def test_equal_reports_give_equal_parquet_bytes(tmp_path):
    for name in ("a", "b"):
        write_table(ALL, tmp_path / f"{name}.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_json_holds_the_whole_report_and_rounds_what_means_nothing(tmp_path):
    write_table(ALL, tmp_path / "t.json")
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
    write_table(ALL, tmp_path / "t.jsonl")
    lines = (tmp_path / "t.jsonl").read_text().splitlines()
    assert [json.loads(line)["status"] for line in lines] == ["ok", "no_face", "unreadable"]


def test_columns_go_from_picture_and_face_to_expression_action_units_pose_landmarks_and_model():
    names = list(tables.COLUMNS)
    marks = ["contempt", "AU01", "AU43", "AU12_asymmetry", "AU10_asymmetry", "Pitch", "Roll", "Yaw", "x_0", "y_67"]
    at = [names.index(name) for name in ("input", "FaceRectX", "neutral", *marks, "hidden", "model")]
    assert at == sorted(at)
    assert at[-1] == len(names) - 1
    assert [unit.column for unit in ActionUnit] == names[at[4] : at[5] + 1]
    assert names[names.index("x_0") : names.index("x_0") + 136] == [f"{axis}_{i}" for axis in "xy" for i in range(68)]


def test_what_the_reader_measured_is_in_columns_named_as_in_py_feat():
    row = one_row(
        pose=Pose(yaw=-12, pitch=4, roll=1),
        hidden=(Hidden("left", "turned away"), Hidden("right", "covered or unclear")),
    )
    assert (row["AU12"], row["AU06"], row["AU01"]) == (pytest.approx(0.8), pytest.approx(0.6), 0)
    assert (row["AU12_asymmetry"], row["AU14_asymmetry"]) == (pytest.approx(0.2), 0)
    assert (row["Yaw"], row["Pitch"], row["Roll"]) == (-12, 4, 1)
    landmarks = full_report().landmarks
    assert (row["x_8"], row["y_8"]) == pytest.approx(tuple(landmarks[8]), abs=0.006)
    assert row["hidden"] == "left: turned away; right: covered or unclear"


def test_what_the_reader_does_not_measure_is_null_and_never_zero():
    row = tables.rows(FOUND)[0]
    columns = ["AU01", "AU43", "AU12_asymmetry", "Pitch", "Roll", "Yaw", "x_0", "y_67", "hidden"]
    assert [row[name] for name in columns] == [None] * len(columns)
    assert one_row()["hidden"] is None
    assert one_row(landmarks=None)["x_0"] is None
    assert one_row(landmarks=None)["AU12"] is not None


def test_measured_columns_are_numbers_in_parquet_whether_or_not_they_have_any(tmp_path):
    full = Outcome("full.jpg", ImageReport((512, 512), (full_report(),), "reader"))
    for outcome in (full, NOBODY):
        write_table([outcome], tmp_path / "t.parquet")
        schema = pyarrow.parquet.read_schema(tmp_path / "t.parquet")
        assert {str(schema.field(n).type) for n in ("AU12", "AU10_asymmetry", "Pitch", "x_0", "y_67")} == {"double"}
        assert str(schema.field("hidden").type) == "string"


def test_openface_columns_are_those_that_mien_measures_in_openfaces_order():
    names = list(tables.OPENFACE_COLUMNS)
    assert names[:6] == ["input", "frame", "face_id", "timestamp", "confidence", "success"]
    assert names[6:10] == ["pose_Rx", "pose_Ry", "pose_Rz", "x_0"]
    assert [n for n in names if n.endswith("_r")] == [
        f"AU{n:02d}_r" for n in (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 25, 26)
    ]
    assert names[-3:] == ["AU28_c", "status", "error"]
    assert {tuple(row) for outcome in ALL for row in tables.openface_rows(outcome)} == {tuple(names)}


def test_openface_intensities_go_to_five_and_presence_begins_at_slight():
    row = one_row(tables.openface_rows, action_units=units({12: 0.8, 4: 0.10, 6: 0.099, 28: 0.5}))
    assert (row["AU12_r"], row["AU04_r"]) == (pytest.approx(4), pytest.approx(0.5))
    assert [row[f"AU{n}_c"] for n in ("12", "04", "06", "01", "28")] == [1, 1, 0, 0, 1]
    assert "AU28_r" not in row


def test_openface_rows_count_faces_and_mark_those_without():
    first, second = tables.openface_rows(FOUND)
    assert [(row["face_id"], row["success"], row["frame"], row["timestamp"]) for row in (first, second)] == [
        (0, 1, 1, 0),
        (1, 1, 1, 0),
    ]
    assert first["confidence"] == pytest.approx(0.95)
    assert [first[name] for name in ("pose_Rx", "x_0", "AU12_r", "AU12_c")] == [None] * 4
    (nobody,), (failed,) = tables.openface_rows(NOBODY), tables.openface_rows(FAILED)
    assert (nobody["success"], nobody["frame"], nobody["confidence"]) == (0, 1, None)
    assert (failed["success"], failed["frame"], failed["input"]) == (0, None, FAILED.name)
    assert (nobody["status"], nobody["error"]) == ("no_face", None)
    assert (failed["status"], failed["error"]) == ("unreadable", "odd: the file is empty")


@pytest.mark.parametrize(
    ("pose", "turned"),
    [
        (Pose(yaw=30, pitch=0, roll=0), (0, -30, 0)),
        (Pose(yaw=0, pitch=20, roll=0), (-20, 0, 0)),
        (Pose(yaw=0, pitch=0, roll=15), (0, 0, 15)),
    ],
)
def test_openface_counts_down_and_image_left_as_positive_and_clockwise_as_mien_does(pose, turned):
    row = one_row(tables.openface_rows, pose=pose)
    degrees = np.degrees([row["pose_Rx"], row["pose_Ry"], row["pose_Rz"]])
    assert degrees == pytest.approx(turned, abs=0.01)


def test_openface_angles_turn_a_head_to_where_ours_points():
    row = one_row(tables.openface_rows, pose=Pose(yaw=35, pitch=-20, roll=25))
    (a, b, c), (d, e, f) = (fn([row["pose_Rx"], row["pose_Ry"], row["pose_Rz"]]) for fn in (np.cos, np.sin))
    # R = Rx Ry Rz as in OpenFace's RotationHelpers.h; x right, y down, z away from the camera.
    rx = np.array([[1, 0, 0], [0, a, -d], [0, d, a]])
    ry = np.array([[b, 0, e], [0, 1, 0], [-e, 0, b]])
    rz = np.array([[c, -f, 0], [f, c, 0], [0, 0, 1]])
    forward, up = rx @ ry @ rz @ [0, 0, -1], rx @ ry @ rz @ [0, -1, 0]
    assert np.degrees(np.arctan2(forward[0], -forward[2])) == pytest.approx(35, abs=0.02)
    assert np.degrees(np.arcsin(-forward[1])) == pytest.approx(-20, abs=0.02)
    assert np.degrees(np.arctan2(up[0], -up[1])) == pytest.approx(25, abs=0.02)


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_an_openface_table_can_be_written_and_read(tmp_path, ending):
    path = tmp_path / f"t{ending}"
    write_table(ALL, path, "openface")
    if ending == ".csv":
        with path.open(newline="") as file:
            back = list(csv.DictReader(file))
        assert [row["success"] for row in back] == ["1", "1", "0", "0"]
        assert back[0]["AU12_r"] == ""
    else:
        back = pyarrow.parquet.read_table(path).to_pylist()
        assert [row["success"] for row in back] == [1, 1, 0, 0]
        assert back[0]["AU12_r"] is None
    assert list(back[0]) == list(tables.OPENFACE_COLUMNS)


def scanned(*asked, **answers):
    """Attributes that answer 20-39 and female, and have no answer otherwise; answers: others, by name."""
    known = {"age": Answer("20-39", AnswerStatus.OK, 0.8), "gender": Answer("female", AnswerStatus.REPAIRED)} | answers
    refused = Answer(None, AnswerStatus.REFUSED)
    return Attributes({a: known.get(a.value, refused) for a in asked}, "openai:m", "face-1", 7)


def test_columns_of_a_scan_are_there_only_for_what_was_asked_of_any_face(tmp_path):
    bare = Outcome("a.jpg", ImageReport((512, 512), (full_report(),), "reader"))
    asked = scanned(Attribute.AGE, Attribute.EXPRESSION)
    both = Outcome("b.jpg", ImageReport((512, 512), (full_report(attributes=asked),), "reader"))
    assert list(tables.rows(bare)[0]) == list(tables.COLUMNS)
    for ending in (".csv", ".parquet"):
        write_table([bare, both, FAILED], tmp_path / f"t{ending}")
    with (tmp_path / "t.csv").open(newline="") as file:
        back = list(csv.DictReader(file))
    assert list(back[0])[len(tables.COLUMNS) :] == [
        "scan_expression", "scan_expression_confidence", "scan_expression_status",
        "age", "age_confidence", "age_status", "scan_model", "scan_prompt", "scan_seed",
    ]  # fmt: skip
    assert [row["age"] for row in back] == ["", "20-39", ""]
    typed = pyarrow.parquet.read_table(tmp_path / "t.parquet").to_pylist()
    assert [row["age_confidence"] for row in typed] == [None, 0.8, None]
    assert typed[1]["scan_seed"] == 7
    assert typed[1]["expression"] == "happiness"


def test_an_attribute_without_an_answer_is_null_and_its_status_says_why():
    row = one_row(attributes=scanned(Attribute.GENDER, Attribute.RACE))
    assert (row["gender"], row["gender_confidence"], row["gender_status"]) == ("female", None, "repaired")
    assert (row["race"], row["race_status"]) == (None, "refused")


def test_an_answer_about_nobody_found_is_a_row_without_a_face():
    report = ImageReport((9, 9), (), "reader", target="x", unmatched=(scanned(Attribute.AGE),))
    (row,) = tables.rows(Outcome("a.jpg", report))
    assert (row["face"], row["FaceRectX"], row["age"], row["status"]) == (None, None, "20-39", "ok")
