import numpy as np
import torch

from mien.training.readability import loss, readable_share, worn


def test_the_share_is_that_of_people_who_named_an_expression():
    votes = np.array([[8, 0, 0, 0, 0, 0, 0, 0, 2, 0], [0] * 9 + [10], [0] * 10])
    assert np.allclose(readable_share(votes), [0.8, 0.0, 0.0])


def test_a_face_of_few_pixels_is_worth_nothing_and_one_of_many_all():
    torch.manual_seed(0)
    faces = torch.rand(200, 1, 48, 48)
    views, factor = worn(faces)
    kept = (views - faces).abs().flatten(1).mean(dim=1)
    assert ((factor >= 0) & (factor <= 1)).all()
    assert (factor == 0).any()
    assert (factor == 1).any()
    assert kept[factor == 1].mean() < kept[factor == 0].mean()


def test_the_loss_is_least_where_answer_and_share_agree():
    shares = torch.tensor([0.3, 0.9])
    at = loss(shares, shares)
    assert (loss(shares + 0.05, shares) > at).all()
    assert (loss(shares - 0.05, shares) > at).all()
