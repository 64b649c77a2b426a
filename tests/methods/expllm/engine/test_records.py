import json
import re

import numpy as np
import pytest

from mien.errors import InputError
from mien.facs.observation import Hidden, Observation, Pose
from mien.facs.units import ActionUnits
from mien.facs.vocabulary import Expression
from mien.methods.expllm.engine import records
from mien.methods.expllm.engine.chain import Call
from mien.methods.expllm.engine.rules import explain
from tests.methods.expllm.faces import SMILE, SURPRISE, face

MADE_BY = {"data": "drawn", "pseudo_labels": None} | {
    "engine": "deterministic",
    "engine_version": "1",
    "model": None,
    "seed": 5,
    "max_loops": 3,
}


def row(observed, **other):
    return records.record(observed, "teacher", MADE_BY | other, explain(observed, seed=5), ())


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_line_is_enough_to_write_the_same_text_again():
    shares = {Expression.HAPPINESS: 0.75, Expression.SURPRISE: 0.25}
    given = {"asymmetries": {12: 0.2}, "shares": shares, "rated": False, "pose": Pose(25.0, 0.0, 0.0)}
    observed = face(SMILE, Expression.HAPPINESS, "a.png", **given)
    line = json.loads(json.dumps(row(observed)))
    units, votes, pose = ActionUnits(line["au"][:21], line["au"][21:]), np.array(line["votes"]), Pose(**line["pose"])
    again = Observation(line["image_id"], units, votes, line["rated"], pose, tuple(Hidden(**h) for h in line["hidden"]))
    assert explain(again, line["seed"], line["max_loops"]).text == line["text"]


def test_a_line_says_what_its_text_names_where_and_whether_it_was_measured():
    line = row(face(SMILE, Expression.HAPPINESS, "a.png"))
    told = [mention for mention in line["mentions"] if mention["au"] == 12]
    assert {(m["present"], m["supported"], m["side"]) for m in told} == {(True, True, "both")}
    assert told[0]["band"] == "pronounced"
    assert re.search("smile|corners", line["text"][told[0]["start"] : told[0]["end"]])
    assert (line["label"], line["verified"], line["loops"], line["refused"]) == ("happiness", True, 1, [])
    assert list(line["sections"]) == ["observations", "interpretation", "conclusion"]


def test_refused_descriptions_stay_with_what_was_wrong_with_them():
    line = row(face({}, Expression.FEAR))
    assert not line["verified"]
    assert [attempt["objections"][0] for attempt in line["refused"]] == ["it reads as neutral, not fear"] * 3


def test_a_stopped_file_is_gone_on_with_after_its_last_whole_line(tmp_path):
    path = write(
        tmp_path / "cot.jsonl", row(face(SMILE, Expression.HAPPINESS, "a")), row(face({}, Expression.FEAR, "b"))
    )
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"image_id": "c", "text": "Key obs')
    assert records.resume(path, MADE_BY) == {"a", "b"}
    assert path.read_bytes() == whole


def test_no_file_is_a_start_from_nothing(tmp_path):
    assert records.resume(tmp_path / "none.jsonl", MADE_BY) == set()


@pytest.mark.parametrize(("key", "other"), [("seed", 6), ("engine", "llm"), ("engine_version", "0"), ("max_loops", 1)])
def test_a_file_made_in_another_way_is_not_gone_on_with(tmp_path, key, other):
    path = write(tmp_path / "cot.jsonl", row(face(SMILE, Expression.HAPPINESS), **{key: other}))
    with pytest.raises(InputError, match=f"made with {key} {other!r}"):
        records.resume(path, MADE_BY)


@pytest.mark.parametrize("line", ["{}", "no JSON", "[]"])
def test_a_file_of_something_else_is_left_alone(tmp_path, line):
    path = tmp_path / "notes.txt"
    path.write_text(line + "\n")
    with pytest.raises(InputError, match="line 1"):
        records.resume(path, MADE_BY)
    assert path.read_text() == line + "\n"


def test_faces_are_counted_by_expression():
    rows = [
        row(face(SMILE, Expression.HAPPINESS, "a")),
        row(face(SURPRISE, Expression.SURPRISE, "b")),
        row(face({}, Expression.FEAR, "c")),
        records.rejected(face({}, Expression.FEAR, "d"), "reader", MADE_BY, InputError("no answer"), ()),
    ]
    counted = records.count(iter(rows))
    assert (counted["faces"], counted["verified"], counted["rejected"]) == (4, 2, 1)
    assert counted["per_class"]["fear"] == {"faces": 2, "verified": 0, "rejected": 1}
    assert sum(counted["loops"].values()) == 3
    assert "cost" not in counted


def test_what_a_language_model_cost_is_added_up_for_rejected_faces_too():
    calls = [Call("describe", 0.5, 100, 20), Call("infer", 0.25, None, None)]
    observed = face(SMILE, Expression.HAPPINESS)
    rows = [
        records.record(observed, "teacher", MADE_BY, explain(observed), calls),
        records.rejected(observed, "teacher", MADE_BY, InputError("no answer"), calls),
    ]
    cost = {"calls": 4, "seconds": 1.5, "prompt_tokens": 200, "completion_tokens": 40}
    assert records.count(iter(rows))["cost"] == cost
