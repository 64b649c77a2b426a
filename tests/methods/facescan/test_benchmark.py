import json

import numpy as np
import pytest

from mien.core.pipeline import Pipeline
from mien.errors import InputError
from mien.facs.vocabulary import Expression
from mien.methods.facescan import benchmark, rows
from mien.providers.base import Completion
from mien.results.face import Face, Reading
from tests.helpers import scores
from tests.methods.facescan.test_rows import faces

NEUTRAL, HAPPY, SAD = Expression.NEUTRAL, Expression.HAPPINESS, Expression.SADNESS
FEW = {"resamples": 50}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Six rows of two; happy faces are two of three."""
    return rows.build(faces(12), tmp_path_factory.mktemp("bench") / "rows", data="drawn", rows=6, people=2)


def smiles(pixels):
    """Whether a drawn face smiles: its mouth is higher at the corners than in the middle."""
    gray = pixels[:, :, 0].astype(float)
    side = gray.shape[0]
    if side < 48:
        return False
    lower = gray[int(0.6 * side) : int(0.95 * side)]
    middle = lower[:, int(0.46 * side) : int(0.54 * side)].mean(axis=1).argmin()
    corner = lower[:, int(0.3 * side) : int(0.34 * side)].mean(axis=1).argmin()
    return middle > corner


class Knows:
    """A provider that sees what a drawn face shows; the answer to a question about several people is made by `list`."""

    name, model, ranks = "knows", "m", False

    def __init__(self, people=None, usage=None):
        self.people, self.usage, self.asked = people, usage or {}, []

    def complete(self, messages, images, json_schema=None, choices=None):
        picture = images[-1]
        self.asked.append((messages[-1].text, json_schema))
        if picture.face is None:
            said = self.people(picture.pixels, messages[-1].text)
            return said if isinstance(said, Completion) else Completion(json.dumps({"people": said}), usage=self.usage)
        x1, y1, x2, y2 = picture.face.box.astype(int)
        label = "happiness" if smiles(picture.pixels[y1:y2, x1:x2]) else "sadness"
        return Completion(json.dumps({"expression": label, "confidence": 1.0}), usage=self.usage)


def pipeline(detect=rows.split):
    def read(crops):
        return [Reading(scores({HAPPY: 1.0})) for _ in crops]

    return Pipeline(detect=detect, read=read)


def measured(built, provider, *systems, detect=rows.split):
    return benchmark.measure(built, provider, systems, pipeline=pipeline(detect), **FEW)


def in_order(pixels, _):
    height, width = pixels.shape[:2]
    return [
        {
            "box": (face.box / [width, height, width, height]).tolist(),
            "expression": "happiness" if smiles(crop(pixels, face)) else "sadness",
        }
        for face in rows.split(pixels)
    ]


def crop(pixels, face):
    x1, y1, x2, y2 = face.box.astype(int)
    return pixels[y1:y2, x1:x2]


@pytest.mark.parametrize("system", ["splitter", "detector", "one-prompt"])
def test_who_knows_every_face_has_all_of_them_right_however_they_are_told_apart(built, system):
    result = measured(built, Knows(in_order), system)
    found = result["systems"][system]
    for name in ("count_accuracy", "matched", "strict_accuracy", "accuracy_among_matched", "macro_f1"):
        assert found[name]["value"] == 1
    assert found["strict_less_alone"] == {"value": 0, "low": 0, "high": 0}
    assert result["alone"]["accuracy"]["value"] == 1
    assert found["recall"]["happiness"]["n"] == 8
    assert found["statuses"] == {"ok": 12}
    assert result["people"] == 12


def test_a_face_that_is_not_found_counts_as_wrong_but_not_among_the_matched(built):
    def only_the_left(image):
        return rows.split(image)[:1]

    found = measured(built, Knows(), "detector", detect=only_the_left)["systems"]["detector"]
    assert found["strict_accuracy"]["value"] == found["matched"]["value"] == 0.5
    assert (found["accuracy_among_matched"]["value"], found["count_accuracy"]["value"]) == (1, 0)
    assert found["strict_less_alone"]["value"] == -0.5
    assert (found["by_place"]["first"]["value"], found["by_place"]["second"]["value"]) == (1, 0)
    assert found["statuses"] == {"ok": 6, "missed": 6}
    assert np.sum(found["confusion"], axis=0)[-1] == 6


def test_a_face_found_where_there_is_none_is_a_false_alarm(built):
    def one_more(image):
        return [*rows.split(image), Face(np.array([0, 0, 9, 9], np.float32), None, 0.9)]

    found = measured(built, Knows(), "detector", detect=one_more)["systems"]["detector"]
    assert (found["strict_accuracy"]["value"], found["count_accuracy"]["value"]) == (1, 0)


def test_people_in_the_wrong_order_are_matched_by_their_boxes(built):
    found = measured(built, Knows(lambda *a: in_order(*a)[::-1]), "one-prompt")["systems"]["one-prompt"]
    assert found["strict_accuracy"]["value"] == 1


def test_a_list_that_leaves_people_out_or_invents_some_has_the_wrong_count(built):
    short = measured(built, Knows(lambda *a: in_order(*a)[1:]), "one-prompt")["systems"]["one-prompt"]
    assert (short["strict_accuracy"]["value"], short["count_accuracy"]["value"]) == (0.5, 0)
    stranger = {"box": [0.0, 0.0, 0.01, 0.01], "expression": "fear"}
    long = measured(built, Knows(lambda *a: [*in_order(*a), stranger]), "one-prompt")["systems"]["one-prompt"]
    assert (long["strict_accuracy"]["value"], long["count_accuracy"]["value"]) == (1, 0)


def test_a_refusal_is_wrong_and_counts_nobody(built):
    found = measured(built, Knows(lambda *_: Completion("", refusal="no")), "one-prompt")["systems"]["one-prompt"]
    assert (found["strict_accuracy"]["value"], found["count_accuracy"]["value"]) == (0, 0)
    assert found["statuses"] == {"refused": 12}


def test_a_face_alone_and_in_its_row_is_asked_about_in_the_same_words(built):
    provider = Knows()
    measured(built, provider, "splitter")
    alone, in_rows = provider.asked[:12], provider.asked[12:]
    assert alone == in_rows
    assert len({text for text, _ in alone}) == 12


def test_the_person_described_is_asked_for_by_place_and_by_frame_in_turn(tmp_path):
    framed = rows.build(faces(12), tmp_path / "rows", data="drawn", rows=6, people=2, frames=True)
    words = [benchmark.described(row, i) for i, row in enumerate(framed.rows)]
    assert words[:2] == ["the first person from the left", "the second person from the left"]
    assert words[2:4] == [f"the person in the {framed.rows[2 + i].faces[i].frame} frame" for i in range(2)]

    def obeys(pixels, text):
        people = in_order(pixels, text)
        return people[:1] if "first" in text else people[1:] if "second" in text else []

    plain = rows.build(faces(12), tmp_path / "plain", data="drawn", rows=6, people=2)
    assert measured(plain, Knows(obeys), "target")["systems"]["target"]["exact_match"]["value"] == 1
    framed_result = measured(framed, Knows(obeys), "target")["systems"]["target"]
    assert framed_result["exact_match"]["value"] == pytest.approx(4 / 6)
    assert framed_result["statuses"] == {"ok": 4, "missed": 2}


def test_time_and_tokens_are_counted_for_each_person(built):
    result = measured(built, Knows(in_order, {"prompt_tokens": 7, "completion_tokens": 3}), "splitter", "one-prompt")
    assert result["alone"]["tokens_a_person"] == result["systems"]["splitter"]["tokens_a_person"] == 10
    assert result["systems"]["one-prompt"]["tokens_a_person"] == 5
    assert result["alone"]["latency_ms_a_person"] > 0


def test_a_system_that_is_unknown_is_named_before_anybody_is_asked(built):
    provider = Knows()
    with pytest.raises(InputError, match="no system 'guess'; there are splitter, detector"):
        measured(built, provider, "guess")
    assert provider.asked == []
