"""FER2013: 35,887 gray 48x48 faces in seven classes (Goodfellow et al., 2013, arXiv:1307.0414)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.core.images import read_image
from mien.datasets.base import Sample
from mien.datasets.tables import open_csv, read_parquet
from mien.errors import InputError
from mien.facs.vocabulary import Expression

SIDE = 48
# FER2013 counts in its own order and has no contempt.
FER2013_EXPRESSION = {
    0: Expression.ANGER,
    1: Expression.DISGUST,
    2: Expression.FEAR,
    3: Expression.HAPPINESS,
    4: Expression.SADNESS,
    5: Expression.SURPRISE,
    6: Expression.NEUTRAL,
}
USAGE = {"train": "Training", "valid": "PublicTest", "test": "PrivateTest"}


class Fer2013(Sequence[Sample]):
    """FER2013 with its own single labels.

    path: the original fer2013.csv or its folder; or a Parquet file of one split with PNG bytes in `image`, the number
    in `fer2013_label` (null where it is not known) and, where that is marked, `dup_other_split`.
    split: "train", "valid", "test" (Training, PublicTest, PrivateTest in the CSV) or None for all rows.
    """

    expressions = tuple(sorted(FER2013_EXPRESSION.values()))

    def __init__(self, path: Path | str, split: str | None = None) -> None:
        path = Path(path)
        self._path = path / "fer2013.csv" if path.is_dir() else path
        self._rows: list[tuple[int, int | None, str | bytes]]
        if path.suffix == ".parquet":
            table = read_parquet(path, ("fer2013_label",), split)
            labels = table["fer2013_label"].to_pylist()
            for i, label in enumerate(labels):
                if label is not None and label not in FER2013_EXPRESSION:
                    raise InputError(f"{path}: row {i}: the label is {label!r}; FER2013 labels are 0 to 6")
            self._rows = list(zip(range(len(labels)), labels, table["image"].to_pylist(), strict=True))
            self.duplicate = table["dup_other_split"].to_pylist()
        else:
            rows = read_rows(self._path)
            self.duplicate = in_several_splits([row[2] for row in rows], [row[1] for row in rows])
            self._rows = [(i, row[0], row[1]) for i, row in enumerate(rows) if keeps(split, row[2])]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        row, label, picture = self._rows[index]
        where = f"{self._path}: row {row}"
        return Sample(
            face(picture, where),
            expression=None if label is None else FER2013_EXPRESSION[label],
            source=f"{self._path.name}:{row}",
            duplicate=self.duplicate[row],
        )


def read_rows(path: Path) -> list[tuple[int, str, str]]:
    """Yield label, pixel text and usage of each row of fer2013.csv; raise InputError for a row of another form."""
    rows = []
    with open_csv(path, ("emotion", "pixels", "Usage")) as lines:
        for i, line in enumerate(lines):
            label = line["emotion"]
            if label not in {str(n) for n in FER2013_EXPRESSION}:
                raise InputError(f"{path}: row {i}: the label is {label!r}; FER2013 labels are 0 to 6")
            if line["pixels"] is None:
                raise InputError(f"{path}: row {i}: ends before its pixels")
            if line["Usage"] not in USAGE.values():
                raise InputError(
                    f"{path}: row {i}: the usage is {line['Usage']!r}; FER2013 has {', '.join(USAGE.values())}"
                )
            rows.append((int(label), line["pixels"], line["Usage"]))
    return rows


def keeps(split: str | None, usage: str) -> bool:
    """Return whether a row of this usage is in the split; raise InputError for a split that FER2013 lacks."""
    if split is not None and split not in USAGE:
        raise InputError(f"there is no split {split!r}; FER2013 has {', '.join(USAGE)}")
    return split is None or usage == USAGE[split]


def face(pixels: str | bytes, where: str) -> NDArray[np.uint8]:
    """The (48, 48, 3) picture written as 2,304 numbers, or the picture that a file's bytes hold."""
    if isinstance(pixels, bytes):
        return read_image(pixels)
    try:
        values = np.array(pixels.split(), dtype=np.int64)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{where}: a pixel value is no number ({error})") from error
    outside = values[(values < 0) | (values > 255)]
    if values.size != SIDE * SIDE or outside.size:
        got = f"{values.size}" + (f", one of them {outside[0]}" if outside.size else "")
        raise InputError(f"{where}: expected {SIDE * SIDE} pixel values from 0 to 255, but got {got}")
    return np.repeat(values.astype(np.uint8).reshape(SIDE, SIDE, 1), 3, axis=2)


def in_several_splits(splits: Sequence[str], pixels: Sequence[str]) -> list[bool]:
    """For each row whether the very same pixels also occur in a row of another split."""
    seen: dict[str, set[str]] = {}
    for split, picture in zip(splits, pixels, strict=True):
        seen.setdefault(picture, set()).add(split)
    return [len(seen[picture]) > 1 for picture in pixels]
