"""The labels of age, gender and race that data sets have in common, and how finer ones are merged into coarser ones.

Seven races as in FairFace; six with the two Asian ones as one; five as in UTKFace. Five groups of age. After AlDahoul,
Tan, Kasireddy and Zaki, 2024, arXiv:2410.24148.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mien.core.images import read_image
from mien.datasets.base import Sample
from mien.datasets.folder import placed
from mien.facs.vocabulary import Attribute

ASIAN, OTHER = "asian", "other"
SIX: Mapping[str, str] = {"east asian": ASIAN, "southeast asian": ASIAN}
FIVE: Mapping[str, str] = {**SIX, "latino or hispanic": OTHER, "middle eastern": OTHER}


class Person(NamedTuple):
    """A picture of one person, with labels."""

    picture: Path
    attributes: Mapping[Attribute, str]


class PeopleDataset(Sequence[Sample]):
    """Pictures of one person each, without expressions.

    root: the folder of the data set.   attributes: of each.
    """

    expressions = ()

    def __init__(self, root: Path, people: Iterable[Person]) -> None:
        self._root, self._people = root, list(people)
        self.attributes = [person.attributes for person in self._people]

    def __len__(self) -> int:
        return len(self._people)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        person = self._people[index]
        image, source = read_image(person.picture), placed(self._root, person.picture)
        return Sample(image, attributes=person.attributes, source=source)


def merged(labels: tuple[str, ...], by: Mapping[str, str]) -> tuple[str, ...]:
    """Labels after merging, each once, in the order of their first."""
    return tuple(dict.fromkeys(by.get(label, label) for label in labels))


def age_group(years: int) -> str:
    """The group of an age in whole years, 0 or more."""
    for label in Attribute.AGE.labels:
        first, _, last = label.rstrip("+").partition("-")
        if int(first) <= years and (not last or years <= int(last)):
            return label
    raise ValueError(f"{years} is no age")
