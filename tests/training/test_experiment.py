import json
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from mien.datasets import Sample
from mien.errors import InputError
from mien.evaluation.compare import kept
from mien.facs.vocabulary import Expression
from mien.methods.au_cues.model import ReaderOutput
from mien.training.experiment import Arm, Question, run, table
from mien.training.faces import FaceSettings, faces_of, fit_faces
from tests.helpers import drawn_face


@dataclass(frozen=True)
class Settings(FaceSettings):
    sees: bool = True


class Network(nn.Module):
    """Sees the face, or nothing but that there is one."""

    def __init__(self, sees: bool) -> None:
        super().__init__()
        self.sees, self.linear = sees, nn.Linear(48 * 48, 8)

    def forward(self, images):
        return ReaderOutput(self.linear(images.flatten(1) * self.sees), [])


TRAINED: list[tuple[bool, int, int]] = []


def train(dataset, settings, folder, *, valid=None, resume=False):
    TRAINED.append((settings.sees, settings.seed, settings.epochs))
    torch.manual_seed(settings.seed)
    return fit_faces(Network(settings.sees), faces_of(dataset, 48), settings, folder, resume=resume)


def checks(network, settings, faces, trained_on):
    hidden = kept([sample.source for sample in faces.samples], faces.labels, 0 * faces.labels)
    return {"hidden": hidden, "trained_on": len(trained_on.samples)}


ABLATION = SimpleNamespace(
    ARMS={
        "seeing": Arm("the face"), "blind": Arm("nothing", {"sees": False}),
        "longer": Arm("nothing, for longer", {"sees": False}, longer=2),
    },
    QUESTIONS=(
        Question("Does it help to see?", {"seeing": 1, "blind": -1}),
        Question("Does hiding take more of the seeing?", {"blind": 1, "seeing": -1}, "accuracy", "hidden", "answers"),
        Question("Does it help to wait?", {"longer": 1, "blind": -1}),
    ),
    checks=checks,
    summary=lambda results: {"trained_on": [result["trained_on"] for result in results]},
    sentences=lambda found: {"seeing helps": found["questions"][0]["answer"]},
)  # fmt: skip
TINY = Settings(
    epochs=6, batch_size=8, precision="32-true", average=0.0, learning_rate=1e-3, degrees=0.0, scale=0.0, shift=0.0,
    erase_share=0.0, mixup_share=0.0, contrast=0.0, brightness=0.0,
)  # fmt: skip


def faces(count: int) -> list[Sample]:
    return [
        Sample(np.stack([drawn_face(bool(i % 2), i)] * 3, axis=-1), Expression(3 - 2 * (i % 2)), source=f"f:{i}")
        for i in range(count)
    ]


def ablate(folder, arms, seeds, settings=TINY):
    TRAINED.clear()
    run(train, ABLATION, settings, arms, seeds, faces(16), faces(40), folder)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ablation")
    ablate(folder, ["seeing", "blind"], [0, 1])
    return folder


def test_every_arm_is_trained_with_every_seed_and_leaves_a_result(finished):
    names = ["blind-s0", "blind-s1", "seeing-s0", "seeing-s1"]
    assert sorted(path.parent.name for path in finished.glob("*/result.json")) == names
    result = json.loads((finished / "blind-s1" / "result.json").read_text())
    assert result["training"]["seed"] == 1
    assert result["training"]["sees"] is False
    assert (result["n"], result["trained_on"], result["protocol"]) == (40, 16, "single label")
    assert len(result["answers"]["answers"]) == 40


def test_an_ablation_that_is_called_again_trains_what_is_missing_and_nothing_else(finished, tmp_path):
    ablate(finished, ["seeing", "blind"], [0, 1])
    assert TRAINED == []
    (finished / "seeing-s1" / "result.json").rename(tmp_path / "away")
    ablate(finished, ["seeing", "blind"], [0, 1])
    assert TRAINED == [(True, 1, 6)]
    again = json.loads((finished / "seeing-s1" / "result.json").read_text())
    assert again["answers"] == json.loads((tmp_path / "away").read_text())["answers"]


def test_runs_with_other_settings_or_of_other_faces_are_never_mixed(finished):
    with pytest.raises(InputError, match=r"begun with other values of epochs .*name another folder"):
        ablate(finished, ["longer"], [0], replace(TINY, epochs=2))
    for some, others in ((faces(12), faces(40)), (faces(16), faces(30))):
        with pytest.raises(InputError, match=r"begun with other values of .*faces"):
            run(train, ABLATION, TINY, ["longer"], [0], some, others, finished)
    assert not (finished / "longer-s0").exists()


def test_the_table_answers_the_questions_whose_arms_are_there(finished):
    found = table(ABLATION, finished, resamples=100)
    assert [row["arm"] for row in found["arms"]] == ["seeing", "blind"]
    seeing, blind = found["arms"]
    assert seeing["accuracy"]["value"] > 0.95
    assert blind["accuracy"]["value"] <= 0.5
    assert seeing["seeds"] == [0, 1]
    assert seeing["checks"] == {"trained_on": [16, 16]}
    asked = {entry["question"]: entry for entry in found["questions"]}
    assert asked.keys() == {"Does it help to see?", "Does hiding take more of the seeing?"}
    assert asked["Does it help to see?"]["answer"] == "higher"
    assert found["sentences"] == {"seeing helps": "higher"}


def test_a_drop_is_the_difference_of_the_answers_to_changed_faces(finished):
    found = table(ABLATION, finished, resamples=100)
    drop = next(e for e in found["questions"] if "hiding" in e["question"])
    # Hidden, all are taken for neutral, and no face is: each loses all it had.
    seeing, blind = (row["accuracy"]["value"] for row in found["arms"])
    assert drop["value"] == pytest.approx(seeing - blind)


def test_arms_are_asked_with_the_seeds_that_they_share(tmp_path):
    short = replace(TINY, epochs=1)
    ablate(tmp_path, ["seeing"], [0, 1], short)
    ablate(tmp_path, ["blind"], [1, 2], short)
    (entry, _) = table(ABLATION, tmp_path, resamples=50)["questions"]
    assert entry["seeds"] == [1]


def test_an_arm_may_train_longer(tmp_path):
    ablate(tmp_path, ["longer"], [0], replace(TINY, epochs=1))
    assert TRAINED == [(False, 0, 2)]


def test_an_arm_that_there_is_not_is_refused_before_anything_is_trained(tmp_path):
    with pytest.raises(InputError, match="no arm 'B7'; the arms are seeing, blind, longer"):
        ablate(tmp_path, ["seeing", "B7"], [0])
    assert TRAINED == []
    with pytest.raises(InputError, match="no finished run"):
        table(ABLATION, tmp_path)
