"""AffectNet: faces from the web, labelled by hand (Mollahosseini, Hasani and Mahoor, 2017, arXiv:1708.03985).

Of its eleven codes "none", "uncertain" and "no face" (8 to 10) are no expressions; such rows are left out.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path, PurePath, PurePosixPath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mien.core.images import read_image
from mien.datasets.base import Sample
from mien.datasets.folder import first_of, no_layout, pictures, placed, subfolders
from mien.datasets.tables import open_csv
from mien.errors import InputError
from mien.facs.vocabulary import Expression, expression

# AffectNet's own order.
AFFECTNET_EXPRESSION = {
    0: Expression.NEUTRAL,
    1: Expression.HAPPINESS,
    2: Expression.SADNESS,
    3: Expression.SURPRISE,
    4: Expression.FEAR,
    5: Expression.DISGUST,
    6: Expression.ANGER,
    7: Expression.CONTEMPT,
}
# Codes 8 to 10 as folders and tables spell them; elsewhere in mien "none" is another word for neutral.
_NO_EXPRESSION = {"none", "uncertain", "noface", "nonface"}
LISTS = {"train": "training.csv", "valid": "validation.csv"}
FOLDERS = {
    "train": ("train_set", "train", "Train"),
    "valid": ("val_set", "val", "Val", "valid", "Valid", "validation"),
    "test": ("test_set", "test", "Test"),
}
COLUMNS = (
    *("subDirectory_filePath", "face_x", "face_y", "face_width", "face_height", "facial_landmarks"),
    *("expression", "valence", "arousal"),
)  # fmt: skip
_BOX = COLUMNS[1:5]
_WANTED = (
    "AffectNet: training.csv or validation.csv with Manually_Annotated_Images/, or train_set/ or val_set/ with images/ "
    "and annotations/, or folders named after expressions, alone or in train/, val/ or test/"
)


class _Face(NamedTuple):
    picture: Path
    expression: Expression | None  # None for codes 8 to 10
    box: tuple[int, int, int, int] | None = None  # x, y, width, height


class AffectNet(Sequence[Sample]):
    """AffectNet with its eight classes, or seven without contempt.

    path: the folder of one of four layouts:
    - training.csv and validation.csv, perhaps in Manually_Annotated_file_lists/, with Manually_Annotated_Images/, all
      perhaps in Manually_Annotated/: the first release; each face is cut out by the box that its row gives;
    - train_set/ and val_set/ with images/N.jpg and annotations/N_exp.npy: the later release;
    - train/, val/ and test/ (or Train/, Test/) with a folder a class, by name or by number, as on Kaggle;
    - a folder a class. Here and in the one before, labels.csv (columns pth and label) overrules the folders.
    split: "train", "valid", "test" where the copy has it, or None for all. Papers report on "valid", 500 faces a
    class, for labels of a test set were never published.
    classes: 8 or 7.   labels: the expression of each face.
    InputError for a folder of another layout and for a label that AffectNet does not have, with its row.
    """

    def __init__(self, path: Path | str, split: str | None = None, classes: int = 8) -> None:
        if classes not in (7, 8):
            raise InputError(f"AffectNet is scored with 7 or 8 classes, not {classes}")
        self.expressions = tuple(e for e in Expression if classes == 8 or e != Expression.CONTEMPT)
        self._root = Path(path)
        splits = _splits(self._root)
        if split is not None and split not in splits:
            there = ", ".join(name for name in splits if name) or "no splits, so name none"
            raise InputError(f"{path}: there is no split {split!r}; this copy of AffectNet has {there}")
        faces = splits[split] if split in splits else chain.from_iterable(splits.values())
        self._faces = [face for face in faces if face.expression in self.expressions]
        if not self._faces:
            raise no_layout(Path(path), f"faces in the split {split!r}" if split else _WANTED)
        self.labels = [face.expression for face in self._faces]

    def __len__(self) -> int:
        return len(self._faces)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        face = self._faces[index]
        image = read_image(face.picture)
        if face.box is not None:
            image = _cut(image, face.box, face.picture)
        return Sample(image, expression=face.expression, source=placed(self._root, face.picture))


def _splits(root: Path) -> Mapping[str | None, Iterable[_Face]]:
    """The faces of each split that is there, listed when they are asked for; under None where nothing is split."""
    places = (
        "",
        "Manually_Annotated_file_lists/",
        "Manually_Annotated/",
        "Manually_Annotated/Manually_Annotated_file_lists/",
    )
    lists = {split: first_of(root, *(place + name for place in places)) for split, name in LISTS.items()}
    if any(lists.values()):
        return {split: _listed(root, file) for split, file in lists.items() if file is not None}
    folders = {split: first_of(root, *names) for split, names in FOLDERS.items()}
    there: dict[str | None, Path] = {split: folder for split, folder in folders.items() if folder is not None}
    if any((folder / "annotations").is_dir() for folder in there.values()):
        return {split: _annotated(folder) for split, folder in there.items()}
    if there or any(_is_class(folder.name) for folder in subfolders(root)):
        return _class_folders(there or {None: root}, root / "labels.csv")
    raise no_layout(root, _WANTED)


def _listed(root: Path, file: Path) -> Iterator[_Face]:
    """The rows of training.csv or validation.csv; copies of the latter have no line of column names."""
    images = first_of(root, "Manually_Annotated/Manually_Annotated_Images", "Manually_Annotated_Images")
    images = images or first_of(root, "Manually_Annotated") or root
    with file.open(newline="", encoding="utf-8-sig", errors="replace") as lines:
        named = lines.readline().startswith(COLUMNS[0])
        lines.seek(0)
        for i, row in enumerate(csv.DictReader(lines, None if named else COLUMNS)):
            where = f"{file}: row {i}"
            label = _coded(_whole(row, "expression", where), where)
            if label is not None:
                x, y, width, height = (_whole(row, column, where) for column in _BOX)
                yield _Face(images / row[COLUMNS[0]], label, (x, y, width, height))


def _whole(row: Mapping[str, str | None], column: str, where: str) -> int:
    try:
        return int(row[column] or "")
    except (ValueError, KeyError) as error:
        raise InputError(f"{where}: {column} is {row.get(column)!r}, which is no whole number") from error


def _coded(code: int, where: str) -> Expression | None:
    if code not in range(11):
        raise InputError(f"{where}: the label is {code}; AffectNet labels are 0 to 10")
    return AFFECTNET_EXPRESSION.get(code)


def _annotated(folder: Path) -> Iterator[_Face]:
    """Pictures with a label file each."""
    for picture in pictures(folder / "images"):
        file = folder / "annotations" / f"{picture.stem}_exp.npy"
        try:
            code = _number_in(file.read_bytes())
        except FileNotFoundError as error:
            raise InputError(f"{picture}: its label {file} is not there", "missing") from error
        except (OSError, ValueError, TypeError, OverflowError) as error:  # no array, not one value, or no number
            raise InputError(f"{file}: holds no label, one whole number ({error})") from error
        yield _Face(picture, _coded(code, str(file)))


# Files with the same label are the same bytes, and there are 287,651 of them: decode each kind once.
@lru_cache(maxsize=64)
def _number_in(npy: bytes) -> int:
    """The number in a .npy file, written as one or as text."""
    return int(np.lib.format.read_array(io.BytesIO(npy), allow_pickle=False).item())


def _class_folders(folders: Mapping[str | None, Path], table: Path) -> Mapping[str | None, Iterable[_Face]]:
    """Pictures in a folder a class. A picture that labels.csv names has its label, which may differ from the folder."""
    labels = _labels(table) if table.is_file() else {}
    if labels:
        keys = [_key(picture) for folder in folders.values() for sub in subfolders(folder) for picture in pictures(sub)]
        if labels.keys().isdisjoint(keys):
            raise InputError(
                f"{table}: names no picture that is here; its row 0 is {next(iter(labels))!r}, here are {keys[:1]}"
            )
    return {split: _filed(folder, labels) for split, folder in folders.items()}


def _filed(folder: Path, labels: Mapping[str, Expression | None]) -> Iterator[_Face]:
    for sub in subfolders(folder):
        by_folder = _named(sub.name, str(sub))
        for picture in pictures(sub):
            yield _Face(picture, labels.get(_key(picture), by_folder))


def _labels(table: Path) -> dict[str, Expression | None]:
    with open_csv(table, ("pth", "label")) as lines:
        return {
            _key(PurePosixPath((line["pth"] or "").replace("\\", "/"))): _named(line["label"], f"{table}: row {i}")
            for i, line in enumerate(lines)
        }


def _key(picture: PurePath) -> str:
    """Class folder and name, by which labels.csv knows a picture; a folder's case differs between Train and Test."""
    return "/".join(picture.parts[-2:]).lower()


def _named(word: str | None, where: str) -> Expression | None:
    """The expression that a folder or table names by word or by number; None for codes 8 to 10."""
    plain = (word or "").strip().lower()
    if plain.isdecimal():
        return _coded(int(plain), where)
    if plain.replace("-", "").replace("_", "").replace(" ", "") in _NO_EXPRESSION:
        return None
    try:
        return expression(plain)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _is_class(name: str) -> bool:
    try:
        return _named(name, "") is not None
    except InputError:
        return False


def _cut(image: NDArray[np.uint8], box: tuple[int, int, int, int], picture: Path) -> NDArray[np.uint8]:
    """The part of the picture in the box; what of the box lies beyond the picture is left out."""
    x, y, width, height = box
    face = image[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)]
    if not face.size:
        raise InputError(
            f"{picture}: the face box, x {x}, y {y}, {width} wide, {height} high, holds nothing of the picture, "
            f"{image.shape[1]} x {image.shape[0]} pixels",
            "unreadable",
        )
    return np.ascontiguousarray(face)
