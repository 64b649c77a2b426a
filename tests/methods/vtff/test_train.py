import dataclasses

import numpy as np
import pytest
import torch

from mien.core.align import crop
from mien.core.contract import Classifier
from mien.datasets import Sample
from mien.evaluation.protocols import select
from mien.facs.vocabulary import Expression
from mien.methods import vtff
from mien.methods.vtff.train import loss
from mien.training.faces import AugmentedBatch, recalls
from tests.helpers import drawn_face

TINY = vtff.Settings(
    epochs=25, warmup=1.0, learning_rate=5e-3, batch_size=8, widths=(4, 8, 16), blocks=(1, 1, 1),
    strides=(2, 2, 2), width=16, heads=2, depth=1, hidden=32, precision="32-true", average=0.5, degrees=0.0, scale=0.0,
    shift=0.0, erase_share=0.2, mixup_share=0.0, dropout=0.0,
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
    return vtff.train(faces(32), TINY, folder), folder


def test_faces_of_two_classes_are_learnt_by_heart(run):
    network, _ = run
    chosen = select(faces(32), prepare=lambda image: crop(image, 48))
    assert recalls(network, chosen) == {"accuracy": 1.0, "mean_recall": 1.0}


def test_a_finished_run_is_loaded_with_its_weights_and_settings(run):
    network, folder = run
    trained = vtff.load(folder)
    loaded, settings = trained.network, trained.settings
    assert settings == TINY
    assert all(torch.equal(v, network.state_dict()[k]) for k, v in loaded.state_dict().items())


def test_an_exported_run_answers_as_the_network_does_and_says_where_it_looks(run, tmp_path):
    _, folder = run
    differences = vtff.export(folder, tmp_path / "vtff.onnx", calibrate=faces(16))
    assert differences["parity"] < 1e-4
    classify = Classifier((tmp_path / "vtff.onnx").read_bytes())
    crops = np.stack([drawn_face(True, 50), drawn_face(False, 51)])
    answers = classify.answers(crops)
    assert answers.logits.argmax(axis=1).tolist() == [HAPPY, SAD]
    assert answers.attention.shape == (2, 6, 6)
    assert answers.attention.min() >= 0
    np.testing.assert_allclose(answers.attention.sum(axis=(1, 2)), 1, atol=1e-4)


def test_the_loss_tells_the_network_where_noise_was_painted():
    given = []

    def network(images, erased):
        given.append(erased)
        return dataclasses.make_dataclass("Answer", ["logits"])(torch.zeros(2, 8))

    erased = torch.rand(2, 1, 4, 4) < 0.5
    seen = AugmentedBatch(
        torch.zeros(2, 1, 4, 4), torch.full((2, 8), 1 / 8), torch.eye(2, 3).expand(2, -1, -1), 0, erased
    )
    assert loss(network, seen, ()).item() == pytest.approx(np.log(8))
    assert given == [erased]
