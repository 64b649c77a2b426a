import pytest
import torch
from torch import nn

from mien.methods.au_cues.model import Block, Reader
from mien.vocabulary import Expression

TINY = {"widths": (4, 8, 8, 16), "blocks": (1, 1, 1, 1)}


def faces(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 1, 48, 48, generator=torch.Generator().manual_seed(seed))


def settled(reader: nn.Module) -> nn.Module:
    """In evaluation mode, after its running statistics have seen some faces."""
    with torch.no_grad():
        for seed in range(5):
            reader(faces(8, seed))
    return reader.eval()


def test_faces_become_one_logit_for_each_expression():
    assert Reader(**TINY)(faces(3)).shape == (3, len(Expression))


def test_each_stage_after_the_first_halves_the_resolution():
    reader = Reader(**TINY)
    x, shapes = reader.stem(faces(2)), []
    for stage in reader.stages:
        x = stage(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(4, 48, 48), (8, 24, 24), (8, 12, 12), (16, 6, 6)]


def test_a_stage_has_as_many_blocks_as_asked_for():
    assert [len(stage) for stage in Reader(widths=(4, 4, 4, 4), blocks=(1, 2, 3, 2)).stages] == [1, 2, 3, 2]


def test_stages_and_block_counts_must_agree():
    with pytest.raises(ValueError, match="zip"):
        Reader(widths=(4, 8), blocks=(1,))


def test_in_evaluation_an_answer_depends_on_its_own_face_alone():
    reader = settled(Reader(**TINY))
    with torch.no_grad():
        together = reader(faces(6))
        alone = torch.cat([reader(face[None]) for face in faces(6)])
    assert torch.allclose(together, alone, atol=1e-5)
    assert together.std(0).max() > 0


def test_in_training_dropout_and_stochastic_depth_make_answers_vary():
    reader = Reader(**TINY, dropout=0.5, stochastic_depth=0.5)
    given = faces(4)
    torch.manual_seed(0)
    first = reader(given)
    assert not torch.allclose(first, reader(given))


def test_stochastic_depth_grows_from_nothing_at_the_first_block_to_its_full_value_at_the_last():
    reader = Reader(widths=(4, 4, 4, 4), blocks=(1, 2, 3, 2), stochastic_depth=0.14)
    drops = [block.drop.drop_prob for stage in reader.stages for block in stage]
    assert drops == pytest.approx([0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.14])


def test_a_dropped_block_is_its_shortcut():
    block = Block(4, 4, 1, drop=1.0).train()
    x = torch.randn(2, 4, 6, 6)
    assert torch.equal(block(x), x.relu())


def test_the_shortcut_of_a_smaller_stage_sees_every_pixel():
    shortcut = Block(2, 4, 2, drop=0).eval().shortcut
    x = torch.randn(1, 2, 4, 4, requires_grad=True)
    shortcut(x).abs().sum().backward()
    assert (x.grad != 0).all()


def test_the_gate_weighs_channels_by_what_the_whole_face_shows():
    block = Block(4, 4, 1, drop=0).eval()
    gate = block.second[-1]
    x = torch.rand(1, 4, 6, 6)
    weights = gate(x) / x  # (1, 4, 6, 6), the same all over a channel
    assert torch.allclose(weights, weights[:, :, :1, :1].expand_as(weights), atol=1e-5)
    assert ((weights > 0) & (weights < 1)).all()


def test_every_parameter_learns():
    reader = Reader(**TINY, stochastic_depth=0)
    reader(faces(4)).square().sum().backward()
    assert [name for name, p in reader.named_parameters() if p.grad is None or not p.grad.any()] == []
