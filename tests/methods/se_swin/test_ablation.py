import copy
import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mien.core.align import crop
from mien.datasets import Sample
from mien.evaluation.protocols import select
from mien.facs.vocabulary import Expression
from mien.methods.se_swin import ablation
from mien.methods.se_swin.train import build
from mien.training.faces import normalize, tensor
from tests.helpers import noise

TINY = dataclasses.replace(ablation.SETTINGS["tiny"], width=8, depths=(1, 1), heads=(1, 2), window=3)


def faces(count: int = 9):
    samples = [Sample(noise(48, 48, 3, seed=i), Expression(i % 3), source=f"f:{i}") for i in range(count)]
    return select(samples, prepare=lambda image: crop(image, 48))


def network(arm: str):
    torch.manual_seed(0)
    return build(ablation.ARMS[arm].settings(TINY, 0)).eval()


def test_every_arm_can_be_built_and_the_control_trains_twice_as_long():
    for arm in ablation.ARMS.values():
        assert build(arm.settings(TINY, 1))(torch.zeros(2, 1, 48, 48)).logits.shape == (2, 8)
    epochs = {name: arm.settings(TINY, 0).epochs for name, arm in ablation.ARMS.items()}
    assert epochs.pop("B4") == 30
    assert set(epochs.values()) == {15}
    radius = {name: arm.settings(TINY, 0).rho for name, arm in ablation.ARMS.items()}
    assert radius == {"B0": 0, "B1": 0, "B2": 0.05, "B3": 0.05, "B4": 0, "B5": 0.05, "B6": 0.05}


def test_questions_ask_of_arms_that_there_are_and_weigh_them_to_nothing():
    for question in ablation.QUESTIONS:
        assert question.weights.keys() <= ablation.ARMS.keys()
        assert sum(question.weights.values()) == 0


def test_sharpness_is_how_much_the_loss_rises_one_step_up_its_gradient():
    model, chosen = network("B0"), faces()
    images, targets = normalize(tensor(chosen)), torch.from_numpy(chosen.targets)
    moved = copy.deepcopy(model)
    before = F.cross_entropy(moved(images).logits, targets)
    before.backward()
    norm = torch.cat([p.grad.flatten() for p in moved.parameters()]).norm()
    with torch.no_grad():
        for parameter in moved.parameters():
            parameter += 0.05 * parameter.grad / norm
        wanted = F.cross_entropy(moved(images).logits, targets) - before
    weights = copy.deepcopy(model.state_dict())
    assert ablation.sharpness(model, chosen) == pytest.approx(wanted.item(), rel=1e-3)
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    # To first order it is the radius times the length of the gradient.
    assert wanted.item() == pytest.approx(0.05 * norm.item(), rel=0.2)


def test_a_gate_that_looks_at_the_face_varies_and_the_control_does_not():
    looking, control = network("B3"), network("B6")
    nn.init.normal_(looking.gate.excite.weight, std=3)
    found = ablation.checks(looking, TINY, faces(), faces())
    fixed = ablation.checks(control, TINY, faces(), faces())
    assert found["gate"]["std_over_faces"] > ablation.STUCK
    assert found["gate"]["mean"].keys() == {"neutral", "happiness", "surprise"}
    assert fixed["gate"]["std_over_faces"] == pytest.approx(0, abs=1e-6)
    assert ablation.summary([fixed])["gate_is_stuck"]
    assert not ablation.summary([found])["gate_is_stuck"]
    assert "gate" not in ablation.checks(network("B0"), TINY, faces(), faces())


def test_the_gap_is_what_accuracy_loses_from_training_faces_to_others():
    found = ablation.checks(network("B0"), TINY, faces(), faces())
    assert found["gap"] == 0
    assert 0 <= found["trained_accuracy"] <= 1


def arm(name: str, sharpness: list[float], gap: list[float], seeds: tuple[int, ...] = (0, 1)) -> dict:
    return {"arm": name, "seeds": seeds, "checks": {"sharpness": sharpness, "gap": gap}}


def test_the_claims_are_answered_from_the_table():
    rows = [
        arm("B0", [0.3, 0.3], [0.2, 0.2]), arm("B1", [0.3, 0.1], [0.1, 0.2]), arm("B2", [0.1, 0.2], [0.1, 0.2]),
        arm("B3", [0.2, 0.2], [0.2, 0.2]), arm("B4", [0.3], [0.3], (0,)),
    ]  # fmt: skip
    asked = [{"question": ablation.QUESTIONS[0].text, "answer": "higher"}]
    asked += [{"question": ablation.QUESTIONS[4].text, "value": -0.004, "answer": "undecided"}]
    assert ablation.sentences({"arms": rows, "questions": asked}) == {
        "gate and steps beat plain Swin": "confirmed",
        "it is no effect of compute": "no",
        "sharpness is lower in B2 than in B0 with every seed": "yes",
        "the gap between training and valid is smaller in B2 than in B0": "yes",
        "sharpness is lower in B3 than in B1 with every seed": "no",
        "the gap between training and valid is smaller in B3 than in B1": "no",
    }


def test_arms_are_held_against_each_other_with_the_seeds_that_both_have():
    rows = [arm("B0", [0.1, 0.3], [0.1, 0.3], (0, 1)), arm("B2", [0.2], [0.2], (1,))]
    said = ablation.sentences({"arms": rows, "questions": []})
    assert set(said.values()) == {"yes"}
    apart = [arm("B0", [0.3], [0.3], (0,)), arm("B2", [0.2], [0.2], (1,))]
    assert ablation.sentences({"arms": apart, "questions": []}) == {}


def test_a_lead_of_no_more_than_the_margin_of_twice_the_compute_is_no_effect_of_it():
    asked = {"question": ablation.QUESTIONS[4].text, "value": -0.003, "answer": "not separable"}
    assert ablation.sentences({"arms": [], "questions": [asked]}) == {"it is no effect of compute": "yes"}
