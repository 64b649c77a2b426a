import numpy as np
import pytest

from mien.datasets import Sample
from mien.datasets.people import age_group
from mien.errors import InputError
from mien.facs.vocabulary import Attribute, Expression
from mien.methods.facescan.tasks import TASKS, labels_of, tasks
from tests.helpers import noise

FACE = noise(8, 8, 3)


def votes(**given):
    counts = np.zeros(10, np.uint8)
    for name, count in given.items():
        counts[Expression[name]] = count
    return counts


def test_races_merge_from_seven_to_six_to_five_as_published():
    assert len(TASKS["race"].labels) == 7
    assert TASKS["race6"].labels == ("white", "black", "latino or hispanic", "asian", "indian", "middle eastern")
    assert TASKS["race5"].labels == ("white", "black", "other", "asian", "indian")
    assert [TASKS[name].label("east asian") for name in ("race", "race6", "race5")] == ["east asian", "asian", "asian"]
    assert TASKS["race5"].label("middle eastern") == "other"


def test_a_label_coarser_than_the_task_is_no_label():
    assert TASKS["race"].label("asian") is None
    assert TASKS["race5"].label("asian") == "asian"
    assert TASKS["race6"].label("other") is None
    assert TASKS["age"].label(None) is None


def test_there_are_two_genders_five_ages_and_eight_expressions():
    assert [len(TASKS[name].labels) for name in ("gender", "age", "expression")] == [2, 5, 8]
    assert [age_group(years) for years in (0, 9, 10, 19, 20, 39, 40, 59, 60, 116)] == [
        label for label in Attribute.AGE.labels for _ in range(2)
    ]


def test_several_tasks_are_named_by_comma_and_only_one_about_each_attribute():
    assert [task.name for task in tasks("expression, race6")] == ["expression", "race6"]
    with pytest.raises(InputError, match="one task for each attribute"):
        tasks("race6,race5")
    with pytest.raises(InputError, match="no task 'mood'; there are expression, age"):
        tasks("mood")


def test_votes_give_the_label_of_the_majority_and_duplicates_and_torn_votes_none():
    samples = [
        Sample(FACE, votes=votes(FEAR=7, NEUTRAL=3)),
        Sample(FACE, votes=votes(FEAR=5, NEUTRAL=5)),
        Sample(FACE, votes=votes(FEAR=10), duplicate=True),
        Sample(FACE, expression=Expression.ANGER),
        Sample(FACE, soft=np.eye(8, dtype=np.float32)[2]),
        Sample(FACE),
    ]
    assert labels_of(samples, TASKS["expression"]) == ["fear", None, None, "anger", "surprise", None]


def test_a_data_set_that_lists_its_labels_is_not_read():
    class Listed(list):
        labels = (Expression.FEAR, None)
        attributes = ({Attribute.RACE: "east asian"}, {})

        def __getitem__(self, index):
            raise AssertionError("a picture was read")

    assert labels_of(Listed([0, 0]), TASKS["expression"]) == ["fear", None]
    assert labels_of(Listed([0, 0]), TASKS["race6"]) == ["asian", None]
