import numpy as np
import pytest
import torch

from mien.facs.landmarks import mean_face
from mien.facs.vocabulary import Expression
from mien.methods.au_cues.loss import alignment_loss, attention, in_place, reduced
from mien.methods.au_cues.maps import class_map

AU_MAP = torch.tensor([[[0.0, 1.0], [0.5, 0.0]]])
YES = torch.tensor([True])


def test_only_where_the_model_looks_matters_not_how_strongly():
    assert alignment_loss([3 * AU_MAP], AU_MAP, YES).item() == pytest.approx(0, abs=1e-6)
    assert alignment_loss([AU_MAP.flip(1)], AU_MAP, YES).item() > 0.5


def test_the_loss_is_one_minus_the_cosine():
    looked = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    assert alignment_loss([looked], AU_MAP, YES).item() == pytest.approx(1.0)
    looked = torch.tensor([[[1.0, 1.0], [1.0, 1.0]]])
    assert alignment_loss([looked], AU_MAP, YES).item() == pytest.approx(1 - 1.5 / (2 * np.sqrt(1.25)))


def test_faces_without_a_map_neither_count_nor_dilute():
    looked = torch.cat([AU_MAP.flip(1), torch.rand(3, 2, 2)])
    maps = torch.cat([AU_MAP, torch.zeros(3, 2, 2)])
    alone = alignment_loss([looked[:1]], AU_MAP, YES)
    assert torch.equal(alignment_loss([looked], maps, torch.tensor([True, False, False, False])), alone)


def test_a_batch_without_any_map_has_no_loss_and_still_trains():
    looked = torch.rand(2, 3, 3, requires_grad=True)
    loss = alignment_loss([looked], torch.zeros(2, 6, 6), torch.tensor([False, False]))
    loss.backward()
    assert loss.item() == 0
    assert not looked.grad.any()


def test_several_layers_count_alike():
    layers = [AU_MAP, AU_MAP.flip(1)]
    expected = alignment_loss([AU_MAP.flip(1)], AU_MAP, YES) / 2
    assert alignment_loss(layers, AU_MAP, YES).item() == pytest.approx(expected.item())


def test_attention_is_the_plain_mean_over_channels():
    features = torch.rand(2, 5, 3, 3)
    assert torch.allclose(attention(features), features.sum(1) / 5)


def test_a_reduced_map_stays_within_its_values_and_keeps_its_place():
    au_map = torch.from_numpy(class_map(mean_face(), Expression.HAPPINESS))[None]
    small = reduced(au_map, (6, 6))
    assert small.shape == (1, 6, 6)
    assert 0 <= small.min() <= small.max() <= 1
    assert small[0, 4].sum() > 2 * small[0, 0].sum()  # the mouth, not the brow


def test_following_the_gradient_turns_attention_towards_the_map():
    torch.manual_seed(0)
    looked = torch.rand(1, 6, 6, requires_grad=True)
    au_map = torch.from_numpy(class_map(mean_face(), Expression.SURPRISE))[None]
    before = alignment_loss([looked], au_map, YES)
    for _ in range(200):
        loss = alignment_loss([looked], au_map, YES)
        (step,) = torch.autograd.grad(loss, looked)
        looked = (looked - 2 * step).detach().requires_grad_()
    assert loss < 0.2 * before


@pytest.mark.parametrize("at", [(10.0, 12.0), (24.0, 24.0), (38.0, 35.0)])
def test_attention_that_equals_its_map_is_put_where_the_map_is(at):
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="ij")
    blob = torch.exp(-((y - at[0]) ** 2 + (x - at[1]) ** 2) / (2 * 5.0**2))[None]
    taught = reduced(blob, (12, 12))[0]
    matrix = in_place(12, 48)

    def center(grid: torch.Tensor) -> list[float]:
        pixels = (torch.arange(len(grid)) + 0.5) * 48 / len(grid) - 0.5
        return [float((grid.sum(1) * pixels).sum() / grid.sum()), float((grid.sum(0) * pixels).sum() / grid.sum())]

    true, skewed = center(blob[0]), center(taught)
    assert center(matrix @ taught @ matrix.T) == pytest.approx(true, abs=0.4)
    assert max(abs(a - b) for a, b in zip(skewed, true, strict=True)) > 0.8
