import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from mien.datasets import FerPlus
from mien.datasets.ferplus import VOTE_COLUMNS
from mien.errors import InputError
from mien.facs.vocabulary import Expression
from tests.helpers import encoded, noise, write_csv, write_fer2013

FACES = [noise(48, 48, seed=i) for i in range(4)]
# Rows 2 and 3 show the same face, once in each split.
ROWS = [
    (FACES[0], "Training", [8, 2, 0, 0, 0, 0, 0, 0, 0, 0]),
    (FACES[1], "PublicTest", [0, 10, 0, 0, 0, 0, 0, 0, 0, 0]),
    (FACES[2], "Training", [0, 0, 3, 0, 0, 0, 4, 0, 3, 0]),
    (FACES[2], "PublicTest", [0, 0, 3, 0, 0, 0, 4, 0, 3, 0]),
    (FACES[3], "PrivateTest", [0, 0, 0, 0, 0, 0, 0, 0, 0, 10]),
]


@pytest.fixture
def csv_folder(tmp_path):
    """The two original files."""
    write_fer2013(tmp_path, [(0, face, usage) for face, usage, _ in ROWS])
    write_votes(tmp_path, [(usage, *votes) for _, usage, votes in ROWS])
    return tmp_path


def write_votes(folder, rows):
    return write_csv(folder / "fer2013new.csv", ("Usage", *VOTE_COLUMNS), rows)


def write_parquet(path, rows, **columns):
    data = {"image": [encoded(face) for face, _, _ in rows]}
    data |= {c: pa.array([votes[i] for *_, votes in rows], pa.uint8()) for i, c in enumerate(VOTE_COLUMNS)}
    parquet.write_table(pa.table(data | columns), path)
    return path


def test_votes_stand_in_expression_order_before_unknown_and_not_a_face():
    assert list(VOTE_COLUMNS) == [*(e.label for e in Expression), "unknown", "NF"]


def test_parquet_and_csv_give_the_same_samples(csv_folder):
    rows = [row for row in ROWS if row[1] == "PublicTest"]
    file = write_parquet(csv_folder / "faces.parquet", rows, dup_other_split=[False, True])
    for ours, theirs, (face, _, votes) in zip(FerPlus(file), FerPlus(csv_folder, "valid"), rows, strict=True):
        np.testing.assert_array_equal(ours.image, theirs.image)
        np.testing.assert_array_equal(ours.image[:, :, 0], face)
        assert ours.votes.tolist() == theirs.votes.tolist() == votes
        assert (ours.votes.dtype, theirs.votes.dtype) == (np.uint8, np.uint8)
        assert ours.duplicate == theirs.duplicate
        assert ours.expression is theirs.expression is None


@pytest.mark.parametrize(("split", "rows"), [("train", [0, 2]), ("valid", [1, 3]), ("test", [4]), (None, range(5))])
def test_a_split_of_the_csv_files_holds_its_rows_which_keep_their_numbers(csv_folder, split, rows):
    data = FerPlus(csv_folder, split)
    assert [s.votes.tolist() for s in data] == [ROWS[row][2] for row in rows]
    assert [s.source.split(":")[1] for s in data] == [str(row) for row in rows]


def test_pixels_that_occur_in_two_splits_are_marked_whichever_is_read(csv_folder):
    assert [s.duplicate for s in FerPlus(csv_folder)] == [False, False, True, True, False]
    assert [s.duplicate for s in FerPlus(csv_folder, "valid")] == [False, True]


def test_a_parquet_file_without_the_mark_has_no_duplicates(tmp_path):
    assert not any(s.duplicate for s in FerPlus(write_parquet(tmp_path / "faces.parquet", ROWS)))


def test_fer2013_csv_stands_for_its_folder(csv_folder):
    assert len(FerPlus(csv_folder / "fer2013.csv", "train")) == 2


def test_a_folder_of_parquet_files_gives_the_one_of_the_split(tmp_path):
    write_parquet(tmp_path / "ferplus_train.parquet", ROWS[:1])
    write_parquet(tmp_path / "ferplus_valid.parquet", ROWS[1:3])
    assert [s.source for s in FerPlus(tmp_path, "valid")] == ["ferplus_valid.parquet:0", "ferplus_valid.parquet:1"]
    assert len(FerPlus(tmp_path, "train")) == 1
    for split in (None, "test"):
        with pytest.raises(InputError, match="name a split that is there, one of train, valid; got"):
            FerPlus(tmp_path, split)


