import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from mien.datasets import Synthetic
from mien.errors import InputError
from mien.facs.units import VECTOR
from mien.facs.vocabulary import Expression
from mien.methods.synfer.judge.judging import Judges, Photographs, look, measured, step
from tests.helpers import noise


class Says(nn.Module):
    """A network that answers one expression to every face, and its lightness as every action unit."""

    def __init__(self, answer: Expression) -> None:
        super().__init__()
        self.last = nn.Linear(1, 8)
        with torch.no_grad():
            self.last.weight.zero_()
            self.last.bias.copy_(9 * torch.eye(8)[answer])

    def forward(self, faces):
        lightness = faces.mean(dim=(1, 2, 3))[:, None]
        return SimpleNamespace(logits=self.last(lightness), action_units=lightness.expand(-1, VECTOR))


HAPPY, SAD = Says(Expression.HAPPINESS), Says(Expression.SADNESS)


def album(folder, guidance=None, count=6):
    """Generated faces that are asked to be happy, each lighter than the one before and with more of AU12."""
    (folder / "faces").mkdir(parents=True)
    rows = []
    for i in range(count):
        Image.fromarray(noise(24, 24) // 4 + np.uint8(30 * i)).save(folder / "faces" / f"{i}.png")
        said = {"requested": "happiness", "au_requested": {"AU12": i / 5, "AU04": 1 - i / 5}, "guidance": guidance}
        rows.append({"file": f"faces/{i}.png"} | said)
    (folder / "meta.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Synthetic(folder)


def against(**unit_r):
    """Photographs of many shades; of some action units the judge agrees with the teacher."""
    shades, trusted = np.linspace(-2, 2, 50, dtype=np.float32)[:, None], np.zeros(VECTOR)
    for place, value in unit_r.items():
        trusted[int(place[1:])] = value
    labels = np.full(50, Expression.HAPPINESS)
    return Photographs(shades, labels, shades + np.float32(0.01), labels, trusted)


def told(faces, judges, photographs, guide=None):
    return measured(look(faces, judges, 24, guide), photographs)


def test_a_guide_that_was_followed_too_far_is_said_to_be(tmp_path):
    judges = Judges(SAD, SAD)
    guided, unguided = album(tmp_path / "guided", {"guides": {}}), album(tmp_path / "unguided")
    assert told(guided, judges, against(), HAPPY)["over_guided"]
    # Faces that it did not guide may please it for other reasons.
    assert not told(unguided, judges, against(), HAPPY)["over_guided"]
    assert not told(guided, Judges(HAPPY, SAD), against(), HAPPY)["over_guided"]


def test_action_units_that_the_judge_cannot_judge_do_not_count(tmp_path):
    faces, judges = album(tmp_path / "faces"), Judges(HAPPY, HAPPY)
    assert told(faces, judges, against())["unit_r"] is None
    # AU12 rises with lightness and AU4 falls.
    assert told(faces, judges, against(k8=0.8))["unit_r"] == pytest.approx(1, abs=0.01)
    assert told(faces, judges, against(k8=0.8, k2=0.8))["unit_r"] == pytest.approx(0, abs=0.01)


def test_the_distance_is_also_said_as_a_multiple_of_that_of_the_training_photographs(tmp_path):
    found = told(album(tmp_path / "faces"), Judges(HAPPY, HAPPY), against())
    assert found["distance_ratio"] == pytest.approx(found["distance"] / found["real_distance"])
    assert found["accuracy"]["value"] == 1


def test_faces_are_compared_with_photographs_of_what_was_asked_for_alone(tmp_path):
    faces, judges, photographs = album(tmp_path / "faces"), Judges(HAPPY, HAPPY), against()
    base = told(faces, judges, photographs)
    far, sad = np.full((50, 1), 100, np.float32), np.full(50, Expression.SADNESS)
    more = Photographs(
        np.concatenate([photographs.trained_on, far]),
        np.concatenate([photographs.trained_labels, sad]),
        np.concatenate([photographs.others, far]),
        np.concatenate([photographs.other_labels, sad]),
        photographs.unit_r,
    )
    found = told(faces, judges, more)
    assert [found[k] for k in ("distance", "real_distance")] == pytest.approx(
        [base[k] for k in ("distance", "real_distance")]
    )
    assert told(faces, judges, photographs._replace(other_labels=sad))["distance"] is None


def test_a_folder_of_which_the_vote_left_nothing_is_refused(tmp_path):
    album(tmp_path, count=1)
    (tmp_path / "labels.jsonl").write_text(json.dumps({"file": "faces/0.png", "decision": "drop"}) + "\n")
    with pytest.raises(InputError, match="has none that is left"):
        look(Synthetic(tmp_path), Judges(HAPPY, HAPPY), 24)


def test_a_step_is_from_face_to_face_with_an_interval(tmp_path):
    faces, photographs = album(tmp_path / "faces"), against(k8=0.8)
    happy, sad = (look(faces, judges, 24) for judges in (Judges(HAPPY, HAPPY), Judges(SAD, SAD)))
    gained = step(sad, happy, photographs, resamples=50)
    assert gained["accuracy"] == {"value": 1, "low": 1, "high": 1, "answer": "higher"}
    assert gained["unit_r"] == {"value": 0, "low": 0, "high": 0, "answer": "not separable"}
    assert step(happy, happy, against(), resamples=50)["unit_r"]["value"] is None


def test_a_face_that_the_vote_dropped_counts_in_the_other_folder_alone(tmp_path):
    whole = look(album(tmp_path / "faces"), Judges(HAPPY, HAPPY), 24)
    rows = [
        {"file": f"faces/{i}.png", "decision": "drop" if i < 3 else "relabel", "label_soft": np.eye(8)[3].tolist()}
        for i in range(6)
    ]
    (tmp_path / "faces" / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    left = look(Synthetic(tmp_path / "faces"), Judges(HAPPY, HAPPY), 24)
    gained = step(whole, left, against(k8=0.8), resamples=50)
    assert gained["accuracy"] == {"value": -1, "low": -1, "high": -1, "answer": "lower"}
    back = step(left, whole, against(k8=0.8), resamples=50)
    assert back["accuracy"]["value"] == 1


def test_folders_of_other_requests_are_not_held_against_each_other(tmp_path):
    one, other = album(tmp_path / "one"), album(tmp_path / "other")
    other.rows[0]["requested"] = "fear"
    judges = Judges(HAPPY, HAPPY)
    assert step(look(one, judges, 24), look(other, judges, 24), against()) is None
