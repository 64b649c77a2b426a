"""A folder of pictures sorted into one folder a class: the layout that most tools write."""

from collections.abc import Sequence
from pathlib import Path

from mien.core.images import ENDINGS, read_image
from mien.datasets.base import Sample
from mien.errors import InputError
from mien.facs.vocabulary import Expression, expression


class Folder(Sequence[Sample]):
    """Pictures in ROOT/CLASS/*.png, or ROOT/SPLIT/CLASS/*.png when a split is named.

    CLASS is an expression or one of its everyday names ("happy"), whatever its case. InputError names any other folder.
    labels: the expression of each picture.
    expressions: those that have a folder, with pictures or without, in any split; all eight when only one has, for a
    score over a single class would always be perfect.
    """

    def __init__(self, path: Path | str, split: str | None = None) -> None:
        root = Path(path) / split if split else Path(path)
        if not root.is_dir():
            raise InputError(f"{root}: there is no such folder", "missing")
        self._root = root
        self._rows = [(picture, _label(folder)) for folder in subfolders(root) for picture in pictures(folder)]
        if not self._rows:
            raise InputError(f"{root}: no pictures in folders named after expressions, such as {root / 'happiness'}")
        self.labels = [label for _, label in self._rows]
        # Beside the split there may lie folders of something else.
        others = [named(f.name) for one in subfolders(Path(path)) for f in subfolders(one)] if split else []
        classes = {*self.labels, *(_label(f) for f in subfolders(root)), *(e for e in others if e is not None)}
        self.expressions = tuple(sorted(classes)) if len(classes) > 1 else tuple(Expression)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        path, label = self._rows[index]
        return Sample(read_image(path), expression=label, source=placed(self._root, path))


def named(folder: str) -> Expression | None:
    """The expression that a folder is named after; None where it is none."""
    try:
        return expression(folder)
    except InputError:
        return None


def _label(folder: Path) -> Expression:
    try:
        return expression(folder.name)
    except InputError as error:
        classes = any(named(inner.name) is not None for inner in subfolders(folder))
        remedy = f"; to read what lies in it, name the split {folder.name!r}" if classes else ""
        raise InputError(f"{folder}: {error}{remedy}") from error


def placed(root: Path, file: Path) -> str:
    """Where in a data set a file lies, under the name of its root: the same wherever that is, however it is spelt."""
    return (Path(root.resolve().name) / file.relative_to(root)).as_posix()


def subfolders(root: Path) -> list[Path]:
    """The folders in a folder, in the order of their names, without hidden ones; none where there is no such folder."""
    return sorted(f for f in root.iterdir() if f.is_dir() and not f.name.startswith(".")) if root.is_dir() else []


def pictures(folder: Path) -> list[Path]:
    """The pictures in a folder and the folders below it, in the order of their names, without hidden ones."""
    return [
        file
        for file in sorted(folder.rglob("*"))
        if file.suffix.lower() in ENDINGS and file.is_file() and not file.name.startswith(".")
    ]


def first_of(root: Path, *names: str) -> Path | None:
    """The first of these files or folders that is there."""
    return next((root / name for name in names if (root / name).exists()), None)


def no_layout(root: Path, wanted: str) -> InputError:
    """The error for a folder with none of a data set's layouts: those, in words, and what lies there instead."""
    if not root.exists():
        return InputError(f"{root}: there is no such file or folder", "missing")
    names = sorted(f"{f.name}/" if f.is_dir() else f.name for f in root.iterdir()) if root.is_dir() else ["a file"]
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return InputError(f"{root}: expected {wanted}; found {', '.join(names[:8]) or 'nothing'}{more}")