def test_one_split_is_never_passed_off_as_another(tmp_path):
    file = write_parquet(tmp_path / "ferplus_valid.parquet", ROWS)
    assert len(FerPlus(file)) == len(FerPlus(file, "valid")) == 5
    with pytest.raises(InputError, match=r"ferplus_valid\.parquet: the file's name says another split than 'train'"):
        FerPlus(file, "train")


def test_files_of_different_length_are_refused_with_both_lengths(csv_folder):
    write_votes(csv_folder, [(usage, *votes) for _, usage, votes in ROWS[:-1]])
    with pytest.raises(InputError, match=r"fer2013\.csv has 5 rows, fer2013new\.csv has 4"):
        FerPlus(csv_folder)


def test_files_in_different_order_are_refused_with_the_row_and_both_values(csv_folder):
    write_votes(csv_folder, [(ROWS[i][1], *ROWS[i][2]) for i in (0, 1, 3, 2, 4)])
    with pytest.raises(InputError, match=r"row 2: fer2013\.csv says 'Training', fer2013new\.csv says 'PublicTest'"):
        FerPlus(csv_folder)


@pytest.mark.parametrize("count", ["", "many", "-1", "1.5", "²"])
def test_votes_that_are_no_number_are_named_with_their_row(csv_folder, count):
    write_votes(csv_folder, [(usage, count if i == 3 else 0, *votes[1:]) for i, (_, usage, votes) in enumerate(ROWS)])
    with pytest.raises(InputError, match=f"row 3: the votes for neutral are '{count}', which is no number"):
        FerPlus(csv_folder, "valid")


def test_a_row_of_votes_that_ends_early_is_named(csv_folder):
    write_votes(csv_folder, [(ROWS[0][1], 10), *((usage, *votes) for _, usage, votes in ROWS[1:])])
    with pytest.raises(InputError, match="row 0: the votes for happiness are None, which is no number"):
        FerPlus(csv_folder)


def test_more_than_ten_votes_are_refused_with_the_row_of_the_file(csv_folder):
    write_votes(csv_folder, [(u, *([9] * 10 if i == 3 else v)) for i, (_, u, v) in enumerate(ROWS)])
    with pytest.raises(InputError, match="row 3: 90 votes, but ten people voted at the most"):
        FerPlus(csv_folder, "valid")


def test_more_than_ten_votes_are_refused_in_parquet_too(tmp_path):
    rows = [*ROWS[:2], (FACES[0], "Training", [11] + [0] * 9)]
    with pytest.raises(InputError, match="row 2: 11 votes, but ten people voted"):
        FerPlus(write_parquet(tmp_path / "faces.parquet", rows))


def test_a_null_among_the_votes_is_refused(tmp_path):
    file = write_parquet(tmp_path / "faces.parquet", ROWS[:2], fear=pa.array([0, None], pa.uint8()))
    with pytest.raises(InputError, match="row 1: nan votes"):
        FerPlus(file)


@pytest.mark.parametrize("column", ["image", "contempt", "NF"])
def test_a_missing_column_is_named(tmp_path, column):
    whole = parquet.read_table(write_parquet(tmp_path / "whole.parquet", ROWS))
    parquet.write_table(whole.drop_columns([column]), tmp_path / "faces.parquet")
    with pytest.raises(InputError, match=rf"faces\.parquet: lacks the column '{column}'; it has "):
        FerPlus(tmp_path / "faces.parquet")


def test_a_missing_vote_column_of_the_csv_file_is_named(csv_folder):
    write_csv(csv_folder / "fer2013new.csv", ("Usage", *VOTE_COLUMNS[:-1]), [])
    with pytest.raises(InputError, match=r"fer2013new\.csv: lacks the column 'NF'"):
        FerPlus(csv_folder)


def test_a_damaged_parquet_file_is_refused(tmp_path):
    file = write_parquet(tmp_path / "faces.parquet", ROWS)
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"faces\.parquet: not a Parquet file that can be read"):
        FerPlus(file)


@pytest.mark.parametrize("name", ["absent.parquet", "absent", "faces.json"])
def test_a_path_that_is_not_there_or_of_another_kind_is_named(tmp_path, name):
    with pytest.raises(InputError, match=name) as caught:
        FerPlus(tmp_path / name)
    assert caught.value.status == "missing"


def test_a_split_that_does_not_exist_lists_those_that_do(csv_folder):
    with pytest.raises(InputError, match="no split 'dev'; FER2013 has train, valid, test"):
        FerPlus(csv_folder, "dev")
