"""benchmarks/throughput.py: ratios within rounds, tables to faces, and pictures that changed."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def throughput(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import throughput

    return throughput


def face(word, x=0.0):
    return {"box": [x, 0.0, x + 10.0, 10.0], "word": word, "probabilities": [1.0] + [0.0] * 7, "hidden": []}


def test_ratios_are_taken_within_each_round(throughput):
    def one(before, after):
        return {"analyze": {name: {"processor": v, "clock": v} for name, v in (("before", before), ("after", after))}}

    found = throughput.summary([one(10, 20), one(5, 15), one(20, 20)])["analyze"]
    assert found["before"]["processor"] == 10
    assert found["after / before"]["processor"] == {"value": 2, "low": 1, "high": 3}


def test_a_way_that_one_version_lacks_has_no_ratio(throughput):
    found = throughput.summary([{"analyze --jobs 2": {"after": {"processor": 30.0, "clock": 50.0}}}])
    assert found == {"analyze --jobs 2": {"after": {"processor": 30.0, "clock": 50.0}}}


def test_a_picture_counts_as_changed_if_its_faces_or_a_word_did(throughput):
    before = {"a": [face("fear")], "b": [face("fear")], "c": [face("fear")], "d": []}
    after = {"a": [face("fear")], "b": [face("anger")], "c": [face("fear"), face("fear", 50)], "d": []}
    found = throughput.changed(before, after)
    assert found["share_of_pictures"] == 2 / 4
    assert (found["pictures"], found["with_the_same_faces"], found["other_words"]) == (4, 3, 1)


def test_a_table_is_read_back_as_the_faces_of_each_picture(throughput, tmp_path):
    words = "neutral,happiness,surprise,sadness,anger,disgust,fear,contempt"
    (tmp_path / "t.csv").write_text(
        f"input,status,FaceRectX,FaceRectY,FaceRectWidth,FaceRectHeight,{words}\n"
        "x/a.jpg,ok,1,2,30,40,0.1,0.6,0.3,0,0,0,0,0\n"
        "x/b.jpg,no_face,,,,,,,,,,,,\n"
    )
    found = throughput.read_rows(tmp_path / "t.csv")
    assert found["b.jpg"] == []
    (only,) = found["a.jpg"]
    assert (only["word"], only["box"]) == ("happiness", [1, 2, 31, 42])
