import numpy as np
import pytest

from mien.datasets import AffectNet
from mien.datasets.affectnet import AFFECTNET_EXPRESSION, COLUMNS
from mien.errors import InputError
from mien.facs.vocabulary import Expression
from tests.helpers import encoded, noise, write_csv

CODES = [*range(8), 8, 9, 10]
BOX = (2, 1, 6, 4)


def write_picture(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(noise(10, 12, 3, seed=seed)))


def row(i, code, box=BOX):
    return (f"{i}/a.jpg", *box, "1.5;2.5", code, 0.1, -0.2)


@pytest.fixture
def original(tmp_path):
    """A training row of every code, and one row to validate in a table without column names."""
    lists, images = (
        tmp_path / "Manually_Annotated_file_lists",
        tmp_path / "Manually_Annotated" / "Manually_Annotated_Images",
    )
    lists.mkdir()
    write_csv(lists / "training.csv", COLUMNS, [row(i, code) for i, code in enumerate(CODES)])
    write_csv(lists / "validation.csv", row(3, 6), [])
    for i in CODES:
        write_picture(images / f"{i}/a.jpg", seed=i)
    return tmp_path


@pytest.fixture
def arrays(tmp_path):
    """The later release: labels as text and as numbers, one of a code that is no expression."""
    for folder, labels in (("train_set", ["1", "7", 9]), ("val_set", [np.int64(4)])):
        (tmp_path / folder / "annotations").mkdir(parents=True)
        for i, label in enumerate(labels):
            write_picture(tmp_path / folder / "images" / f"{i}.jpg", seed=i)
            np.save(tmp_path / folder / "annotations" / f"{i}_exp.npy", np.array(label))
            np.save(tmp_path / folder / "annotations" / f"{i}_lnd.npy", np.zeros(136))
    return tmp_path


@pytest.fixture
def kaggle(tmp_path):
    """Folders a class whose case differs between the splits, and a table that overrules two of the three."""
    for i, name in enumerate(("Train/anger/1.jpg", "Train/happy/2.jpg", "Test/Contempt/3.jpg")):
        write_picture(tmp_path / name, seed=i)
    rows = [(0, "anger/1.jpg", "contempt", 0.9), (1, "contempt/3.jpg", "fear", 0.8)]
    write_csv(tmp_path / "labels.csv", ("", "pth", "label", "relFCs"), rows)
    return tmp_path


def shown(data):
    assert [s.expression for s in data] == data.labels
    return [label.label for label in data.labels]


def test_labels_are_translated_from_affectnets_own_order():
    assert [AFFECTNET_EXPRESSION[i].label for i in range(8)] == [
        "neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt",
    ]  # fmt: skip


def test_rows_of_the_first_release_that_are_no_expression_are_left_out(original):
    assert shown(AffectNet(original, "train")) == [AFFECTNET_EXPRESSION[i].label for i in range(8)]


def test_a_face_of_the_first_release_is_cut_out_by_its_box(original):
    sample = AffectNet(original, "train")[3]
    np.testing.assert_array_equal(sample.image, noise(10, 12, 3, seed=3)[1:5, 2:8])
    assert sample.source.endswith("Manually_Annotated_Images/3/a.jpg")


def test_a_table_without_column_names_is_read_from_its_first_row(original):
    assert shown(AffectNet(original, "valid")) == ["anger"]
    assert len(AffectNet(original)) == 9


@pytest.mark.parametrize("tables", ["", "Manually_Annotated", "Manually_Annotated/Manually_Annotated_file_lists"])
@pytest.mark.parametrize(
    "pictures", ["Manually_Annotated_Images", "Manually_Annotated", "Manually_Annotated/Manually_Annotated_Images"]
)
def test_tables_and_pictures_are_found_where_copies_have_them(tmp_path, tables, pictures):
    (tmp_path / tables).mkdir(parents=True, exist_ok=True)
    write_csv(tmp_path / tables / "training.csv", COLUMNS, [row(0, 2)])
    write_picture(tmp_path / pictures / "0/a.jpg")
    assert AffectNet(tmp_path)[0].image.shape == (4, 6, 3)


