import torch

from mien.training.photographs import compressed, photograph, shaded, soft

FACES = torch.rand(16, 1, 48, 48, generator=torch.Generator().manual_seed(0))


def test_only_a_share_of_the_faces_is_changed_and_all_stay_pictures():
    torch.manual_seed(0)
    changed = photograph(FACES, share=0.5)
    same = (changed == FACES).flatten(1).all(dim=1)
    assert 0 < same.sum() < len(FACES)
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert torch.equal(photograph(FACES, share=0.0), FACES)


def test_light_from_one_side_leaves_the_mean_about_as_it_was():
    gray = torch.full((8, 1, 48, 48), 0.5)
    torch.manual_seed(0)
    lit = shaded(gray)
    assert torch.allclose(lit.mean(dim=(1, 2, 3)), torch.full((8,), 0.5), atol=0.02)
    assert lit.flatten(1).std(dim=1).max() > 0.02


def test_a_soft_face_has_lost_detail_and_a_compressed_one_little():
    which = torch.ones(16, dtype=torch.bool)
    torch.manual_seed(0)
    assert soft(FACES, which).flatten(1).std() < FACES.flatten(1).std()
    smooth = torch.nn.functional.interpolate(torch.rand(4, 1, 6, 6), (48, 48), mode="bilinear")
    assert (compressed(smooth, torch.ones(4, dtype=torch.bool)) - smooth).abs().mean() < 0.05
    assert torch.equal(compressed(FACES, ~which), FACES)
