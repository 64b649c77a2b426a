"""Faces that `mien generate` wrote, with the soft labels of `mien annotate` where it has run."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.core.images import read_image
from mien.datasets.base import Sample
from mien.datasets.folder import placed
from mien.errors import InputError
from mien.facs.vocabulary import Expression, expression
from mien.results.record import Record

# In the folder: a line for each picture that was made, and a line for each that was labelled.
MADE, LABELED = "meta.jsonl", "labels.jsonl"


class Synthetic(Sequence[Sample]):
    """A folder of generated faces.

    annotated: take the labels of the vote, soft, and leave out faces that it dropped; a folder without them, or False,
    gives each face the expression that it was made for. Faces that have neither stay without a label.
    labels: the expression of each face, None where it has none.   rows: what the folder says of each face.
    """

    def __init__(self, path: Path | str, split: str | None = None, *, annotated: bool = True) -> None:
        root = Path(path)
        if split is not None:
            raise InputError(f"{root}: generated faces have no splits, but {split!r} was asked for")
        self._root, self.rows = root, read_lines(root / MADE)
        if annotated and (root / LABELED).is_file():
            self.rows = _with_votes(self.rows, root / LABELED)
        self.labels = [_label(row) for row in self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        row = self.rows[index]
        return Sample(
            read_image(self._root / row["file"]),
            expression=self.labels[index],
            soft=_soft(row, self.labels[index]),
            source=placed(self._root, self._root / row["file"]),
        )


def read_lines(path: Path) -> list[Record]:
    """Return the lines of a file of JSON lines that each name a file; raise InputError for another file."""
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        if not all(isinstance(row["file"], str) for row in rows):
            raise TypeError("a line names no file")
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: there is no such file; a folder that `mien generate` wrote has it", "missing"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a list of generated faces ({error!r})") from error
    return rows


def _with_votes(rows: list[Record], path: Path) -> list[Record]:
    """Each row with what the vote says of its file, without those that it dropped."""
    voted = {row["file"]: row for row in read_lines(path)}
    missing = next((row["file"] for row in rows if row["file"] not in voted), None)
    if missing is not None:
        raise InputError(f"{path} has no line for {missing}; run `mien annotate` again, for faces were added since")
    # A picture that could not be labelled has a status instead of a decision.
    return [row | voted[row["file"]] for row in rows if voted[row["file"]].get("decision", "drop") != "drop"]


def _label(row: Record) -> Expression | None:
    soft = row.get("label_soft")
    if soft is not None:
        return Expression(int(np.argmax(soft)))
    return None if row["requested"] is None else expression(row["requested"])


def _soft(row: Record, label: Expression | None) -> NDArray[np.float32] | None:
    """(8,) the soft label, or all for the one label; None without either."""
    if row.get("label_soft") is not None:
        return np.array(row["label_soft"], np.float32)
    return None if label is None else np.eye(len(Expression), dtype=np.float32)[label]