def test_a_box_that_reaches_past_the_picture_ends_at_its_border(tmp_path):
    write_csv(tmp_path / "training.csv", COLUMNS, [row(0, 2, (-3, -2, 9, 100))])
    write_picture(tmp_path / "0/a.jpg")
    np.testing.assert_array_equal(AffectNet(tmp_path)[0].image, noise(10, 12, 3)[:, :6])


@pytest.mark.parametrize("box", [(12, 0, 5, 5), (0, 0, 0, 5), (4, 4, -2, -2), (-9, 0, 5, 5)])
def test_a_box_that_holds_nothing_makes_the_picture_one_that_cannot_be_read(tmp_path, box):
    write_csv(tmp_path / "training.csv", COLUMNS, [row(0, 2, box)])
    write_picture(tmp_path / "0/a.jpg")
    with pytest.raises(InputError, match=f"x {box[0]}, y {box[1]}, .* holds nothing of the picture, 12 x 10") as caught:
        AffectNet(tmp_path)[0]
    assert caught.value.status == "unreadable"


@pytest.mark.parametrize(
    ("code", "box", "said"),
    [
        (11, BOX, "the label is 11; AffectNet labels are 0 to 10"),
        (-1, BOX, "the label is -1"),
        ("happy", BOX, "expression is 'happy', which is no whole number"),
        ("", BOX, "expression is '', which"),
        (1, (2, "NULL", 3, 4), "face_y is 'NULL', which is no whole number"),
    ],
)
def test_a_row_that_is_wrong_is_named_with_its_value(tmp_path, code, box, said):
    write_csv(tmp_path / "training.csv", COLUMNS, [row(0, 1), row(1, code, box)])
    with pytest.raises(InputError, match=rf"training\.csv: row 1: {said}"):
        AffectNet(tmp_path)


def test_the_box_of_a_row_without_a_face_is_not_asked_for(tmp_path):
    write_csv(tmp_path / "training.csv", COLUMNS, [row(0, 10, ("NULL",) * 4), row(1, 1)])
    assert len(AffectNet(tmp_path)) == 1


def test_a_row_that_ends_early_is_named(tmp_path):
    write_csv(tmp_path / "training.csv", COLUMNS, [("0/a.jpg", 1, 2)])
    with pytest.raises(InputError, match="row 0: expression is None"):
        AffectNet(tmp_path)


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    file = write_csv(tmp_path / "training.csv", COLUMNS, [row(0, 1)])
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert len(AffectNet(tmp_path)) == 1


def test_the_later_release_has_a_label_file_a_picture_which_may_be_text(arrays):
    assert shown(AffectNet(arrays, "train")) == ["happiness", "contempt"]
    (sample,) = AffectNet(arrays, "valid")
    assert sample.expression == Expression.FEAR
    np.testing.assert_array_equal(sample.image, noise(10, 12, 3))


def test_a_picture_without_its_label_file_is_named(arrays):
    (arrays / "val_set" / "annotations" / "0_exp.npy").unlink()
    with pytest.raises(InputError, match=r"0\.jpg: its label .*0_exp\.npy is not there"):
        AffectNet(arrays, "valid")
    assert len(AffectNet(arrays, "train")) == 2


@pytest.mark.parametrize("content", [b"", b"no array", [1, 2], "happy", np.inf, 1j, np.array(1, object)], ids=str)
def test_a_label_file_that_holds_no_number_or_a_pickle_is_named(arrays, content):
    file = arrays / "train_set" / "annotations" / "1_exp.npy"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        np.save(file, content, allow_pickle=True)
    with pytest.raises(InputError, match=r"1_exp\.npy: holds no label, one whole number"):
        AffectNet(arrays, "train")


