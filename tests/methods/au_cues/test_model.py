import dataclasses

import pytest
import torch
from torch import nn

from mien.errors import InputError
from mien.facs.landmarks import mean_face
from mien.facs.vocabulary import Expression
from mien.methods.au_cues.model import ReaderNetwork
from mien.methods.au_cues.settings import PAPER
from mien.methods.au_cues.train import build
from mien.training.backbones import Residual, ResidualBlock, Timm


def residual(stochastic_depth: float = 0.0) -> Residual:
    return Residual((4, 8, 8, 16), (1, 1, 1, 1), (1, 2, 2, 1), stochastic_depth)


def tiny(stochastic_depth: float = 0.0, **options: object) -> ReaderNetwork:
    return ReaderNetwork(residual(stochastic_depth), 48, **options)


def faces(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 1, 48, 48, generator=torch.Generator().manual_seed(seed))


def settled(reader: nn.Module) -> nn.Module:
    """In evaluation mode, after its running statistics have seen some faces."""
    with torch.no_grad():
        for seed in range(5):
            reader(faces(8, seed))
    return reader.eval()


def test_faces_become_one_logit_for_each_expression_and_the_features_of_each_stage():
    answers = tiny()(faces(3))
    assert answers.logits.shape == (3, len(Expression))
    assert [f.shape for f in answers.features] == [(3, 4, 48, 48), (3, 8, 24, 24), (3, 8, 12, 12), (3, 16, 12, 12)]
    assert (answers.action_units, answers.landmarks, answers.pose) == (None, None, None)


def test_heads_answer_action_units_landmarks_and_pose_within_their_ranges():
    reader = tiny(heads=True)
    with torch.no_grad():
        reader.action_units.weight.mul_(100)
        answers = reader(faces(5))
    assert answers.action_units.shape == (5, 24)
    assert (answers.action_units[:, :21].min(), answers.action_units[:, :21].max()) >= (0, 0.9)
    assert answers.action_units[:, 21:].min() < -0.5
    assert answers.action_units.abs().max() <= 1
    assert (answers.landmarks.shape, answers.pose.shape) == ((5, 68, 2), (5, 3))


def test_an_untrained_reader_sees_the_mean_face_looking_straight_ahead():
    answers = settled(tiny(heads=True))(faces(2))
    assert torch.allclose(answers.landmarks, torch.from_numpy(mean_face()).float(), atol=0.05)
    assert answers.pose.abs().max() < 5


def test_features_come_after_a_relu_so_that_attention_has_one_sign():
    assert all(f.min() >= 0 for f in tiny()(faces(2)).features)


def test_a_stage_has_as_many_blocks_as_asked_for():
    assert [len(stage) for stage in Residual((4, 4, 4), (1, 2, 3), (1, 2, 2)).stages] == [1, 2, 3]


def test_without_squeeze_there_are_no_gates():
    count = {squeeze: sum(p.numel() for p in Residual((8, 8), (1, 1), (1, 2), squeeze=squeeze).parameters())
             for squeeze in (False, True)}  # fmt: skip
    assert count[True] > count[False]
    assert not any("fc" in name for name, _ in Residual((8, 8), (1, 1), (1, 2), squeeze=False).named_parameters())


def test_widths_blocks_and_strides_must_agree():
    with pytest.raises(InputError, match="one number a stage"):
        Residual((4, 8), (1,), (1, 2))


def test_the_small_network_of_the_sheet_has_seven_hundred_thousand_parameters():
    reader = ReaderNetwork(Residual((16, 32, 64, 128), (2, 2, 2, 2), (1, 2, 2, 1), squeeze=False), 48)
    assert sum(p.numel() for p in reader.parameters()) == pytest.approx(0.7e6, rel=0.02)
    assert reader(faces(1)).features[-1].shape == (1, 128, 12, 12)


