import numpy as np
import pytest
from PIL import Image

from mien import datasets
from mien.datasets.kinds import data_name, is_named
from mien.errors import InputError
from tests.helpers import drawn_face


@pytest.fixture
def folder(tmp_path):
    for split, name in (("train", "happy"), ("test", "sad")):
        (tmp_path / split / name).mkdir(parents=True)
        Image.fromarray(np.stack([drawn_face(True)] * 3, axis=-1)).save(tmp_path / split / name / "0.png")
    return tmp_path


def test_a_data_set_is_opened_by_its_kind_and_path(folder):
    data = datasets.open(f"folder:{folder / 'test'}")
    assert isinstance(data, datasets.Folder)
    assert [sample.expression.label for sample in data] == ["sadness"]


def test_a_split_stands_beside_the_kind_or_is_given_apart(folder):
    assert [s.expression.label for s in datasets.open(f"folder/test:{folder}")] == ["sadness"]
    assert [s.expression.label for s in datasets.open(f"folder:{folder}", "train")] == ["happiness"]
    assert len(datasets.open(f"worn:folder/train:{folder}")) == 2


@pytest.mark.parametrize("text", ["moon:x", "folder", "folder:", "half-a:moon:x"])
def test_a_text_that_names_no_data_set_is_an_input_error_that_lists_the_kinds(text):
    with pytest.raises(InputError, match="names no data set; expected KIND:PATH, where KIND is one of ferplus"):
        datasets.open(text)


def test_two_different_splits_are_an_input_error(folder):
    with pytest.raises(InputError, match="names the split 'test', but 'train' is asked for too"):
        datasets.open(f"folder/test:{folder}", "train")


def test_a_path_alone_is_no_named_data_set():
    assert is_named("half-a:folder:faces")
    assert not is_named("faces/folder")


def test_data_are_known_by_the_last_name_of_their_path():
    assert data_name("folder:/home/somebody/faces", "train") == "folder:faces, train"
