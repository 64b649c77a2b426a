import dataclasses

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from torch import nn

from mien.core.contract import Classifier
from mien.core.zoo import load
from mien.datasets import Sample
from mien.errors import InputError
from mien.methods import au_cues, vtff
from mien.methods.au_cues.train import build
from mien.methods.vtff.train import build as build_vtff
from mien.training.faces import normalize
from mien.training.mobilenet import MobileNet
from mien.training.start import restore_normalization, start_from
from mien.training.tensorflow_js import mobilenet
from tests.helpers import drawn_face
from tests.training.test_tensorflow_js import folded

TINY = au_cues.Settings(
    epochs=1, batch_size=8, widths=(4, 8, 8, 16), blocks=(1, 1, 1, 1), precision="32-true", average=0.5, dropout=0.0
)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = MobileNet(enlarged=32)
        self.head = nn.Linear(1024, 3)


def faces(count: int = 4, side: int = 16) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 1, side, side), generator=generator, dtype=torch.uint8)


def samples(count: int) -> list[Sample]:
    pictures = [np.stack([drawn_face(i % 2 == 0, i)] * 3, axis=-1) for i in range(count)]
    votes = [np.eye(10, dtype=np.uint8)[1 + 2 * (i % 2)] * 10 for i in range(count)]
    return [Sample(picture, votes=row) for picture, row in zip(pictures, votes, strict=True)]


def test_restoring_normalization_leaves_the_answers_as_they_were(tmp_path):
    save_file(mobilenet(folded()), tmp_path / "start.safetensors")
    network = Network()
    state = {k: torch.from_numpy(v) for k, v in mobilenet(folded()).items()}
    network.backbone.load_state_dict(network.backbone.state_dict() | state)
    shown = normalize(faces(8))
    before = network.backbone.eval()(shown)
    restore_normalization(network.backbone, shown)
    for old, new in zip(before, network.backbone.eval()(shown), strict=True):
        assert torch.allclose(old, new, atol=1e-3)
    norm = network.backbone.layers[0][1]
    assert not torch.allclose(norm.running_mean, torch.zeros(32))


def test_a_network_starts_from_converted_weights_or_from_a_run(tmp_path):
    from safetensors.torch import save_file as save

    save_file(mobilenet(folded()), tmp_path / "converted.safetensors")
    first, second = Network(), Network()
    start_from(first, str(tmp_path / "converted.safetensors"), faces(8))
    save({k: v.contiguous() for k, v in first.state_dict().items()}, tmp_path / "run.safetensors")
    start_from(second, str(tmp_path / "run.safetensors"), faces(8))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_fine_tuning_an_exported_model_begins_with_its_answers(tmp_path):
    trained = au_cues.train(samples(16), TINY, tmp_path / "run")
    au_cues.export(tmp_path / "run", tmp_path / "own.onnx", half=False)
    again = build(dataclasses.replace(TINY, seed=1))
    shown = faces(64, 48)
    start_from(again, str(tmp_path / "own.onnx"), shown)
    wanted, got = trained.eval()(normalize(shown)).logits, again.eval()(normalize(shown)).logits
    assert torch.allclose(wanted, got, atol=1e-4)
    again.train()(normalize(shown)).logits.sum().backward()
    assert again.backbone.stem[1].weight.grad is not None, "batch normalization is there to learn"


def test_fine_tuning_vtff_begins_with_the_answers_of_the_shipped_one():
    network, shown = build_vtff(vtff.PRESETS["small"]), faces(64, 48)
    start_from(network, "vtff", shown)
    classify = Classifier(load("vtff"))
    meta = classify.contract.meta
    wanted = classify.logits(shown[:, 0].numpy()) * float(meta["temperature"])
    with torch.no_grad():
        got = network.eval()(normalize(shown)).logits.numpy()
    assert float(meta["strength"]) == 0
    np.testing.assert_allclose(got, wanted, atol=2e-3)


def test_a_head_of_another_size_starts_anew_and_the_rest_is_kept(tmp_path):
    au_cues.train(samples(16), TINY, tmp_path / "run")
    au_cues.export(tmp_path / "run", tmp_path / "own.onnx", half=False)
    wider = build(dataclasses.replace(TINY, readability_weight=0.3))
    before = wider.readability.weight.clone()
    start_from(wider, str(tmp_path / "own.onnx"), faces(64, 48))
    assert torch.equal(wider.readability.weight, before)


def test_weights_of_another_network_are_refused(tmp_path):
    save_file({"x": np.zeros(3, np.float32)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="no weights that fit"):
        start_from(Network(), str(tmp_path / "other.safetensors"), faces())
    with pytest.raises(InputError, match="no weights that fit"):
        start_from(Network(), "reader", faces())
    with pytest.raises(InputError, match="did not write it"):
        start_from(Network(), "yunet", faces())
