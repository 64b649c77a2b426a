"""FERPlus: the faces of FER2013 with the votes of ten annotators (Barsoum et al., ICMI 2016, arXiv:1608.01041)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.datasets import fer2013
from mien.datasets.base import Sample
from mien.datasets.tables import open_csv, read_parquet
from mien.errors import InputError
from mien.facs.vocabulary import Expression

# The order of Sample.votes; fer2013new.csv and the Parquet files use these very names.
VOTE_COLUMNS = (*(e.label for e in Expression), "unknown", "NF")


class FerPlus(Sequence[Sample]):
    """FERPlus, as Parquet or as the two original CSV files.

    path: a Parquet file with PNG bytes in `image`, the ten vote columns and `dup_other_split`; or a folder that holds
    fer2013.csv and fer2013new.csv (row n of one belongs to row n of the other), or ferplus_SPLIT.parquet.
    split: "train", "valid", "test", or None for every row of the file.
    """

    def __init__(self, path: Path | str, split: str | None = None) -> None:
        path = Path(path)
        if path.is_dir() and split is not None and (path / f"ferplus_{split}.parquet").is_file():
            path = path / f"ferplus_{split}.parquet"
        elif not (path / "fer2013.csv").is_file() and (files := sorted(path.glob("ferplus_*.parquet"))):
            there = ", ".join(file.stem.removeprefix("ferplus_") for file in files)
            raise InputError(f"{path}: name a split that is there, one of {there}; got {split!r}")
        self._name = path.name
        if path.suffix == ".parquet":
            self._from_parquet(path, split)
        elif path.is_dir() or path.name == "fer2013.csv":
            self._from_csv(path if path.is_dir() else path.parent, split)
        else:
            raise InputError(
                f"{path}: expected a .parquet file, or a folder with fer2013.csv and fer2013new.csv", "missing"
            )

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        image, row = self._images[index], self._row[index]
        where = f"{self._name}:{row}"
        return Sample(
            image=fer2013.face(image, where),
            votes=self.votes[index],
            source=where,
            duplicate=bool(self.duplicate[index]),
        )

    def _from_parquet(self, path: Path, split: str | None) -> None:
        table = read_parquet(path, VOTE_COLUMNS, split)
        self._images: list[bytes | str] = table["image"].to_pylist()
        self._row = list(range(len(self._images)))
        self.votes = _check_votes(np.stack([table[c].to_numpy() for c in VOTE_COLUMNS], axis=1), self._row, path)
        self.duplicate: NDArray[np.bool_] = table["dup_other_split"].to_numpy()

    def _from_csv(self, folder: Path, split: str | None) -> None:
        pictures = fer2013.read_rows(folder / "fer2013.csv")
        with open_csv(folder / "fer2013new.csv", ("Usage", *VOTE_COLUMNS)) as lines:
            labels = list(lines)
        if len(pictures) != len(labels):
            raise InputError(
                f"{folder}: fer2013.csv has {len(pictures)} rows, fer2013new.csv has {len(labels)}; "
                "both must be the complete original files"
            )
        for i, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
            if picture[2] != label["Usage"]:
                raise InputError(
                    f"{folder}: row {i}: fer2013.csv says {picture[2]!r}, fer2013new.csv says {label['Usage']!r}; "
                    "the two files are not in the same order"
                )
        twice = fer2013.in_several_splits([p[2] for p in pictures], [p[1] for p in pictures])
        self._row = [i for i, picture in enumerate(pictures) if fer2013.keeps(split, picture[2])]
        self._images = [pictures[i][1] for i in self._row]
        counts = [[_count(labels[i][c], folder, i, c) for c in VOTE_COLUMNS] for i in self._row]
        self.votes = _check_votes(np.array(counts, np.int64).reshape(-1, len(VOTE_COLUMNS)), self._row, folder)
        self.duplicate = np.array([twice[i] for i in self._row], bool)


def _count(text: str | None, folder: Path, row: int, column: str) -> int:
    if text is None or not text.isdecimal():
        raise InputError(f"{folder}: row {row}: the votes for {column} are {text!r}, which is no number")
    return int(text)


def _check_votes(votes: NDArray[np.number], rows: Sequence[int], path: Path) -> NDArray[np.uint8]:
    # A null among the votes arrives as NaN, which no comparison finds right.
    right = (votes.sum(axis=1) <= 10) & (votes >= 0).all(axis=1)
    for i in np.flatnonzero(~right)[:1]:
        raise InputError(f"{path}: row {rows[i]}: {votes[i].sum()} votes, but ten people voted at the most")
    return votes.astype(np.uint8)
