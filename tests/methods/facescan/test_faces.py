import numpy as np
import pytest

from mien.core.pipeline import Pipeline
from mien.datasets import Sample
from mien.errors import InputError
from mien.facs.vocabulary import Attribute, Expression
from mien.methods.facescan.faces import measure, table
from mien.methods.facescan.tasks import TASKS
from mien.providers.base import Completion
from mien.results.face import Reading
from tests.helpers import scores

RACES = ["white", "east asian", "southeast asian", "indian", "middle eastern", "white"]
FACES = [Sample(np.full((8, 8, 3), i, np.uint8), attributes={Attribute.RACE: r}) for i, r in enumerate(RACES)]
FEW = {"resamples": 50}


class Ranks:
    """Answers the choice that a picture's brightness stands for."""

    name, model, ranks = "ranks", "m", True

    def __init__(self, *answers):
        self.answers, self.asked = answers, []

    def complete(self, messages, images, json_schema=None, choices=None):
        self.asked.append((messages[-1].text, choices))
        return self.answers[int(images[-1].pixels[0, 0, 0])]


class Writes(Ranks):
    ranks = False


def said(*words):
    return [Completion(word) for word in words]


def pipeline():
    return Pipeline(
        detect=lambda image: [], read=lambda crops: [Reading(scores({Expression.NEUTRAL: 1.0})) for _ in crops]
    )


def test_scores_are_those_worked_out_by_hand():
    found = table(np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 3]), ("a", "b", "c"), resamples=50, seed=0)
    assert found["accuracy"]["value"] == pytest.approx(3 / 5)
    a, b = found["classes"]["a"], found["classes"]["b"]
    assert (a["precision"]["value"], a["recall"]["value"], a["f1"]["value"]) == pytest.approx((1, 2 / 3, 4 / 5))
    assert (b["precision"]["value"], b["recall"]["value"], b["f1"]["value"]) == pytest.approx((1 / 2, 1 / 2, 1 / 2))
    assert found["macro_f1"]["value"] == pytest.approx((4 / 5 + 1 / 2) / 2)
    assert found["confusion"] == [[2, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0]]
    assert list(found["classes"]) == ["a", "b"]  # no face is a c
    assert 0 <= found["accuracy"]["low"] <= 0.6 <= found["accuracy"]["high"] <= 1


def test_a_provider_that_ranks_is_asked_with_the_answers_of_the_task_in_an_order_of_its_own():
    provider = Ranks(*said("white", "asian", "asian", "indian", "middle eastern", "black"))
    found = measure(FACES, TASKS["race6"], provider, **FEW)
    assert found["accuracy"]["value"] == pytest.approx(5 / 6)
    assert found["classes"]["asian"]["n"] == 2
    assert all(sorted(choices) == sorted(TASKS["race6"].labels) for _, choices in provider.asked)
    assert len({tuple(choices) for _, choices in provider.asked}) > 1


def test_a_provider_that_writes_is_asked_as_in_a_scan_and_its_answers_are_merged():
    words = ("white", "east asian", "east asian", "indian", "latino or hispanic", "refused")
    answers = [Completion(f'{{"race": "{word}"}}') for word in words[:-1]] + [Completion("", refusal="no")]
    found = measure(FACES, TASKS["race5"], Writes(*answers), pipeline=pipeline(), **FEW)
    assert found["accuracy"]["value"] == pytest.approx(5 / 6)
    assert found["statuses"] == {"ok": 5, "refused": 1}
    assert found["classes"]["other"]["recall"]["value"] == 1


def test_an_answer_outside_the_labels_is_wrong_and_counted():
    found = measure(FACES, TASKS["race"], Ranks(*said(*["cannot_tell"] * 6)), **FEW)
    assert (found["accuracy"]["value"], found["statuses"]) == (0, {"cannot_tell": 6})


def test_so_many_faces_are_drawn_and_faces_without_a_label_left_out():
    provider = Ranks(*said(*["white"] * 7))
    found = measure([*FACES, Sample(np.full((8, 8, 3), 6, np.uint8))], TASKS["race"], provider, limit=4, **FEW)
    assert (found["n"], found["dropped"], len(provider.asked)) == (4, 1, 4)


def test_data_without_labels_of_the_task_are_refused():
    with pytest.raises(InputError, match="no label for age"):
        measure(FACES, TASKS["age"], Ranks(), **FEW)
