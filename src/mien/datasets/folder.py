"""A folder of pictures sorted into one folder a class: the layout that most tools write."""

from collections.abc import Sequence
from pathlib import Path

from mien.datasets.sample import Sample
from mien.errors import InputError
from mien.images import read_image
from mien.vocabulary import expression

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})


class Folder(Sequence[Sample]):
    """Pictures in ROOT/CLASS/*.png, or ROOT/SPLIT/CLASS/*.png when a split is named.

    CLASS is an expression or one of its everyday names ("happy"), whatever its case. InputError names any other folder.
    """

    def __init__(self, path: Path | str, split: str | None = None) -> None:
        root = Path(path) / split if split else Path(path)
        if not root.is_dir():
            raise InputError(f"{root}: there is no such folder", "missing")
        self._rows = [
            (picture, expression(folder.name))
            for folder in sorted(f for f in root.iterdir() if f.is_dir() and not f.name.startswith("."))
            for picture in sorted(folder.rglob("*"))
            if picture.suffix.lower() in PICTURES
        ]
        if not self._rows:
            raise InputError(f"{root}: no pictures in folders named after expressions, such as {root / 'happiness'}")
        self.expressions = tuple(sorted({label for _, label in self._rows}))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        path, label = self._rows[index]
        return Sample(read_image(path), expression=label, source=str(path))
