import torch
from torch import nn

from mien.training.mobilenet import MobileNet, Same


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


def test_frozen_layers_neither_learn_nor_change_their_statistics():
    network = MobileNet(enlarged=32, frozen=3).train()
    before = network.layers[0][1].running_mean.clone()
    network(faces())[-1].sum().backward()
    assert torch.equal(network.layers[0][1].running_mean, before)
    assert network.layers[0][0].weight.grad is None
    assert network.layers[3][0][0].weight.grad is not None
