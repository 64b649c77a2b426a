import hashlib
import sys

import pytest

from mien.core import zoo
from mien.errors import ModelError


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A model file b"weights" in a package of its own, known to the zoo as "tiny"."""
    folder = tmp_path / "tiny_package"
    folder.mkdir()
    (folder / "__init__.py").touch()
    file = folder / "tiny.onnx"
    file.write_bytes(b"weights")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tiny_package", raising=False)  # that of the test before
    entry = zoo.Entry("tiny_package", file.name, hashlib.sha256(b"weights").hexdigest(), "MIT", "reads nothing")
    monkeypatch.setitem(zoo.MODELS, "tiny", entry)
    return file


@pytest.mark.parametrize("name", zoo.MODELS)
def test_every_shipped_file_is_the_one_whose_hash_is_written_down(name):
    assert hashlib.sha256(zoo.load(name)).hexdigest() == zoo.MODELS[name].sha256


def test_the_default_model_is_shipped_and_reads_expressions():
    assert zoo.MODELS[zoo.DEFAULT].reads


def test_a_model_is_loaded_by_its_name(shipped):
    assert zoo.load("tiny") == b"weights"


def test_a_changed_file_is_refused(shipped):
    shipped.write_bytes(b"weightz")
    with pytest.raises(ModelError, match=r"tiny\.onnx is not the file that was shipped; reinstall tiny_package"):
        zoo.load("tiny")


def test_a_shipped_file_that_is_gone_is_named(shipped):
    shipped.unlink()
    with pytest.raises(ModelError, match=r"tiny_package/tiny\.onnx is missing; reinstall tiny_package"):
        zoo.load("tiny")


def test_a_model_whose_package_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(zoo.MODELS, "lost", zoo.Entry("no_such_package", "a.onnx", "", "MIT", "nothing"))
    with pytest.raises(ModelError, match=r"no_such_package/a\.onnx is missing"):
        zoo.load("lost")


def test_an_unknown_name_lists_the_models_that_read_expressions():
    with pytest.raises(ModelError) as caught:
        zoo.load("raeder")
    readers = [name for name, entry in zoo.MODELS.items() if entry.reads]
    assert "'raeder'" in str(caught.value)
    assert ", ".join(readers) in str(caught.value)
    assert "yunet" not in str(caught.value)


def test_a_path_is_read_whatever_its_hash(tmp_path, monkeypatch):
    monkeypatch.setattr(zoo.trial, "attempt", lambda data, name: None)  # type: ignore[attr-defined]
    path = tmp_path / "own.onnx"
    path.write_bytes(b"mine")
    assert zoo.load(path) == zoo.load(str(path)) == b"mine"


def test_a_path_that_is_missing_or_a_folder_is_named(tmp_path):
    (tmp_path / "folder.onnx").mkdir()
    for name, cause in (("absent.onnx", "there is no such file"), ("folder.onnx", r"cannot be read \(a folder")):
        with pytest.raises(ModelError, match=f"{name}: {cause}"):
            zoo.load(tmp_path / name)


def test_the_shipped_reader_has_a_card_and_a_file_of_ones_own_has_none(tmp_path):
    assert zoo.card(zoo.DEFAULT)
    assert all(isinstance(line, str) and line for line in zoo.card(zoo.DEFAULT))
    assert zoo.card(tmp_path / "own.onnx") == []
