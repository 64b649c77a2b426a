"""A folder of pictures sorted into one folder a class: the layout that most tools write."""

from collections.abc import Sequence
from pathlib import Path

from mien.datasets.sample import Sample
from mien.errors import InputError
from mien.images import ENDINGS, read_image
from mien.vocabulary import Expression, expression


class Folder(Sequence[Sample]):
    """Pictures in ROOT/CLASS/*.png, or ROOT/SPLIT/CLASS/*.png when a split is named.

    CLASS is an expression or one of its everyday names ("happy"), whatever its case. InputError names any other folder.
    expressions: those that have a folder, with pictures or without, in any split; all eight when only one has, for a
    score over a single class would always be perfect.
    """

    def __init__(self, path: Path | str, split: str | None = None) -> None:
        root = Path(path) / split if split else Path(path)
        if not root.is_dir():
            raise InputError(f"{root}: there is no such folder", "missing")
        self._rows = [
            (picture, expression(folder.name))
            for folder in _folders(root)
            for picture in sorted(folder.rglob("*"))
            if picture.suffix.lower() in ENDINGS and picture.is_file() and not picture.name.startswith(".")
        ]
        if not self._rows:
            raise InputError(f"{root}: no pictures in folders named after expressions, such as {root / 'happiness'}")
        classes = {expression(f.name) for one in (_folders(Path(path)) if split else [root]) for f in _folders(one)}
        self.expressions = tuple(sorted(classes)) if len(classes) > 1 else tuple(Expression)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        path, label = self._rows[index]
        return Sample(read_image(path), expression=label, source=str(path))


def _folders(root: Path) -> list[Path]:
    return sorted(f for f in root.iterdir() if f.is_dir() and not f.name.startswith("."))