@pytest.mark.parametrize(
    ("name", "size", "last"),
    [("resnet10t", 64, (512, 2, 2)), ("vit_tiny_patch16_224", 64, (192, 4, 4)),
     ("swin_tiny_patch4_window7_224", 64, (768, 2, 2)), ("mobilenetv3_small_050", 64, (288, 2, 2))],
)  # fmt: skip
def test_convolutions_and_transformers_of_timm_are_backbones_too(name, size, last):
    reader = ReaderNetwork(Timm(name, size), size, heads=True).eval()
    answers = reader(torch.randn(2, 1, size, size))
    assert answers.features[-1].shape == (2, *last)
    assert (answers.logits.shape, answers.landmarks.shape) == ((2, 8), (2, 68, 2))


def test_the_papers_network_has_the_papers_shapes():
    reader = build(dataclasses.replace(PAPER, start="")).eval()
    with torch.no_grad():
        answers = reader(torch.randn(1, 1, 224, 224))
    shapes = [(64, 112, 112), (256, 56, 56), (512, 28, 28), (1024, 28, 28), (2048, 28, 28)]
    assert [tuple(f.shape[1:]) for f in answers.features] == shapes
    assert sum(p.numel() for p in reader.backbone.parameters()) == 23_508_032  # ResNet-50 without its last layer
    assert answers.features[-1].min() == 0


def test_a_model_that_timm_lacks_is_refused_with_those_that_come_close():
    with pytest.raises(InputError, match=r"timm has no model 'resnet5x'; it has .*resnet"):
        Timm("resnet5x", 48)


def test_large_maps_are_for_resnets():
    with pytest.raises(InputError, match="large maps are defined for ResNets"):
        Timm("mobilenetv3_small_050", 48, large_maps=True)


def test_in_evaluation_an_answer_depends_on_its_own_face_alone():
    reader = settled(tiny())
    with torch.no_grad():
        together = reader(faces(6)).logits
        alone = torch.cat([reader(face[None]).logits for face in faces(6)])
    assert torch.allclose(together, alone, atol=1e-5)
    assert together.std(0).max() > 0


def test_in_training_dropout_and_stochastic_depth_make_answers_vary():
    reader = tiny(0.5, dropout=0.5)
    given = faces(4)
    torch.manual_seed(0)
    first = reader(given).logits
    assert not torch.allclose(first, reader(given).logits)


def test_stochastic_depth_grows_from_nothing_at_the_first_block_to_its_full_value_at_the_last():
    reader = Residual((4, 4, 4, 4), (1, 2, 3, 2), (1, 2, 2, 1), stochastic_depth=0.14)
    drops = [block.drop.drop_prob for stage in reader.stages for block in stage]  # type: ignore[attr-defined]
    assert drops == pytest.approx([0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12, 0.14])


def test_a_dropped_block_is_its_shortcut():
    block = ResidualBlock(4, 4, 1, drop=1.0, squeeze=True).train()
    x = torch.randn(2, 4, 6, 6)
    assert torch.equal(block(x), x.relu())


def test_the_shortcut_of_a_smaller_stage_sees_every_pixel():
    shortcut = ResidualBlock(2, 4, 2, drop=0, squeeze=True).eval().shortcut
    x = torch.randn(1, 2, 4, 4, requires_grad=True)
    shortcut(x).abs().sum().backward()
    assert (x.grad != 0).all()


def test_the_gate_weighs_channels_by_what_the_whole_face_shows():
    block = ResidualBlock(4, 4, 1, drop=0, squeeze=True).eval()
    gate = block.second[-1]
    x = torch.rand(1, 4, 6, 6)
    weights = gate(x) / x  # (1, 4, 6, 6), the same all over a channel
    assert torch.allclose(weights, weights[:, :, :1, :1].expand_as(weights), atol=1e-5)
    assert ((weights > 0) & (weights < 1)).all()


def test_every_parameter_learns():
    reader = tiny(heads=True)
    answers = reader(faces(4))
    sum(part.square().sum() for part in (answers.logits, *answers[2:]) if part is not None).backward()
    assert [name for name, p in reader.named_parameters() if p.grad is None or not p.grad.any()] == []
