import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from mien.datasets import Fer2013
from mien.datasets.fer2013 import FER2013_EXPRESSION, SIDE, USAGE
from mien.errors import InputError
from mien.facs.vocabulary import Expression
from tests.helpers import encoded, noise, write_csv, write_fer2013

FACES = [noise(SIDE, SIDE, seed=i) for i in range(4)]


@pytest.fixture
def five(tmp_path):
    """Two training faces, two for validation, of which the second is also in training, and one to test."""
    return write_fer2013(
        tmp_path,
        [
            (0, FACES[0], "Training"),
            (3, FACES[1], "PublicTest"),
            (6, FACES[2], "Training"),
            (6, FACES[2], "PublicTest"),
            (5, FACES[3], "PrivateTest"),
        ],
    )


def test_labels_are_translated_from_fer2013s_own_order():
    assert [FER2013_EXPRESSION[i].label for i in range(7)] == [
        "anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral",
    ]  # fmt: skip


def test_samples_hold_the_picture_its_expression_and_its_row(five):
    samples = list(Fer2013(five))
    assert [s.expression for s in samples] == [
        Expression.ANGER, Expression.HAPPINESS, Expression.NEUTRAL, Expression.NEUTRAL, Expression.SURPRISE,
    ]  # fmt: skip
    assert [s.source for s in samples] == [f"fer2013.csv:{row}" for row in range(5)]
    np.testing.assert_array_equal(samples[1].image, np.stack([FACES[1]] * 3, axis=-1))
    assert samples[1].image.dtype == np.uint8
    assert samples[1].votes is None


@pytest.mark.parametrize(("split", "rows"), [("train", [0, 2]), ("valid", [1, 3]), ("test", [4]), (None, range(5))])
def test_a_split_holds_its_rows_which_keep_their_numbers(five, split, rows):
    data = Fer2013(five, split)
    assert len(data) == len(rows)
    assert [s.source for s in data] == [f"fer2013.csv:{row}" for row in rows]


def test_pixels_that_occur_in_two_splits_are_marked_in_both(five):
    assert [s.duplicate for s in Fer2013(five)] == [False, False, True, True, False]
    assert [s.duplicate for s in Fer2013(five, "valid")] == [False, True]


def test_pixels_that_occur_twice_in_one_split_are_not_marked(tmp_path):
    file = write_fer2013(tmp_path, [(0, FACES[0], "Training"), (1, FACES[0], "Training")])
    assert [s.duplicate for s in Fer2013(file)] == [False, False]


def test_a_folder_that_holds_the_file_will_do(five):
    assert len(Fer2013(five.parent)) == len(Fer2013(str(five))) == 5


def test_a_byte_order_mark_before_the_first_column_is_no_part_of_its_name(five):
    five.write_bytes(b"\xef\xbb\xbf" + five.read_bytes())
    assert len(Fer2013(five)) == 5


def test_a_split_that_does_not_exist_lists_those_that_do(five):
    with pytest.raises(InputError, match=r"no split 'dev'; FER2013 has train, valid, test"):
        Fer2013(five, "dev")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"fer2013\.csv: there is no such file") as caught:
        Fer2013(tmp_path)
    assert caught.value.status == "missing"


@pytest.mark.parametrize("column", ["emotion", "pixels", "Usage"])
def test_a_missing_column_is_named_beside_those_that_are_there(tmp_path, column):
    columns = [c for c in ("emotion", "pixels", "Usage") if c != column]
    with pytest.raises(InputError, match=f"lacks the column '{column}'; it has .*{columns[0]}.*{columns[1]}"):
        Fer2013(write_csv(tmp_path / "fer2013.csv", columns, []))


def test_a_file_that_is_no_csv_is_refused(tmp_path):
    file = tmp_path / "fer2013.csv"
    file.write_bytes(b"\x89PNG\r\n\xff\xfe\0\0")
    with pytest.raises(InputError, match="lacks the column 'emotion'"):
        Fer2013(file)


