"""UTKFace: faces of all ages whose labels are in their file names (Zhang, Song and Qi, CVPR 2017, arXiv:1702.08423).

Age was partly estimated by a model, and checked by people.
"""

import re
from pathlib import Path

from mien.datasets.folder import pictures
from mien.datasets.people import ASIAN, OTHER, PeopleDataset, Person, age_group
from mien.errors import InputError
from mien.facs.vocabulary import Attribute

GENDERS = ("male", "female")
RACES = ("white", "black", ASIAN, "indian", OTHER)
# AGE_GENDER_RACE_TIME.jpg; a few names lack the race or the gender.
_NAME = re.compile(r"(?P<age>\d{1,3})_(?P<gender>[01])_(?P<race>[0-4])_\d+")


class UtkFace(PeopleDataset):
    """UTKFace with age in five groups, gender and five races, of which "other" is Latino, Hispanic and Middle Eastern.

    path: a folder with pictures named AGE_GENDER_RACE_TIME.jpg, in it or in folders below it.
    split: has to be None: UTKFace is not split.
    unnamed: pictures left out, because their names lack a label, as a few of the set do.
    InputError for a folder in which no name has the labels.
    """

    def __init__(self, path: Path | str, split: str | None = None) -> None:
        root = Path(path)
        if split is not None:
            raise InputError(f"{path}: UTKFace is not split, so leave out the split {split!r}")
        if not root.is_dir():
            raise InputError(f"{path}: there is no such folder", "missing")
        named = [(picture, _NAME.match(picture.name)) for picture in pictures(root)]
        super().__init__(root, (Person(picture, _labels(match)) for picture, match in named if match is not None))
        self.unnamed = len(named) - len(self)
        if not len(self):
            raise InputError(
                f"{path}: expected UTKFace: pictures named AGE_GENDER_RACE_TIME.jpg, such as 26_1_0_2017.jpg"
            )


def _labels(match: re.Match[str]) -> dict[Attribute, str]:
    return {
        Attribute.AGE: age_group(int(match["age"])),
        Attribute.GENDER: GENDERS[int(match["gender"])],
        Attribute.RACE: RACES[int(match["race"])],
    }
