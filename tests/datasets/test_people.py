import csv

import numpy as np
import pytest
from PIL import Image

from mien.datasets import FairFace, Hybrid, UtkFace
from mien.errors import InputError
from mien.facs.vocabulary import Attribute
from tests.helpers import noise

AGE, GENDER, RACE = Attribute.AGE, Attribute.GENDER, Attribute.RACE


def save(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise(12, 10, 3, seed=seed)).save(path)


def fairface(root, **splits):
    """The tables as published, with a picture for every row."""
    for name, rows in splits.items():
        with (root / f"fairface_label_{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["file", "age", "gender", "race", "service_test"])
            for i, row in enumerate(rows, start=1):
                writer.writerow([f"{name}/{i}.png", *row, "True"])
                save(root / name / f"{i}.png", seed=i)
    return root


TRAIN = [("more than 70", "Male", "Latino_Hispanic"), ("0-2", "Female", "East Asian"), ("30-39", "Male", "White")]
VALID = [("3-9", "Female", "Middle Eastern")]


def test_fairface_has_ages_in_five_groups_genders_and_seven_races(tmp_path):
    faces = FairFace(fairface(tmp_path, train=TRAIN, val=VALID), "train")
    assert [face.attributes for face in (faces[i] for i in range(3))] == faces.attributes
    assert faces.attributes[0] == {AGE: "60+", GENDER: "male", RACE: "latino or hispanic"}
    assert faces.attributes[1] == {AGE: "0-9", GENDER: "female", RACE: "east asian"}
    assert faces.attributes[2][AGE] == "20-39"
    assert np.array_equal(faces[1].image, noise(12, 10, 3, seed=2))


def test_fairface_has_a_training_and_a_validation_split_and_both(tmp_path):
    root = fairface(tmp_path, train=TRAIN, val=VALID)
    assert [len(FairFace(root, split)) for split in ("train", "valid", None)] == [3, 1, 4]
    with pytest.raises(InputError, match="no split 'test'; FairFace has train, valid"):
        FairFace(root, "test")


def test_a_word_that_fairface_does_not_have_is_named_with_its_row(tmp_path):
    with pytest.raises(InputError, match=r"fairface_label_val.csv: row 1: race is 'martian'"):
        FairFace(fairface(tmp_path, val=[*VALID, ("3-9", "Male", "Martian")]))


def test_a_folder_without_the_tables_is_said_not_to_be_fairface(tmp_path):
    with pytest.raises(InputError, match=r"fairface_label_train\.csv"):
        FairFace(tmp_path)


def test_utkface_has_its_labels_in_the_names_of_its_pictures(tmp_path):
    save(tmp_path / "part1" / "26_1_2_20170116174525125.jpg")
    save(tmp_path / "part2" / "100_0_4_20170112213500903.jpg")
    faces = UtkFace(tmp_path)
    assert faces.attributes == [
        {AGE: "20-39", GENDER: "female", RACE: "asian"},
        {AGE: "60+", GENDER: "male", RACE: "other"},
    ]
    assert faces[0].attributes == faces.attributes[0]
    assert faces.unnamed == 0


def test_pictures_of_utkface_without_all_labels_are_left_out_and_counted(tmp_path):
    save(tmp_path / "26_1_2_20170116174525125.jpg")
    save(tmp_path / "61_1_20170109142408075.jpg")
    save(tmp_path / "39_1_20170116174525125.jpg")
    faces = UtkFace(tmp_path)
    assert (len(faces), faces.unnamed) == (1, 2)


def test_a_folder_that_is_not_utkface_and_a_split_are_refused(tmp_path):
    save(tmp_path / "happy.jpg")
    with pytest.raises(InputError, match="AGE_GENDER_RACE_TIME"):
        UtkFace(tmp_path)
    with pytest.raises(InputError, match="not split"):
        UtkFace(tmp_path, "train")
    with pytest.raises(InputError, match="no such folder"):
        UtkFace(tmp_path / "gone")


def test_attributes_survive_in_a_hybrid(tmp_path):
    (tmp_path / "fair").mkdir()
    fairface(tmp_path / "fair", val=VALID)
    save(tmp_path / "utk" / "26_1_2_20170116174525125.jpg")
    both = Hybrid({"fairface": FairFace(tmp_path / "fair"), "utkface": UtkFace(tmp_path / "utk")})
    assert [both[i].attributes[RACE] for i in range(2)] == ["middle eastern", "asian"]
    assert [both[i].group for i in range(2)] == ["fairface", "utkface"]
