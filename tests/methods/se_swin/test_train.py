import numpy as np
import pytest
import torch

from mien.core.align import crop
from mien.core.contract import Classifier
from mien.datasets import Sample
from mien.evaluation.protocols import select
from mien.facs.vocabulary import Expression
from mien.methods import se_swin
from mien.training.faces import recalls
from mien.training.loop import Schedule, parameter_groups
from tests.helpers import drawn_face

TINY = se_swin.Settings(
    epochs=20, warmup=1.0, learning_rate=5e-3, batch_size=8, patch=4, width=16, depths=(1, 1), heads=(1, 2),
    window=3, drop_path=0.1, precision="32-true", average=0.5, degrees=0.0, scale=0.0, shift=0.0, erase_share=0.0,
    mixup_share=0.0,
)  # fmt: skip
HAPPY, SAD = Expression.HAPPINESS, Expression.SADNESS


def faces(count: int) -> list[Sample]:
    return [
        Sample(np.stack([drawn_face(bool(i % 2), i)] * 3, axis=-1), expression=(SAD, HAPPY)[i % 2])
        for i in range(count)
    ]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return se_swin.train(faces(32), TINY, folder), folder


def test_faces_of_two_classes_are_learnt_by_heart(run):
    network, _ = run
    chosen = select(faces(32), prepare=lambda image: crop(image, 48))
    assert recalls(network, chosen) == {"accuracy": 1.0, "mean_recall": 1.0}


def test_with_and_without_a_radius_training_ends_in_other_weights(run, tmp_path):
    network, _ = run
    plain = se_swin.train(faces(32), se_swin.Settings(**vars(TINY) | {"rho": 0.0}), tmp_path)
    assert not torch.equal(plain.expression.weight, network.expression.weight)


def test_plain_epochs_are_of_adamw_alone_and_the_others_are_not(tmp_path):
    settings = vars(TINY) | {"epochs": 4}
    plain, all_plain, half = (
        se_swin.train(faces(32), se_swin.Settings(**settings | more), tmp_path / str(i)).expression.weight
        for i, more in enumerate(({"rho": 0.0}, {"plain_epochs": 4}, {"plain_epochs": 2}))
    )
    assert torch.equal(plain, all_plain)
    assert not torch.equal(plain, half)


def test_a_finished_run_is_loaded_with_its_weights_and_settings(run):
    network, folder = run
    trained = se_swin.load(folder)
    loaded, settings = trained.network, trained.settings
    assert settings == TINY
    assert all(torch.equal(v, network.state_dict()[k]) for k, v in loaded.state_dict().items())


def test_an_exported_run_answers_as_the_network_does_and_says_what_spoke_for_the_answer(run, tmp_path):
    _, folder = run
    differences = se_swin.export(folder, tmp_path / "swin.onnx")
    assert differences["parity"] < 1e-4
    classify = Classifier((tmp_path / "swin.onnx").read_bytes())
    answers = classify.answers(np.stack([drawn_face(True, 50), drawn_face(False, 51), drawn_face(True, 52)]))
    assert answers.logits.argmax(axis=1).tolist() == [HAPPY, SAD, HAPPY]
    assert answers.attention.shape == (3, 6, 6)
    assert answers.attention.min() >= 0


def test_positions_and_normalization_do_not_decay(run):
    network, _ = run
    groups = parameter_groups(network, Schedule(weight_decay=0.05), {})
    decayed, free = ([p for g in groups if g["weight_decay"] == decay for p in g["params"]] for decay in (0.05, 0))
    tables = [p for name, p in network.named_parameters() if "relative_position" in name]
    assert len(tables) == 2
    assert all(any(p is q for q in free) for p in tables)
    assert all(p.ndim > 1 for p in decayed)
    assert len(decayed) + len(free) == len(list(network.parameters()))
