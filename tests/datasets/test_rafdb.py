import numpy as np
import pytest

from mien.datasets import RafDb
from mien.datasets.rafdb import RAFDB_EXPRESSION
from mien.errors import InputError
from mien.facs.vocabulary import Expression
from tests.helpers import encoded, noise, write_csv

LINES = ["train_00001.jpg 5", "train_00002.jpg 4", "test_0001.jpg 7"]


def write_pictures(folder, *names):
    """Pictures that differ by their place in `names`; PNG in spite of their name, so that pixels survive."""
    for i, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(noise(8, 8, 3, seed=i)))


@pytest.fixture
def official(tmp_path):
    """Two training faces and one to test, aligned and original."""
    (tmp_path / "EmoLabel").mkdir()
    (tmp_path / "EmoLabel" / "list_patition_label.txt").write_text("\n".join(LINES) + "\n")
    names = [line.split()[0] for line in LINES]
    write_pictures(tmp_path / "Image" / "aligned", *(name.replace(".jpg", "_aligned.jpg") for name in names))
    write_pictures(tmp_path / "Image" / "original", *names[::-1])
    return tmp_path


@pytest.fixture
def kaggle(tmp_path):
    names = ("train/5/train_00001_aligned.jpg", "train/4/train_00002_aligned.jpg", "test/7/test_0001_aligned.jpg")
    write_pictures(tmp_path / "DATASET", *names)
    rows = [("train_00001_aligned.jpg", 5), ("train_00002_aligned.jpg", 4)]
    write_csv(tmp_path / "train_labels.csv", ("image", "label"), rows)
    write_csv(tmp_path / "test_labels.csv", ("image", "label"), [("test_0001_aligned.jpg", 7)])
    return tmp_path


def test_labels_are_translated_from_rafdbs_own_order():
    assert [RAFDB_EXPRESSION[i].label for i in range(1, 8)] == [
        "surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral",
    ]  # fmt: skip


def test_it_says_that_it_has_no_contempt(official):
    assert RafDb(official).expressions == tuple(e for e in Expression if e != Expression.CONTEMPT)


def test_the_authors_layout_gives_the_aligned_faces_with_their_labels(official):
    samples = list(RafDb(official))
    assert [s.expression for s in samples] == [Expression.SADNESS, Expression.HAPPINESS, Expression.NEUTRAL]
    assert samples[0].source == f"{official.name}/Image/aligned/train_00001_aligned.jpg"
    np.testing.assert_array_equal(samples[1].image, noise(8, 8, 3, seed=1))


def test_the_folder_above_and_names_with_aligned_in_the_list_will_do(official):
    basic = official / "basic"
    basic.mkdir()
    (official / "EmoLabel").rename(basic / "EmoLabel")
    (official / "Image").rename(basic / "Image")
    (basic / "EmoLabel" / "list_patition_label.txt").write_text("train_00002_aligned.jpg 4\r\n")
    (sample,) = RafDb(str(official))
    assert sample.source.endswith("aligned/train_00002_aligned.jpg")


def test_original_photographs_are_read_when_asked_for_or_when_alone(official):
    assert RafDb(official, aligned=False)[2].source == f"{official.name}/Image/original/test_0001.jpg"
    (official / "Image" / "aligned").rename(official / "elsewhere")
    assert RafDb(official)[2].source == f"{official.name}/Image/original/test_0001.jpg"


@pytest.mark.parametrize("layout", ["official", "kaggle"])
@pytest.mark.parametrize(("split", "labels"), [("train", [3, 1]), ("test", [0]), (None, [3, 1, 0])])
def test_a_split_holds_its_faces_in_both_layouts(layout, split, labels, request):
    data = RafDb(request.getfixturevalue(layout), split)
    assert sorted(data.labels) == sorted(labels)
    assert [s.expression for s in data] == data.labels
    assert len(data) == len(labels)


def test_kaggles_layout_is_found_from_either_folder_and_without_tables(kaggle):
    assert [s.source for s in RafDb(kaggle)] == [s.source for s in RafDb(kaggle / "DATASET")]
    (kaggle / "train_labels.csv").unlink()
    assert len(RafDb(kaggle, "train")) == 2


def test_a_table_that_disagrees_with_the_folders_is_refused_with_row_and_both_values(kaggle):
    write_csv(
        kaggle / "train_labels.csv",
        ("image", "label"),
        [("train_00001_aligned.jpg", 5), ("train_00002_aligned.jpg", 1)],
    )
    for path in (kaggle, kaggle / "DATASET"):
        with pytest.raises(
            InputError, match=r"row 1: train_00002_aligned\.jpg has the label '1', but lies in folder 4"
        ):
            RafDb(path)
    assert len(RafDb(kaggle, "test")) == 1


def test_a_table_that_names_a_picture_that_is_not_there_is_refused(kaggle):
    write_csv(kaggle / "test_labels.csv", ("image", "label"), [("test_0002_aligned.jpg", 7)])
    with pytest.raises(InputError, match=r"row 0: test_0002_aligned\.jpg has the label '7', but lies in folder none"):
        RafDb(kaggle)


@pytest.mark.parametrize(
    "line", ["train_00002.jpg 8", "train_00002.jpg 0", "train_00002.jpg", "face.jpg 1", "train_x 1"]
)
def test_a_line_of_the_list_that_is_wrong_is_named_with_its_number(official, line):
    (official / "EmoLabel" / "list_patition_label.txt").write_text(f"{LINES[0]}\n{line}\n")
    with pytest.raises(InputError, match=f"line 2 is '{line}'; expected one such as 'train_00001.jpg 5'"):
        RafDb(official)


def test_a_class_folder_that_rafdb_does_not_have_is_named(kaggle):
    write_pictures(kaggle / "DATASET", "train/8/train_00003_aligned.jpg")
    with pytest.raises(InputError, match=r"train/8: the classes of RAF-DB are folders 1 to 7"):
        RafDb(kaggle)


def test_a_split_that_does_not_exist_lists_those_that_do(official):
    with pytest.raises(InputError, match="no split 'valid'; RAF-DB has train, test"):
        RafDb(official, "valid")


def test_a_folder_of_another_layout_is_told_what_was_looked_for_and_what_is_there(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "notes.txt").touch()
    with pytest.raises(
        InputError, match=r"expected RAF-DB: EmoLabel/.*or train/ and test/.*; found notes.txt, photos/"
    ):
        RafDb(tmp_path)
    with pytest.raises(InputError, match="found nothing"):
        RafDb(tmp_path / "photos")


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(InputError, match="absent: there is no such") as caught:
        RafDb(tmp_path / "absent")
    assert caught.value.status == "missing"


def test_a_list_without_pictures_says_where_they_should_be(official):
    (official / "Image").rename(official / "Pictures")
    (official / "Image").mkdir()
    with pytest.raises(InputError, match=r"Image: expected aligned/ or original/; found nothing"):
        RafDb(official)


def test_a_split_without_faces_is_refused(official):
    (official / "EmoLabel" / "list_patition_label.txt").write_text(LINES[0])
    with pytest.raises(InputError, match="RAF-DB without any face of test"):
        RafDb(official, "test")


def test_a_picture_that_is_missing_is_named_when_it_is_asked_for(official):
    data = RafDb(official)
    (official / "Image" / "aligned" / "train_00002_aligned.jpg").unlink()
    assert data[0].image.shape == (8, 8, 3)
    with pytest.raises(InputError, match=r"train_00002_aligned\.jpg") as caught:
        data[1]
    assert caught.value.status == "missing"