@pytest.mark.parametrize("label", ["7", "-1", "", "happy"])
def test_a_label_that_fer2013_does_not_have_is_named_with_its_row(tmp_path, label):
    file = write_fer2013(tmp_path, [(0, FACES[0], "Training"), (label, FACES[1], "Training")])
    with pytest.raises(InputError, match=f"row 1: the label is '{label}'; FER2013 labels are 0 to 6"):
        Fer2013(file)


def test_a_usage_that_fer2013_does_not_have_is_named_with_its_row(tmp_path):
    file = write_fer2013(tmp_path, [(0, FACES[0], "Training"), (0, FACES[1], "Test")])
    with pytest.raises(InputError, match=f"row 1: the usage is 'Test'; FER2013 has {', '.join(USAGE.values())}"):
        Fer2013(file)


def test_a_row_that_ends_early_is_named(tmp_path):
    file = write_csv(tmp_path / "fer2013.csv", ("emotion", "Usage", "pixels"), [("0", "Training")])
    with pytest.raises(InputError, match="row 0: ends before its pixels"):
        Fer2013(file)


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        ("1 2 3", "expected 2304 pixel values from 0 to 255, but got 3$"),
        ("", "but got 0$"),
        (" ".join(["0"] * 2303 + ["300"]), "but got 2304, one of them 300$"),
        (" ".join(["0"] * 2303 + ["-1"]), "but got 2304, one of them -1$"),
        (" ".join(["0"] * 2303 + ["x"]), "a pixel value is no number.*'x'"),
    ],
)
def test_pixels_that_are_no_face_are_named_with_their_row(tmp_path, pixels, said):
    rows = [("0", " ".join(["7"] * SIDE * SIDE), "Training"), ("0", pixels, "Training")]
    data = Fer2013(write_csv(tmp_path / "fer2013.csv", ("emotion", "pixels", "Usage"), rows))
    assert (data[0].image == 7).all()
    with pytest.raises(InputError, match=f"row 1: .*{said}"):
        data[1]


def write_parquet(path, labels, **columns):
    table = {"image": [encoded(face) for face in FACES[: len(labels)]], "fer2013_label": labels, **columns}
    pyarrow.parquet.write_table(pyarrow.table(table), path)
    return path


def test_a_parquet_file_holds_one_split_with_labels_that_may_be_missing(tmp_path):
    path = write_parquet(tmp_path / "faces.parquet", [3, None, 0], dup_other_split=[False, False, True])
    samples = list(Fer2013(path))
    assert [s.expression for s in samples] == [Expression.HAPPINESS, None, Expression.ANGER]
    assert [s.duplicate for s in samples] == [False, False, True]
    assert samples[2].source == "faces.parquet:2"
    np.testing.assert_array_equal(samples[0].image[:, :, 0], FACES[0])


def test_without_marks_for_duplicates_no_row_is_one(tmp_path):
    assert Fer2013(write_parquet(tmp_path / "faces.parquet", [3, 4])).duplicate == [False, False]


def test_a_parquet_label_that_fer2013_does_not_have_is_named_with_its_row(tmp_path):
    with pytest.raises(InputError, match=r"row 1: the label is 7; FER2013 labels are 0 to 6"):
        Fer2013(write_parquet(tmp_path / "faces.parquet", [3, 7]))


def test_a_parquet_file_without_labels_is_refused(tmp_path):
    path = write_parquet(tmp_path / "faces.parquet", [3])
    pyarrow.parquet.write_table(pyarrow.parquet.read_table(path).drop_columns("fer2013_label"), path)
    with pytest.raises(InputError, match="lacks the column 'fer2013_label'"):
        Fer2013(path)


def test_a_parquet_file_of_another_split_is_not_passed_off_as_this_one(tmp_path):
    path = write_parquet(tmp_path / "ferplus_valid.parquet", [3])
    assert len(Fer2013(path, "valid")) == 1
    with pytest.raises(InputError, match="another split than 'train'"):
        Fer2013(path, "train")
