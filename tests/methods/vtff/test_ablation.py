import dataclasses

import numpy as np
import pytest
import torch

from mien.core.align import crop
from mien.datasets import Sample
from mien.evaluation.protocols import select
from mien.facs.vocabulary import Expression
from mien.methods.vtff import ablation
from mien.methods.vtff.train import build
from mien.training.faces import tensor
from tests.helpers import noise

TINY = dataclasses.replace(
    ablation.SETTINGS["tiny"], widths=(4, 8), blocks=(1, 1), strides=(2, 2), width=16, heads=2, hidden=32
)


def faces(count: int = 6):
    samples = [Sample(noise(48, 48, 3, seed=i), Expression(i % 3), source=f"f:{i}") for i in range(count)]
    return select(samples, prepare=lambda image: crop(image, 48))


def settings(arm: str):
    return ablation.ARMS[arm].settings(TINY, 0)


def measured(arm: str) -> dict:
    torch.manual_seed(0)
    return ablation.checks(build(settings(arm)).eval(), settings(arm), faces(), faces())


def test_every_arm_can_be_built_and_differs_from_the_method_in_what_it_says():
    method = settings("A5")
    for name, arm in ablation.ARMS.items():
        changed = {k for k, v in vars(settings(name)).items() if v != getattr(method, k)}
        assert changed == set(arm.changes)
        assert build(settings(name))(torch.zeros(2, 1, 48, 48)).logits.shape == (2, 8)


def test_questions_ask_of_arms_that_there_are_and_weigh_them_to_nothing():
    for question in ablation.QUESTIONS:
        assert question.weights.keys() <= ablation.ARMS.keys()
        assert sum(question.weights.values()) == 0


def test_every_face_has_a_black_square_of_a_third_of_its_side_at_a_place_of_its_own():
    crops = torch.full((40, 1, 48, 48), 200, dtype=torch.uint8)
    black = ablation.occluded(crops) == 0
    assert (black.sum(dim=(1, 2, 3)) == 16 * 16).all()
    rows = black.any(dim=3)[:, 0].int()
    assert (rows.sum(dim=1) == 16).all()
    assert len(rows.argmax(dim=1).unique()) > 10
    assert torch.equal(ablation.occluded(crops), ablation.occluded(crops))
    assert (crops == 200).all()


def test_blur_leaves_what_is_even_and_smooths_what_is_not():
    even = torch.full((1, 1, 48, 48), 90, dtype=torch.uint8)
    assert torch.equal(ablation.blurred(even), even)
    crops = tensor(faces())
    assert ablation.blurred(crops).float().std() < 0.6 * crops.float().std()


def test_a_gate_that_is_one_weight_for_all_is_stuck_and_one_that_varies_is_not():
    scalar = ablation.summary([measured("A10")])
    assert scalar["gate_mean"] == pytest.approx(0.5)
    assert (scalar["gate_std"], scalar["gate_is_stuck"]) == (0, True)
    varied = measured("A5")
    assert varied["gate"]["of_expressions"].keys() == {"neutral", "happiness", "surprise"}
    assert ablation.summary([varied])["gate_std"] > 0
    assert "gate" not in measured("A0")


def test_accuracy_on_changed_faces_is_the_mean_over_seeds():
    said = {"labels": "0011", "answers": "0010"}
    worse = {"labels": "0011", "answers": "1110"}
    results = [{"occluded": said, "blurred": said}, {"occluded": worse, "blurred": said}]
    assert ablation.summary(results) == {"occluded": 0.5, "blurred": 0.75}


def answered(question: int, value: float, low: float, high: float) -> dict:
    from mien.evaluation.compare import verdict

    bounds = {"value": value, "low": low, "high": high}
    return {"question": ablation.QUESTIONS[question].text, **bounds, "answer": verdict(bounds)}


@pytest.mark.parametrize(
    ("patterns", "control", "said"),
    [
        ((0.01, 0.004, 0.016), (0.008, 0.001, 0.015), "confirmed"),
        ((0.01, 0.004, 0.016), (0.002, -0.004, 0.008), "accepted"),
        ((0.003, -0.002, 0.008), (0.0, -0.006, 0.006), "accepted"),
        ((0.01, 0.004, 0.016), (-0.002, -0.008, 0.004), "undecided"),
        ((0.001, -0.005, 0.007), (0.001, -0.005, 0.007), "undecided"),
        ((-0.01, -0.016, -0.004), (0.001, -0.005, 0.007), "no"),
        ((0.01, 0.004, 0.016), (-0.015, -0.022, -0.008), "no"),
    ],
)
def test_the_first_claim_needs_the_control_too(patterns, control, said):
    asked = [answered(0, *patterns), answered(1, *control)]
    assert ablation.sentences({"questions": asked}) == {"image and patterns beat the image": said}


@pytest.mark.parametrize(
    ("total", "joined", "said"),
    [
        ((0.02, 0.01, 0.03), (0.012, 0.004, 0.02), "confirmed"),
        ((0.02, 0.01, 0.03), (0.001, -0.005, 0.006), "not separable"),
        ((0.002, -0.01, 0.014), (0.02, 0.01, 0.03), "undecided"),
        ((-0.02, -0.03, -0.01), (0.02, 0.01, 0.03), "no"),
    ],
)
def test_the_second_claim_is_held_against_the_better_of_the_simple_fusions(total, joined, said):
    asked = [answered(3, *total), answered(4, *joined)]
    assert ablation.sentences({"questions": asked}) == {"attentional fusion beats simple fusion": said}


def test_answers_to_changed_faces_are_kept_face_by_face():
    found = measured("A0")
    for name in ("occluded", "blurred"):
        assert found[name]["labels"] == "012012"
        assert len(found[name]["answers"]) == 6
    assert np.all([c in "01234567" for c in found["occluded"]["answers"]])
