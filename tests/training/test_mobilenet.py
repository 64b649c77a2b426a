import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from torch import nn

from mien.errors import InputError
from mien.training.mobilenet import MobileNet, Same, restore_normalization, start_from
from mien.training.tensorflow_js import mobilenet
from tests.training.test_tensorflow_js import folded


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = MobileNet(enlarged=32)
        self.head = nn.Linear(1024, 3)


def faces(count: int = 4) -> torch.Tensor:
    return torch.randn(count, 1, 16, 16, generator=torch.Generator().manual_seed(0))


def test_the_features_halve_in_size_as_their_channels_grow():
    shapes = [tuple(f.shape[1:]) for f in MobileNet(enlarged=64).eval()(faces(1))]
    assert shapes == [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4), (1024, 2, 2)]
    assert MobileNet(enlarged=64, last_stride=1).eval()(faces(1))[-1].shape[2:] == (4, 4)


def test_at_stride_two_an_even_side_is_padded_right_and_below_as_in_tensorflow():
    layer = Same(1, 1, 2)
    nn.init.constant_(layer.weight, 1.0)
    picture = torch.zeros(1, 1, 4, 4)
    picture[..., 0, 0] = 1
    assert layer(picture).flatten().tolist() == [1, 0, 0, 0]
    picture = torch.zeros(1, 1, 4, 4)
    picture[..., 3, 3] = 1
    assert layer(picture).flatten().tolist() == [0, 0, 0, 1]


def test_a_depthwise_layer_answers_alike_in_training_where_its_gradient_is_taken_another_way():
    layer = Same(8, 8, 2, groups=8)
    for sides in ((6, 6), (7, 7), (6, 7), (7, 6)):
        picture = torch.randn(2, 8, *sides)
        assert torch.allclose(layer.train()(picture), layer.eval()(picture), atol=1e-6)


def test_at_stride_two_each_odd_side_is_padded_on_both_ends_whatever_the_other_is():
    layer = Same(1, 1, 2)
    picture = torch.randn(1, 1, 5, 4)
    padded = nn.functional.pad(picture, (0, 1, 1, 1))
    assert torch.equal(layer.eval()(picture), nn.functional.conv2d(padded, layer.weight, stride=2))


def test_restoring_normalization_leaves_the_answers_as_they_were(tmp_path):
    save_file(mobilenet(folded()), tmp_path / "start.safetensors")
    network = Network()
    state = {k: torch.from_numpy(v) for k, v in mobilenet(folded()).items()}
    network.backbone.load_state_dict(network.backbone.state_dict() | state)
    before = network.backbone.eval()(faces(8))
    restore_normalization(network.backbone, faces(8))
    for old, new in zip(before, network.backbone.eval()(faces(8)), strict=True):
        assert torch.allclose(old, new, atol=1e-3)
    norm = network.backbone.layers[0][1]
    assert not torch.allclose(norm.running_mean, torch.zeros(32))


def test_a_network_starts_from_converted_weights_or_from_a_run(tmp_path):
    from safetensors.torch import save_file as save

    save_file(mobilenet(folded()), tmp_path / "converted.safetensors")
    first, second = Network(), Network()
    start_from(first, tmp_path / "converted.safetensors", faces(8))
    save({k: v.contiguous() for k, v in first.state_dict().items()}, tmp_path / "run.safetensors")
    start_from(second, tmp_path / "run.safetensors", faces(8))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_a_file_of_another_network_is_refused(tmp_path):
    save_file({"x": np.zeros(3, np.float32)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="no weights that fit"):
        start_from(Network(), tmp_path / "other.safetensors", faces())


def test_frozen_layers_neither_learn_nor_change_their_statistics():
    network = MobileNet(enlarged=32, frozen=3).train()
    before = network.layers[0][1].running_mean.clone()
    network(faces())[-1].sum().backward()
    assert torch.equal(network.layers[0][1].running_mean, before)
    assert network.layers[0][0].weight.grad is None
    assert network.layers[3][0][0].weight.grad is not None
