import json

import numpy as np
import pytest
from PIL import Image

from mien import datasets
from mien.datasets import Hybrid, Mixed, Sample, Synthetic
from mien.errors import InputError
from mien.evaluation.protocols import select
from mien.facs.vocabulary import Expression

FEAR, SURPRISE = Expression.FEAR, Expression.SURPRISE


def soft(**shares: float) -> list[float]:
    return [shares.get(e.label, 0.0) for e in Expression]


def write(folder, requested, labels=()):
    """A folder of gray pictures of rising lightness."""
    (folder / "faces").mkdir(parents=True)
    rows = []
    for i, wanted in enumerate(requested):
        Image.fromarray(np.full((4, 4), i, np.uint8)).save(folder / "faces" / f"{i}.png")
        rows.append({"file": f"faces/{i}.png", "requested": wanted, "label_soft": None})
    (folder / "meta.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if labels:
        lines = [{"file": f"faces/{i}.png", **label} for i, label in enumerate(labels)]
        (folder / "labels.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_faces_have_the_expression_that_they_were_made_for(tmp_path):
    data = Synthetic(write(tmp_path / "made", ["fear", "surprise"]))
    assert data.labels == [FEAR, SURPRISE]
    assert data[1].image.shape == (4, 4, 3)
    assert data[1].image.max() == 1
    assert data[1].source == "made/faces/1.png"
    assert data[0].soft.argmax() == FEAR


LABELS = (
    {"decision": "keep", "label_soft": soft(fear=0.7, surprise=0.3)},
    {"decision": "relabel", "label_soft": soft(surprise=0.8, fear=0.2)},
    {"decision": "drop", "label_soft": soft(neutral=0.4, fear=0.3, sadness=0.3)},
    {"status": "unreadable", "error": "cut off"},
)


def test_labels_of_a_vote_replace_those_asked_for_and_dropped_faces_are_left_out(tmp_path):
    data = Synthetic(write(tmp_path, ["fear"] * 4, LABELS))
    assert data.labels == [FEAR, SURPRISE]
    assert data[1].soft.tolist() == pytest.approx(soft(surprise=0.8, fear=0.2))
    assert len(Synthetic(tmp_path, annotated=False)) == 4


def test_a_soft_label_is_the_target_that_trains(tmp_path):
    chosen = select(datasets.open(f"synthetic:{write(tmp_path, ['fear'] * 4, LABELS)}"), "soft-votes")
    np.testing.assert_allclose(chosen.targets, [soft(fear=0.7, surprise=0.3), soft(surprise=0.8, fear=0.2)], atol=1e-6)


@pytest.mark.parametrize(
    ("protocol", "wanted"),
    [
        ("majority", soft(fear=1.0)),
        ("soft-votes", soft(fear=0.6, surprise=0.35, neutral=0.05)),
        ("cross-entropy", soft(fear=0.6 / 0.95, surprise=0.35 / 0.95)),
        ("multi-target", soft(fear=1.0, surprise=1.0)),
    ],
)
def test_a_soft_label_counts_as_the_votes_that_it_stands_for(protocol, wanted):
    label = np.array(soft(fear=0.6, surprise=0.35, neutral=0.05), np.float32)
    chosen = select([Sample(np.zeros((2, 2, 3), np.uint8), soft=label)], protocol)
    np.testing.assert_allclose(chosen.targets[0], wanted, atol=1e-5)
    assert chosen.protocol == protocol


def test_a_soft_label_without_a_majority_is_dropped_where_one_is_asked_for():
    label = np.array(soft(fear=0.4, surprise=0.35, neutral=0.25), np.float32)
    assert select([Sample(np.zeros((2, 2, 3), np.uint8), soft=label)]).dropped == {"no majority": 1}


def test_a_face_without_any_label_is_dropped(tmp_path):
    assert select(Synthetic(write(tmp_path, [None, "fear"]))).dropped == {"no label": 1}


def test_photographs_come_before_generated_faces_and_keep_their_source(tmp_path):
    photograph = Sample(np.zeros((4, 4, 3), np.uint8), expression=FEAR, source="photo:0")
    both = Mixed([photograph], Synthetic(write(tmp_path / "made", ["surprise"])))
    assert [sample.source for sample in both] == ["photo:0", "made/faces/0.png"]
    assert both.expressions == tuple(Expression)


def test_generated_faces_are_part_of_a_hybrid_by_their_labels(tmp_path):
    made = Hybrid({"made": Synthetic(write(tmp_path, ["fear", "surprise", None]))}, per_class=2)
    assert [sample.expression for sample in made] == [FEAR, FEAR, SURPRISE, SURPRISE]


def test_labels_that_lack_a_face_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"has no line for faces/1.png; run `mien annotate` again"):
        Synthetic(write(tmp_path, ["fear", "fear"], LABELS[:1]))


def test_a_folder_that_nothing_was_generated_in_is_refused(tmp_path):
    with pytest.raises(InputError, match="a folder that `mien generate` wrote has it"):
        Synthetic(tmp_path)
    (tmp_path / "meta.jsonl").write_text('{"picture": 1}\n')
    with pytest.raises(InputError, match="not a list of generated faces"):
        Synthetic(tmp_path)


def test_generated_faces_have_no_splits(tmp_path):
    with pytest.raises(InputError, match="no splits"):
        datasets.open(f"synthetic:{write(tmp_path, ['fear'])}", "train")
