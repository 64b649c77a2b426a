import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from mien.errors import InputError
from mien.methods.vtff.lbp import lbp
from mien.methods.vtff.model import LBP_MEAN, LBP_STD, Fusion, Vtff, mix, weights, with_face_weights
from mien.methods.vtff.train import PAPER, PRESETS, Settings, build
from mien.training.backbones import Residual, Timm
from mien.training.faces import normalize
from tests.helpers import noise

TINY = Settings(widths=(4, 8), blocks=(1, 1), strides=(2, 2), width=16, heads=2, depth=2, hidden=32, size=16)


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def tiny(**changes: object) -> Vtff:
    torch.manual_seed(0)
    return build(Settings(**vars(TINY) | changes)).eval()


def faces(number: int = 3, size: int = 16) -> torch.Tensor:
    return normalize(torch.from_numpy(noise(number, 1, size, size)))


@pytest.mark.parametrize(("depth", "parameters"), [(4, 51_770_186), (8, 80_121_674)])
def test_the_published_size_has_the_published_number_of_parameters(depth, parameters):
    # The publication counts seven classes; ours has eight, each with 768 weights and a bias.
    assert count(build(Settings(**vars(PAPER) | {"depth": depth}))) - (768 + 1) == parameters


def test_the_published_size_reads_49_words():
    network = build(PAPER).eval()
    with torch.no_grad():
        answers = network(faces(1, 224))
    assert answers.features[-1].shape == answers.gate.shape == (1, 512, 7, 7)
    assert answers.words.shape == (1, 1 + 49, 768)


def test_the_third_stage_gives_maps_of_14_by_14():
    network = build(Settings(**vars(PAPER) | {"stage": 4, "depth": 1})).eval()
    with torch.no_grad():
        assert network(faces(1, 224)).features[-1].shape == (1, 256, 14, 14)


@pytest.mark.parametrize(("preset", "millions"), [("tiny", 1.07), ("small", 2.25), ("medium", 7.6)])
def test_the_presets_have_the_sizes_that_were_planned(preset, millions):
    assert count(build(PRESETS[preset])) / 1e6 == pytest.approx(millions, rel=0.01)


def test_there_is_a_word_for_every_place_and_one_for_the_class():
    answers = tiny()(faces())
    assert answers.logits.shape == (3, 8)
    assert answers.features[-1].shape == (3, 8, 4, 4)
    assert answers.words.shape == (3, 1 + 16, 16)


def test_the_class_token_looks_as_the_encoder_itself_does():
    network = tiny().eval()
    answers, seen = network(faces()), []
    layer = network.encoder[-1].attn
    layer.attn_drop.register_forward_hook(lambda module, given, output: seen.append(output))
    network(faces())
    (attention,) = seen  # (B, heads, 1 + P, 1 + P)
    wanted = attention[:, :, 0, 1:].mean(1)
    looks = network.looks(answers)
    torch.testing.assert_close(looks.flatten(1), wanted / wanted.sum(1, keepdim=True), atol=0.02, rtol=0.05)
    torch.testing.assert_close(looks.sum(dim=(1, 2)), torch.ones(3))


def test_a_branch_of_patterns_is_shown_the_patterns_of_the_face_and_none_where_it_was_erased():
    gray = torch.from_numpy(noise(2, 1, 16, 16))
    wanted = (lbp(gray.float()) / 255 - LBP_MEAN) / LBP_STD
    assert torch.equal(Vtff.seen(normalize(gray), True), wanted)
    erased = torch.zeros(2, 1, 16, 16, dtype=torch.bool)
    erased[1, :, 3:7, 4:9] = True
    seen = Vtff.seen(normalize(gray), True, erased)
    assert torch.equal(seen[~erased], wanted[~erased])
    assert torch.allclose(seen[erased], torch.tensor(-LBP_MEAN / LBP_STD))
    assert torch.equal(Vtff.seen(normalize(gray), False, erased), normalize(gray))


def test_patterns_are_taken_before_a_face_is_enlarged():
    plain, large = tiny(), tiny(enlarge=32)
    assert plain(faces()).features[-1].shape[2:] == (4, 4)
    assert large(faces()).features[-1].shape[2:] == (8, 8)
    shown = []
    large.branches[1].register_forward_pre_hook(lambda module, given: shown.append(given[0]))
    large(faces())
    codes = nn.functional.interpolate(Vtff.seen(faces(), True), size=(32, 32), mode="bilinear", align_corners=False)
    assert torch.equal(shown[0], codes)


def test_a_weight_of_one_or_zero_gives_the_single_branches_to_the_bit():
    one, other = torch.randn(2, 8, 3, 3), torch.randn(2, 8, 3, 3)
    whole = torch.ones(2, 8, 3, 3)
    assert torch.equal(mix(one, other, whole, 1 - whole), one)
    assert torch.equal(mix(one, other, 1 - whole, whole), other)


def test_a_view_of_channels_and_one_of_places_broadcast_to_a_weight_for_each():
    fusion = Fusion(16).eval()
    one, other = torch.randn(2, 16, 3, 5), torch.randn(2, 16, 3, 5)
    both = fusion.first(one) + fusion.second(other)
    assert fusion.whole(both).shape == (2, 16, 1, 1)
    assert fusion.local(both).shape == (2, 1, 3, 5)
    fused, gate = fusion(one, other)
    assert fused.shape == gate.shape == (2, 16, 3, 5)


