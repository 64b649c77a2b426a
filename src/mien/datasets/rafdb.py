"""RAF-DB, basic expressions: 15,339 faces from the web, one of seven classes each (Li, Deng and Du, CVPR 2017)."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from mien.core.images import read_image
from mien.datasets.base import Sample
from mien.datasets.folder import first_of, no_layout, pictures, placed, subfolders
from mien.datasets.tables import open_csv
from mien.errors import InputError
from mien.facs.vocabulary import Expression

# RAF-DB counts from 1, in its own order, and has no contempt.
RAFDB_EXPRESSION = {
    1: Expression.SURPRISE,
    2: Expression.FEAR,
    3: Expression.DISGUST,
    4: Expression.HAPPINESS,
    5: Expression.SADNESS,
    6: Expression.ANGER,
    7: Expression.NEUTRAL,
}
SPLITS = ("train", "test")
_LIST = "EmoLabel/list_patition_label.txt"  # spelled so by its authors
_WANTED = f"RAF-DB: {_LIST} beside Image/, or train/ and test/ with folders 1 to 7, alone or in DATASET/"
_Rows = list[tuple[Path, int]]


class RafDb(Sequence[Sample]):
    """RAF-DB basic: 12,271 training and 3,068 test faces, one expression each.

    path: the folder with EmoLabel/ and Image/ as its authors give it out, or the one with that folder, basic/; or the
    one with train/ and test/ (or with DATASET/), each with folders 1 to 7, as on Kaggle. There, train_labels.csv and
    test_labels.csv, where they are, must agree with the folders.
    split: "train", "test", or None for both.
    aligned: False reads the whole photographs in Image/original even where the aligned faces are there too.
    labels: the expression of each face.
    InputError for a folder of another layout, and for a line of labels that is wrong.
    """

    expressions = tuple(sorted(RAFDB_EXPRESSION.values()))

    def __init__(self, path: Path | str, split: str | None = None, *, aligned: bool = True) -> None:
        if split not in (None, *SPLITS):
            raise InputError(f"there is no split {split!r}; RAF-DB has {', '.join(SPLITS)}")
        root, splits = Path(path), (split,) if split else SPLITS
        if (listed := first_of(root, _LIST, f"basic/{_LIST}")) is not None:
            self._root, self._rows = listed.parents[1], _official(listed, splits, aligned)
        else:
            self._root = root / "DATASET" if (root / "DATASET").is_dir() else root
            self._rows = _numbered_folders(self._root, splits)
        if not self._rows:
            raise InputError(f"{root}: RAF-DB without any face of {' or '.join(splits)}")
        self.labels = [RAFDB_EXPRESSION[number] for _, number in self._rows]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        path, number = self._rows[index]
        return Sample(read_image(path), expression=RAFDB_EXPRESSION[number], source=placed(self._root, path))


def _official(listed: Path, splits: Sequence[str], aligned: bool) -> _Rows:
    root = listed.parents[1]
    folder = first_of(root, *(("Image/aligned", "Image/original") if aligned else ("Image/original",)))
    if folder is None:
        raise no_layout(root / "Image", "aligned/ or original/" if aligned else "original/")
    ending = "_aligned" if folder.name == "aligned" else ""
    return [
        (folder / f"{name}{ending}{suffix}", number)
        for name, suffix, number in _lines(listed)
        if name.startswith(tuple(splits))
    ]


def _lines(listed: Path) -> Iterator[tuple[str, str, int]]:
    """Name, suffix and number of each line, such as "train_00001.jpg 5"; some copies write train_00001_aligned.jpg."""
    for number, line in enumerate(listed.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        match = re.fullmatch(r"((?:train|test)_\d+)(?:_aligned)?(\.\w+)\s+([1-7])", line.strip())
        if match is None and line.strip():
            raise InputError(f"{listed}: line {number} is {line!r}; expected one such as 'train_00001.jpg 5', 1 to 7")
        if match is not None:
            yield match[1], match[2], int(match[3])


def _numbered_folders(base: Path, splits: Sequence[str]) -> _Rows:
    if not any((base / split).is_dir() for split in splits):
        raise no_layout(base, _WANTED)
    rows: _Rows = []
    for split in splits:
        filed = [(picture, _number(folder)) for folder in subfolders(base / split) for picture in pictures(folder)]
        # On Kaggle the tables lie beside DATASET, whichever of the two folders was named.
        labels = (base.parent if base.name == "DATASET" else base) / f"{split}_labels.csv"
        if labels.is_file():
            _check_agreement(labels, filed)
        rows += filed
    return rows


def _number(folder: Path) -> int:
    if folder.name not in map(str, RAFDB_EXPRESSION):
        raise InputError(f"{folder}: the classes of RAF-DB are folders 1 to 7; read folders with names as folder:PATH")
    return int(folder.name)


def _check_agreement(labels: Path, filed: _Rows) -> None:
    folder_of = {picture.name: str(number) for picture, number in filed}
    with open_csv(labels, ("image", "label")) as lines:
        for i, line in enumerate(lines):
            folder = folder_of.get(line["image"], "none")
            if line["label"] != folder:
                raise InputError(
                    f"{labels}: row {i}: {line['image']} has the label {line['label']!r}, but lies in folder {folder}"
                )