def test_a_label_file_with_a_code_that_affectnet_does_not_have_is_named(arrays):
    np.save(arrays / "train_set" / "annotations" / "1_exp.npy", np.array("11"))
    with pytest.raises(InputError, match=r"1_exp\.npy: the label is 11; AffectNet labels are 0 to 10"):
        AffectNet(arrays, "train")


def test_in_folders_a_class_the_table_overrules_the_folder_whatever_its_case(kaggle):
    assert shown(AffectNet(kaggle, "train")) == ["contempt", "happiness"]
    assert shown(AffectNet(kaggle, "test")) == ["fear"]
    assert len(AffectNet(kaggle)) == 3


def test_without_a_table_the_folder_is_the_label(kaggle):
    (kaggle / "labels.csv").unlink()
    assert shown(AffectNet(kaggle)) == ["anger", "happiness", "contempt"]


def test_folders_a_class_need_no_splits_and_may_be_numbers_or_no_expression(tmp_path):
    for name in ("0/a.jpg", "3/b.jpg", "8/c.jpg", "Uncertain/d.jpg", "none/e.jpg", "no-face/f.jpg", "sad/g.jpg"):
        write_picture(tmp_path / name)
    assert shown(AffectNet(tmp_path)) == ["neutral", "surprise", "sadness"]
    with pytest.raises(InputError, match="no split 'train'; this copy of AffectNet has no splits, so name none"):
        AffectNet(tmp_path, "train")


def test_a_table_label_that_names_no_expression_is_named_with_its_row(kaggle):
    write_csv(kaggle / "labels.csv", ("pth", "label"), [("anger/1.jpg", "anger"), ("happy/2.jpg", "hungry")])
    with pytest.raises(InputError, match=r"labels\.csv: row 1: 'hungry' names no expression"):
        AffectNet(kaggle)


def test_a_table_that_names_none_of_the_pictures_is_refused_with_both_names(kaggle):
    write_csv(kaggle / "labels.csv", ("pth", "label"), [("image7.jpg", "anger")])
    with pytest.raises(InputError, match=r"row 0 is 'image7\.jpg', here are \['anger/1\.jpg'\]"):
        AffectNet(kaggle)


def test_a_folder_that_names_no_expression_is_named(kaggle):
    write_picture(kaggle / "Train" / "hungry" / "1.jpg")
    with pytest.raises(InputError, match="Train/hungry: 'hungry' names no expression"):
        AffectNet(kaggle, "train")


@pytest.mark.parametrize(
    ("layout", "split", "left"), [("original", "train", 7), ("arrays", "train", 1), ("kaggle", None, 2)]
)
def test_seven_classes_leave_contempt_out_in_every_layout_and_say_so(layout, split, left, request):
    data = AffectNet(request.getfixturevalue(layout), split, classes=7)
    assert len(data) == left
    assert data.expressions == tuple(e for e in Expression if e != Expression.CONTEMPT)
    assert Expression.CONTEMPT not in data.labels


def test_eight_classes_are_the_eight_expressions(original):
    assert AffectNet(original).expressions == tuple(Expression)


def test_other_numbers_of_classes_are_refused(original):
    with pytest.raises(InputError, match="7 or 8 classes, not 11"):
        AffectNet(original, classes=11)


def test_a_split_that_the_copy_does_not_have_lists_those_that_it_has(original):
    with pytest.raises(InputError, match="no split 'test'; this copy of AffectNet has train, valid"):
        AffectNet(original, "test")


def test_a_folder_of_another_layout_is_told_what_was_looked_for_and_what_is_there(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(
        InputError, match=r"expected AffectNet: training\.csv .*train_set/.*folders named .*; found photos/"
    ):
        AffectNet(tmp_path)
    with pytest.raises(InputError, match="absent: there is no such") as caught:
        AffectNet(tmp_path / "absent")
    assert caught.value.status == "missing"


def test_a_split_without_pictures_is_refused(kaggle):
    (kaggle / "Test" / "Contempt" / "3.jpg").unlink()
    with pytest.raises(InputError, match=r"expected faces in the split 'test'; found Test/, Train/, labels\.csv"):
        AffectNet(kaggle, "test")