def test_the_three_gates_are_what_their_formulas_say():
    g, l = torch.randn(2, 4, 1, 1), torch.randn(2, 1, 3, 3)  # noqa: E741
    s = torch.sigmoid
    wanted = {
        "convex": (s(g + l), 1 - s(g + l)),
        "t1": (s(s(g) + s(l)), s(1 - (s(g) + s(l)))),
        "t2": (s(g) + s(l), 1 - (s(g) + s(l))),
    }
    for gate, (first, second) in wanted.items():
        given = weights([g, l], gate)
        torch.testing.assert_close(given[0], first)
        torch.testing.assert_close(given[1], second)
    weight, rest = weights([10 * g, 10 * l], "t1")
    assert 0.5 <= weight.min() <= weight.max() <= 0.881
    assert 0.268 <= rest.min() <= rest.max() <= 0.732


@pytest.mark.parametrize(("context", "same_along"), [("global", (2, 3)), ("local", (1,))])
def test_one_view_alone_gives_one_weight_a_channel_or_one_a_place(context, same_along):
    _, gate = Fusion(8, context=context).eval()(torch.randn(2, 8, 3, 3), torch.randn(2, 8, 3, 3))
    first = gate[:, :, :1, :1] if context == "global" else gate[:, :1]
    assert torch.equal(gate, first.expand_as(gate))
    assert all(gate.shape[dim] > 1 for dim in same_along)


def test_simple_fusions_and_single_branches():
    x = faces()
    assert tiny(fusion="sum")(x).gate is None
    assert tiny(fusion="concat")(x).features[-1].shape == (3, 8, 4, 4)
    scalar = tiny(fusion="scalar")
    assert (scalar(x).gate == 0.5).all()
    assert scalar.fusion.balance.numel() == 1
    summed = tiny(fusion="sum")
    one, other = (branch(Vtff.seen(x, p))[-1] for branch, p in zip(summed.branches, (False, True), strict=True))
    assert torch.equal(summed(x).features[-1], one + other)
    for branches in ("image", "lbp"):
        single = tiny(branches=branches)
        assert single(x).gate is None
        assert torch.equal(single(x).features[-1], single.branches[0](Vtff.seen(x, branches == "lbp"))[-1])


def test_two_image_branches_have_as_many_parameters_as_image_and_patterns():
    assert count(tiny(branches="image+image")) == count(tiny())


def test_without_an_encoder_the_fused_map_is_pooled():
    network = tiny(depth=0)
    answers = network(faces())
    assert answers.words is None
    torch.testing.assert_close(answers.logits, network.expression(answers.features[-1].mean(dim=(2, 3))))
    torch.testing.assert_close(network.looks(answers), answers.features[-1].mean(dim=1).clamp(min=0))


@pytest.mark.parametrize(
    ("name", "value"), [("branches", "rgb"), ("fusion", "product"), ("gate", "t3"), ("context", "none")]
)
def test_a_choice_that_there_is_not_is_refused_with_those_that_there_are(name, value):
    with pytest.raises(InputError, match=f"{name} is one of .* not '{value}'"):
        tiny(**{name: value})


def test_branches_whose_maps_differ_are_refused():
    branches = [Residual((4, 8), (1, 1), (2, 2)), Residual((4, 8), (1, 1), (2, 1))]
    with pytest.raises(InputError, match=r"maps of one shape.*\(8, 4, 4\), \(8, 8, 8\)"):
        Vtff(branches, (False, True), size=16)


@pytest.mark.parametrize("form", ["safetensors", "pth"])
def test_weights_of_a_face_recognition_network_are_found_under_their_prefix(tmp_path, form):
    trained, path = Timm("resnet18", 32), tmp_path / f"faces.{form}"
    given = {f"module.{k.removeprefix('network.')}": v + 1 for k, v in trained.state_dict().items()}
    given |= {"module.fc.weight": torch.zeros(10, 512)}
    if form == "safetensors":
        save_file({k: v.contiguous() for k, v in given.items()}, path)
    else:
        torch.save({"state_dict": given}, path)
    branch = Timm("resnet18", 32)
    with_face_weights(branch, path)
    assert all(torch.equal(v, trained.state_dict()[k] + 1) for k, v in branch.state_dict().items())
    built = build(Settings(**vars(TINY) | {"backbone": "resnet18", "size": 32, "start": str(path)}))
    assert torch.equal(built.branches[0].state_dict()["network.conv1.weight"], branch.network.conv1.weight)


def test_weights_of_another_architecture_are_refused(tmp_path):
    path = tmp_path / "faces.safetensors"
    save_file({"conv1.weight": torch.zeros(64, 1, 7, 7)}, path)
    with pytest.raises(InputError, match=r"conv1.weight of shape \(64, 3, 7, 7\) it has shape \(64, 1, 7, 7\)"):
        with_face_weights(Timm("resnet18", 32), path)
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match="no weights can be read from it"):
        with_face_weights(Timm("resnet18", 32), path)
