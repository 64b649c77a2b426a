import numpy as np
import pytest

from mien.datasets import Folder
from mien.errors import InputError
from mien.facs.vocabulary import Expression
from tests.helpers import encoded, noise


def write(root, *names):
    for i, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(noise(8, 8, 3, seed=i)))
    return root


def test_the_folder_names_the_expression_in_everyday_words_and_any_case(tmp_path):
    data = Folder(write(tmp_path, "Angry/a.png", "happy/b.png", "SURPRISE/c.png", "no_emotion/d.png"))
    assert {s.source.rsplit("/", 1)[1]: s.expression for s in data} == {
        "a.png": Expression.ANGER,
        "b.png": Expression.HAPPINESS,
        "c.png": Expression.SURPRISE,
        "d.png": Expression.NEUTRAL,
    }


def test_a_sample_is_the_picture_in_the_file(tmp_path):
    (sample,) = Folder(write(tmp_path, "fear/a.png"))
    np.testing.assert_array_equal(sample.image, noise(8, 8, 3, seed=0))
    assert sample.source == f"{tmp_path.name}/fear/a.png"
    assert sample.votes is None


def test_pictures_of_every_kind_count_and_other_files_do_not(tmp_path):
    write(tmp_path, "fear/a.JPG", "fear/b.webp", "fear/deep/er/c.png", "fear/notes.txt", ".cache/d.png", "e.png")
    assert [s.source[len(tmp_path.name) + 1 :] for s in Folder(tmp_path)] == [
        "fear/a.JPG", "fear/b.webp", "fear/deep/er/c.png",
    ]  # fmt: skip


def test_the_order_is_that_of_the_names(tmp_path):
    write(tmp_path, "sad/2.png", "sad/1.png", "anger/3.png")
    assert [s.source[-5:] for s in Folder(tmp_path)] == ["3.png", "1.png", "2.png"]


def test_a_split_is_a_folder_above_the_classes(tmp_path):
    write(tmp_path, "train/sad/a.png", "test/happy/b.png", "test/sad/c.png")
    assert [s.expression for s in Folder(tmp_path, "test")] == [Expression.HAPPINESS, Expression.SADNESS]
    assert len(Folder(str(tmp_path), "train")) == 1


def test_a_folder_that_names_no_expression_is_named(tmp_path):
    with pytest.raises(InputError, match="hungry: 'hungry' names no expression; the eight are neutral"):
        Folder(write(tmp_path, "happy/a.png", "hungry/b.png"))


def test_a_folder_of_splits_says_that_one_must_be_named(tmp_path):
    with pytest.raises(InputError, match=r"test: 'test' names no expression.*; to read what lies in it, name"):
        Folder(write(tmp_path, "train/happy/a.png", "test/sad/b.png"))


def test_what_lies_beside_the_split_that_is_read_is_no_matter(tmp_path):
    data = Folder(write(tmp_path, "test/happy/a.png", "test/sad/b.png", "notes/figures/c.png"), "test")
    assert data.expressions == (Expression.HAPPINESS, Expression.SADNESS)


def test_a_source_does_not_hang_on_how_the_path_is_spelt(tmp_path, monkeypatch):
    write(tmp_path, "faces/happy/a.png")
    monkeypatch.chdir(tmp_path / "faces")
    spelt = (tmp_path / "faces", "../faces", ".", tmp_path / "faces" / "happy" / "..")
    assert {Folder(path)[0].source for path in spelt} == {"faces/happy/a.png"}


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(InputError, match="valid: there is no such folder") as caught:
        Folder(tmp_path, "valid")
    assert caught.value.status == "missing"


def test_a_folder_without_pictures_says_what_it_should_look_like(tmp_path):
    (tmp_path / "happy").mkdir()
    with pytest.raises(InputError, match=r"no pictures in folders named after expressions, such as .*happiness"):
        Folder(tmp_path)


def test_a_picture_that_cannot_be_read_is_named_when_it_is_asked_for(tmp_path):
    data = Folder(write(tmp_path, "happy/a.png", "happy/b.png"))
    (tmp_path / "happy" / "b.png").write_bytes(b"")
    assert data[0].image.shape == (8, 8, 3)
    with pytest.raises(InputError, match=r"b\.png: the file is empty"):
        data[1]


def test_the_expressions_are_those_with_a_folder_in_any_split(tmp_path):
    write(tmp_path, "train/happy/a.png", "train/sad/b.png", "test/happy/c.png")
    (tmp_path / "test" / "fear").mkdir()
    assert Folder(tmp_path, "test").expressions == (Expression.HAPPINESS, Expression.SADNESS, Expression.FEAR)


def test_a_folder_of_one_class_masks_nothing(tmp_path):
    assert Folder(write(tmp_path, "happy/a.png")).expressions == tuple(Expression)


def test_hidden_files_and_folders_named_like_pictures_are_no_samples(tmp_path):
    write(tmp_path, "happy/a.png", "happy/._a.png", "happy/b.png/c.txt")
    assert [s.source[-5:] for s in Folder(tmp_path)] == ["a.png"]
