import pytest
import torch
from torch import nn

from mien.errors import InputError
from mien.facs.vocabulary import Expression
from mien.methods import se_swin, vtff
from mien.methods.au_cues.cams import METHODS, cam
from mien.methods.au_cues.model import ReaderNetwork
from mien.methods.se_swin.train import build as swin_network
from mien.methods.vtff.train import build as vtff_network
from mien.training.backbones import Residual, Timm

HAPPY, SAD = Expression.HAPPINESS, Expression.SADNESS
SIDE = 16


def faces(count: int, side: int = SIDE) -> torch.Tensor:
    return torch.randn(count, 1, side, side, generator=torch.Generator().manual_seed(0))


def expressions(*which: Expression) -> torch.Tensor:
    return torch.tensor([int(e) for e in which])


def tiny(seed: int = 0) -> ReaderNetwork:
    """A reader to which every second channel speaks for happiness and the others for sadness."""
    torch.manual_seed(seed)
    reader = ReaderNetwork(Residual((4, 6, 8), (1, 1, 1), (1, 2, 2)), SIDE).eval()
    with torch.no_grad():
        reader.expression.weight.zero_()
        reader.expression.weight[HAPPY, ::2] = reader.expression.weight[SAD, 1::2] = 5
    return reader


class LightAndDark(nn.Module):
    """A backbone of one stage with three channels: where a face is light, where it is dark, and 0.5 everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, faces: torch.Tensor) -> list[torch.Tensor]:
        return [self.gain * torch.cat([faces.relu(), (-faces).relu(), torch.full_like(faces, 0.5)], dim=1)]


def light_and_dark(happy: tuple[float, float, float], sad: tuple[float, float, float] = (0, 0, 0)) -> ReaderNetwork:
    """A reader whose logits of happiness and sadness weigh the means of these channels."""
    reader = ReaderNetwork(LightAndDark(), SIDE).eval()
    with torch.no_grad():
        reader.expression.weight.zero_()
        reader.expression.weight[HAPPY] = torch.tensor(happy)
        reader.expression.weight[SAD] = torch.tensor(sad)
    return reader


def stretched(maps: torch.Tensor) -> torch.Tensor:
    low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    return (maps - low) / (high - low)


def test_cam_weighs_the_channels_by_what_the_expression_makes_of_them():
    given = faces(2)
    shown = cam(light_and_dark((1, 0, 0), (0, 2, 0)), given, expressions(HAPPY, SAD))
    wanted = stretched(torch.stack([given[0, 0].relu(), (-given[1, 0]).relu()]))
    assert torch.allclose(shown, wanted, atol=1e-6)


def test_cam_shows_what_spoke_against_as_its_lowest_values():
    given = faces(1)
    shown = cam(light_and_dark((1, -1, 0)), given, expressions(HAPPY))
    assert torch.allclose(shown, stretched(given[:, 0]), atol=1e-6)


@pytest.mark.parametrize("method", ["gradcam", "xgradcam"])
def test_below_the_pooling_layer_gradients_make_cam_without_what_spoke_against(method):
    given = faces(3)
    shown = cam(light_and_dark((1, 0, -1)), given, expressions(HAPPY, HAPPY, HAPPY), method)
    assert torch.allclose(shown, stretched((given[:, 0] - 0.5).relu()), atol=1e-4)


def test_layercam_leaves_out_the_channels_that_spoke_against():
    given = faces(1)
    shown = cam(light_and_dark((1, 0, -1)), given, expressions(HAPPY), "layercam")
    assert torch.allclose(shown, stretched(given[:, 0].relu()), atol=1e-4)


def test_gradcam_plus_plus_weighs_as_its_formula_however_small_the_gradients_are():
    given, weights = faces(1), (0.03, 0.01, -1.0)
    light, dark = given[0, 0].relu(), (-given[0, 0]).relu()
    # Each gradient is w / n in all n pixels; negative ones do not count.
    wanted = sum(w / (2 + part.mean() * w) * part for w, part in zip(weights, (light, dark), strict=False))
    shown = cam(light_and_dark(weights), given, expressions(HAPPY), "gradcam++")
    assert torch.allclose(shown, stretched(wanted[None]), atol=1e-3)


def test_scorecam_weighs_each_channel_by_the_answer_to_the_face_seen_through_it(capsys):
    given, reader = faces(1), light_and_dark((9, 0, 0))
    shown = cam(reader, given, expressions(HAPPY), "scorecam")
    light, dark = given[:, 0].relu(), (-given[:, 0]).relu()
    with torch.no_grad():
        # Seen through the even channel there is nothing.
        through = torch.cat([given * stretched(light)[:, None], given * stretched(dark)[:, None], 0 * given])
        weights = reader(through).logits[:, HAPPY].softmax(0)
    assert weights[0] > 2 * weights[1]
    assert torch.allclose(shown, stretched(weights[0] * light + weights[1] * dark), atol=1e-4)
    assert capsys.readouterr() == ("", "")


def test_scorecam_keeps_the_features_of_the_first_run_alone(monkeypatch):
    kept = []
    monkeypatch.setattr(nn.Identity, "forward", lambda self, features: kept.append(features.shape) or features)
    cam(light_and_dark((1, 0, 0)), faces(2), expressions(HAPPY, SAD), "scorecam")
    assert kept == [(2, 3, SIDE, SIDE)]


@pytest.mark.parametrize("method", METHODS)
def test_a_map_lies_between_0_and_1_and_is_another_for_another_expression(method):
    reader, given = tiny(), faces(2)
    happy, sad = (cam(reader, given, expressions(e, e), method) for e in (HAPPY, SAD))
    assert happy.shape == (2, 4, 4)
    assert happy.amin(dim=(1, 2)).tolist() == [0, 0]
    assert happy.amax(dim=(1, 2)).tolist() == [1, 1]
    assert not happy.requires_grad
    assert not torch.allclose(happy, sad, atol=0.01)


@pytest.mark.parametrize("method", METHODS)
def test_a_face_has_the_same_map_alone_and_among_others(method):
    reader, given, shown = tiny(), faces(3), expressions(HAPPY, SAD, SAD)
    together = cam(reader, given, shown, method)
    assert torch.allclose(together[1:2], cam(reader, given[1:2], shown[1:2], method), atol=1e-4)


def test_where_nothing_speaks_for_an_expression_the_map_is_0():
    shown = cam(light_and_dark((-1, -1, -1)), faces(1), expressions(HAPPY), "gradcam")
    assert not shown.any()


@pytest.mark.parametrize(("stage", "side"), [(1, 16), (2, 8), (3, 4), (None, 4)])
def test_gradients_show_any_stage_at_its_own_size(stage, side):
    shown = cam(tiny(), faces(2), expressions(HAPPY, SAD), "gradcam", stage)
    assert shown.shape == (2, side, side)
    assert shown.std() > 0


@pytest.mark.parametrize(("name", "side"), [("resnet10t", 64), ("vit_tiny_patch16_224", 32), ("swin_s3_tiny_224", 64)])
def test_networks_of_timm_show_their_last_stage(name, side):
    torch.manual_seed(0)
    reader = ReaderNetwork(Timm(name, side), side).eval()
    with torch.no_grad():
        reader.expression.weight.abs_()
    for method in ("cam", "gradcam", "layercam"):
        shown = cam(reader, faces(2, side), expressions(HAPPY, SAD), method)
        assert shown.shape == (2, 2, 2)
        assert shown.std() > 0


def test_an_earlier_stage_of_a_transformer_is_refused_for_no_gradient_arrives_there():
    reader = ReaderNetwork(Timm("vit_tiny_patch16_224", 32), 32).eval()
    with pytest.raises(InputError, match="stage 1"):
        cam(reader, faces(1, 32), expressions(HAPPY), "gradcam", 1)


def test_a_network_is_left_as_it_was():
    reader, given = tiny(), faces(2)
    with torch.no_grad():
        before = reader(given).logits
        cam(reader, given, expressions(HAPPY, SAD), "gradcam")
        assert torch.equal(reader(given).logits, before)
    assert all(parameter.grad is None for parameter in reader.parameters())
    assert not any(module._forward_hooks for module in reader.modules())


def test_maps_and_stages_that_do_not_exist_are_refused():
    reader, given, shown = tiny(), faces(1), expressions(HAPPY)
    with pytest.raises(InputError, match="scorecam"):
        cam(reader, given, shown, "smoothgrad")
    for stage in (0, 4):
        with pytest.raises(InputError, match="stages 1 to 3"):
            cam(reader, given, shown, "gradcam", stage)
    with pytest.raises(InputError, match="cannot show stage 2"):
        cam(reader, given, shown, "cam", 2)


@pytest.mark.parametrize("method", [m for m in METHODS if m not in ("cam", "scorecam")])
def test_the_other_methods_networks_have_maps_too(method):
    torch.manual_seed(0)
    small = vtff.Settings(
        widths=(4, 8), blocks=(1, 1), strides=(2, 2), width=16, heads=2, depth=1, hidden=32, size=SIDE
    )
    swin = se_swin.Settings(width=8, depths=(1, 1), heads=(1, 2), window=2, size=SIDE)
    for network, side in ((vtff_network(small), 4), (swin_network(swin), 4)):
        maps = cam(network.eval(), faces(2), expressions(HAPPY, SAD), method)
        assert maps.shape == (2, side, side)
        assert maps.min() == 0
        assert maps.amax() == pytest.approx(1)


def test_cam_of_a_swin_is_what_it_says_itself_of_its_answer_and_is_refused_for_a_transformer_over_the_map():
    torch.manual_seed(0)
    swin = swin_network(se_swin.Settings(width=8, depths=(1, 1), heads=(1, 2), window=2, size=SIDE)).eval()
    answers = swin(faces(3))
    own = swin.looks(answers)
    maps = cam(swin, faces(3), answers.logits.argmax(1))
    positive = own > 0
    for look, map_, where in zip(own, maps, positive, strict=True):
        assert torch.corrcoef(torch.stack([look[where], map_[where]]))[0, 1] > 0.999
    words = vtff.Settings(widths=(4, 8), blocks=(1, 1), strides=(2, 2), width=8, heads=2, depth=1, hidden=16, size=SIDE)
    with pytest.raises(InputError, match="linear in its pooled features"):
        cam(vtff_network(words), faces(1), expressions(HAPPY))
