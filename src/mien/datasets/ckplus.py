"""CK+: posed expressions filmed in a laboratory, from neutral to their peak (Lucey et al., CVPR workshops 2010).

Of its 593 sequences of 123 people 327 carry an expression, one of seven; the last frame of each is the peak.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from mien.core.images import read_image
from mien.datasets import fer2013
from mien.datasets.base import Sample
from mien.datasets.folder import first_of, no_layout, pictures, placed, subfolders
from mien.datasets.tables import open_csv
from mien.errors import InputError
from mien.facs.vocabulary import Expression, expression

# CK+'s own order.
CKPLUS_EXPRESSION = {
    0: Expression.NEUTRAL,
    1: Expression.ANGER,
    2: Expression.CONTEMPT,
    3: Expression.DISGUST,
    4: Expression.FEAR,
    5: Expression.HAPPINESS,
    6: Expression.SADNESS,
    7: Expression.SURPRISE,
}
# ckextended.csv counts as FER2013 does and adds contempt.
CKEXTENDED_EXPRESSION = fer2013.FER2013_EXPRESSION | {7: Expression.CONTEMPT}
SPLITS = ("train", "valid", "test")
_FRAME = re.compile(r"(S\d+)_(\d+)_\d+")
_WANTED = (
    "CK+: cohn-kanade-images/ beside Emotion/, or folders named after expressions with files such as "
    "S010_004_00000017.png, alone or in CK+48/, or ckextended.csv"
)


class _Frame(NamedTuple):
    picture: Path | str  # a file, or the pixels in figures
    expression: Expression
    subject: str | None
    source: str


class CkPlus(Sequence[Sample]):
    """The labelled sequences of CK+ as single faces.

    path: the folder of one of three layouts:
    - cohn-kanade-images/S005/001/*.png and Emotion/S005/001/*_emotion.txt, as its authors give it out;
    - a folder a class with files such as S010_004_00000017.png, perhaps in CK+48/, as on Kaggle;
    - ckextended.csv, or that file itself: 48x48 faces as figures, without subjects.
    split: None for all. CK+ itself has no splits: of its subjects in the order of their names each tenth, from the
    first, is in "test", the one after it in "valid", the rest in "train", so that nobody is in two. ckextended.csv has
    splits of its own, in which people do recur.
    peak_frames: how many frames of a sequence to take, from its last back. Three is usual; they are nearly alike.
    neutral: also take the first frame of each labelled sequence, or ckextended.csv's neutral faces.
    labels: the expression of each face.   expressions: all eight with neutral, else seven.
    InputError for a folder of another layout and for a label that CK+ does not have.
    """

    def __init__(
        self, path: Path | str, split: str | None = None, *, peak_frames: int = 3, neutral: bool = False
    ) -> None:
        if split not in (None, *SPLITS):
            raise InputError(f"there is no split {split!r}; CK+ is read as {', '.join(SPLITS)}")
        if peak_frames < 1:
            raise InputError(f"peak_frames is {peak_frames}; at least one frame of a sequence is read")
        root = Path(path)
        self.expressions = tuple(e for e in Expression if neutral or e != Expression.NEUTRAL)
        images = first_of(root, "cohn-kanade-images", "extended-cohn-kanade-images/cohn-kanade-images")
        emotions = first_of(root, "Emotion", "Emotion_labels/Emotion")
        if images is not None and emotions is not None:
            frames = _by_subject(_sequences(images, emotions, peak_frames, neutral), split)
        elif folders := _class_folders(root):
            frames = _by_subject(_class_frames(folders, peak_frames), split)
        elif (table := root if root.name == "ckextended.csv" else root / "ckextended.csv").is_file():
            frames = list(_table(table, split))
        else:
            raise no_layout(root, _WANTED)
        self._frames = [frame for frame in frames if frame.expression in self.expressions]
        if not self._frames:
            raise InputError(f"{root}: CK+ without any labelled face" + (f" in the split {split!r}" if split else ""))
        self.labels = [frame.expression for frame in self._frames]
        if neutral and Expression.NEUTRAL not in self.labels:
            raise InputError(f"{root}: this copy of CK+ holds no neutral faces; read it without neutral")

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        picture, label, subject, source = self._frames[index]
        image = fer2013.face(picture, source) if isinstance(picture, str) else read_image(picture)
        return Sample(image, expression=label, subject=subject, source=source)


def _sequences(images: Path, emotions: Path, peak_frames: int, neutral: bool) -> Iterator[_Frame]:
    for file in sorted(emotions.glob("*/*/*_emotion.txt")):
        subject, sequence = file.parts[-3:-1]
        frames = pictures(images / subject / sequence)
        if not frames:
            raise InputError(f"{file}: its frames are missing; there is no picture in {images / subject / sequence}")
        if neutral:
            first = frames.pop(0)
            yield _Frame(first, Expression.NEUTRAL, subject, placed(images, first))
        label = _label(file)
        for frame in frames[-peak_frames:]:
            yield _Frame(frame, label, subject, placed(images, frame))


def _label(file: Path) -> Expression:
    """The number in a file such as "   3.0000000e+00"."""
    text = file.read_text(encoding="utf-8", errors="replace").strip()
    try:
        return CKPLUS_EXPRESSION[int(float(text))]
    except (ValueError, OverflowError, KeyError) as error:
        raise InputError(f"{file}: the label is {text!r}; CK+ labels are 0 to 7") from error


def _class_folders(root: Path) -> list[Path]:
    """The folders that hold files named as CK+ names its frames; none when there are none."""
    folders = subfolders(root / "CK+48") or subfolders(root)
    return folders if any(_FRAME.match(file.name) for folder in folders for file in folder.glob("S*.*")) else []


def _class_frames(folders: Sequence[Path], peak_frames: int) -> Iterator[_Frame]:
    for folder in folders:
        label = expression(folder.name)
        # In the order of their names the frames of a sequence come together, the peak last.
        for (subject, _), frames in groupby(pictures(folder), key=_subject_and_sequence):
            for frame in list(frames)[-peak_frames:]:
                yield _Frame(frame, label, subject, placed(folder.parent, frame))


def _subject_and_sequence(picture: Path) -> tuple[str, str]:
    match = _FRAME.match(picture.name)
    if match is None:
        raise InputError(
            f"{picture}: not named as a frame of CK+, such as S010_004_00000017.png, so whose it is is unknown"
        )
    return match[1], match[2]


def _by_subject(frames: Iterable[_Frame], split: str | None) -> list[_Frame]:
    frames = list(frames)
    place = {subject: i % 10 for i, subject in enumerate(sorted({str(frame.subject) for frame in frames}))}
    tenths = {None: range(10), "test": (0,), "valid": (1,), "train": range(2, 10)}[split]
    return [frame for frame in frames if place[str(frame.subject)] in tenths]


def _table(table: Path, split: str | None) -> Iterator[_Frame]:
    with open_csv(table, ("emotion", "pixels", "Usage")) as rows:
        for i, row in enumerate(rows):
            if row["emotion"] not in {str(code) for code in CKEXTENDED_EXPRESSION}:
                raise InputError(f"{table}: row {i}: the label is {row['emotion']!r}; ckextended.csv has 0 to 7")
            if row["pixels"] is None or row["Usage"] not in fer2013.USAGE.values():
                raise InputError(
                    f"{table}: row {i}: the usage is {row['Usage']!r}; expected {', '.join(fer2013.USAGE.values())}"
                )
            if fer2013.keeps(split, row["Usage"]):
                yield _Frame(row["pixels"], CKEXTENDED_EXPRESSION[int(row["emotion"])], None, f"{table.name}:{i}")
