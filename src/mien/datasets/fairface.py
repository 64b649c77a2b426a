"""FairFace: faces balanced over seven races, with gender and age (Kärkkäinen and Joo, WACV 2021, arXiv:1908.04913).

Labels are what annotators took people for.
"""

from collections.abc import Mapping
from pathlib import Path

from mien.datasets.people import PeopleDataset, Person, age_group
from mien.datasets.tables import open_csv
from mien.errors import InputError
from mien.facs.vocabulary import Attribute

TABLES = {"train": "fairface_label_train.csv", "valid": "fairface_label_val.csv"}
COLUMNS = ("file", "age", "gender", "race")
# The first year of each of FairFace's nine groups says which of the five it is part of.
AGES = {
    word: age_group(years)
    for word, years in {
        "0-2": 0, "3-9": 3, "10-19": 10, "20-29": 20, "30-39": 30, "40-49": 40, "50-59": 50, "60-69": 60,
        "more than 70": 70,
    }.items()
}  # fmt: skip
GENDERS = {"male": "male", "female": "female"}
RACES = {word: word for word in Attribute.RACE.labels} | {"latino_hispanic": "latino or hispanic"}
_WORDS = {Attribute.AGE: AGES, Attribute.GENDER: GENDERS, Attribute.RACE: RACES}


class FairFace(PeopleDataset):
    """FairFace with age in five groups, gender and seven races; it has no expressions.

    path: the folder with fairface_label_train.csv and fairface_label_val.csv, and the pictures in train/ and val/.
    split: "train", "valid", or None for all; papers report on "valid", as no labels of a test set were published.
    InputError for a folder without the tables, and for a word that FairFace does not have, with its row.
    """

    def __init__(self, path: Path | str, split: str | None = None) -> None:
        root = Path(path)
        if split not in (None, *TABLES):
            raise InputError(f"{path}: there is no split {split!r}; FairFace has {', '.join(TABLES)}")
        tables = [root / name for key, name in TABLES.items() if split in (None, key) and (root / name).is_file()]
        if not tables:
            raise InputError(
                f"{path}: expected FairFace: {' and '.join(TABLES.values())}, with pictures in train/ and val/",
                "missing",
            )
        super().__init__(root, (person for table in tables for person in _listed(root, table)))


def _listed(root: Path, table: Path) -> list[Person]:
    with open_csv(table, COLUMNS) as rows:
        return [Person(root / (row["file"] or ""), _labels(row, f"{table}: row {i}")) for i, row in enumerate(rows)]


def _labels(row: Mapping[str, str | None], where: str) -> dict[Attribute, str]:
    labels = {}
    for attribute, words in _WORDS.items():
        word = (row[attribute.value] or "").strip().lower()
        if word not in words:
            raise InputError(f"{where}: {attribute.value} is {word!r}; FairFace has {', '.join(words)}")
        labels[attribute] = words[word]
    return labels
