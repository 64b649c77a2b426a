from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models.swin_transformer import window_partition, window_reverse
from torch import nn

from mien.errors import InputError
from mien.methods.se_swin.model import TINY, Gate, SeSwin, swin_tiny
from mien.methods.se_swin.train import PAPER, PRESETS, Settings, build

SMALL = Settings(width=8, depths=(2, 2), heads=(1, 2), window=3, size=24)


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def small(**changes: object) -> SeSwin:
    torch.manual_seed(0)
    return build(Settings(**vars(SMALL) | changes)).eval()


def paper(**changes: object) -> SeSwin:
    return build(Settings(**vars(PAPER) | {"start": ""} | changes)).eval()


def test_swin_t_has_the_published_number_of_parameters():
    assert count(timm.create_model(TINY)) == 28_288_354
    assert count(paper(se="none")) == 27_525_506
    assert count(paper(se="head")) == 27_599_234


def test_the_published_size_ends_in_maps_of_7_by_7():
    network = paper()
    with torch.no_grad():
        answers = network(torch.randn(1, 1, 224, 224))
    assert answers.features[-1].shape == (1, 768, 7, 7)
    assert answers.gate.shape == (1, 768)


@pytest.mark.parametrize(("preset", "side"), [("tiny", 3), ("small", 6)])
def test_the_presets_have_the_size_that_was_planned_and_end_in_small_maps(preset, side):
    network = build(PRESETS[preset]).eval()
    assert count(network) / 1e6 == pytest.approx(1.27, abs=0.01)
    assert sum(p.numel() for p in network.gate.parameters()) == 9_216
    assert network(torch.randn(2, 1, 48, 48)).features[-1].shape == (2, 192, side, side)


def test_gating_the_map_and_pooling_is_pooling_and_gating_the_vector():
    torch.manual_seed(0)
    gate, maps = Gate(32, 8), torch.randn(5, 6, 6, 32)
    nn.init.normal_(gate.excite.weight)
    on_map = (maps * gate(maps)[:, None, None]).mean(dim=(1, 2))
    torch.testing.assert_close(on_map, maps.mean(dim=(1, 2)) * gate(maps), atol=1e-6, rtol=0)


def test_a_gate_begins_open_for_every_channel_and_is_its_formula():
    torch.manual_seed(0)
    gate, maps = Gate(16, 4), torch.randn(3, 2, 2, 16)
    assert torch.equal(gate(maps), torch.ones(3, 16))
    nn.init.normal_(gate.excite.weight)
    pooled = maps.mean(dim=(1, 2))
    wanted = 2 / (1 + torch.exp(-(pooled @ gate.squeeze.weight.T).clamp(min=0) @ gate.excite.weight.T))
    torch.testing.assert_close(gate(maps), wanted)


def test_an_untrained_gate_changes_nothing_wherever_it_is():
    x = torch.randn(2, 1, 24, 24)
    plain = small(se="none")
    for se in ("head", "stages", "constant"):
        gated = small(se=se)
        gated.load_state_dict(plain.state_dict(), strict=False)
        torch.testing.assert_close(gated(x).logits, plain(x).logits)


def test_stages_have_a_gate_each_on_their_own_channels():
    network = small(se="stages")
    assert [gate.excite.out_features for gate in network.stage_gates] == [8, 16]
    assert network(torch.randn(2, 1, 24, 24)).gate is None


def test_the_control_gates_all_faces_alike():
    network = small(se="constant")
    nn.init.normal_(network.gate.factors)
    gate = network(torch.randn(3, 1, 24, 24)).gate
    assert torch.equal(gate[0], gate[1])
    assert network.gate.factors.numel() == 16


def test_the_map_of_the_answer_adds_up_to_its_logit():
    network = small()
    nn.init.normal_(network.gate.excite.weight)
    answers = network(torch.randn(4, 1, 24, 24))
    top = answers.logits.argmax(dim=1)
    rows = network.expression.weight[top]
    raw = torch.einsum("bc,bchw->bhw", rows, answers.features[-1])
    torch.testing.assert_close(raw.mean(dim=(1, 2)) + network.expression.bias[top], answers.logits.amax(dim=1))
    assert torch.equal(network.looks(answers), raw.clamp(min=0))


def test_windows_are_cut_and_put_back_exactly():
    maps = torch.randn(2, 12, 18, 5)
    assert torch.equal(window_reverse(window_partition(maps, (6, 6)), (6, 6), 12, 18), maps)
    rolled = torch.roll(maps, shifts=(-3, -3), dims=(1, 2))
    assert torch.equal(torch.roll(rolled, shifts=(3, 3), dims=(1, 2)), maps)


def test_in_a_shifted_window_parts_that_are_no_neighbours_do_not_attend_to_each_other():
    block = build(PRESETS["small"]).eval().swin.layers[0].blocks[1]
    assert block.shift_size == (3, 3)
    seen = []
    block.attn.softmax.register_forward_hook(lambda module, given, output: seen.append(output))
    block(torch.randn(1, 24, 24, 48))
    (attention,) = seen  # (windows, heads, 36, 36)
    # The last window holds what the roll brought together: rows and columns 21-23, then 0-2, of a map 24 wide.
    region = torch.tensor([2 * (y >= 3) + (x >= 3) for y in range(6) for x in range(6)])
    apart = region[:, None] != region[None, :]
    assert attention[-1][:, apart].max() < 1e-6
    assert attention[0][:, apart].max() > 1e-6


def test_a_window_as_large_as_the_map_is_not_shifted():
    swin = build(PRESETS["tiny"]).swin
    assert swin.layers[1].blocks[1].shift_size == (0, 0)  # 6x6 maps, windows of 6
    assert swin.layers[2].blocks[1].window_size == (3, 3)


@pytest.mark.parametrize(("name", "value"), [("se", "all"), ("backbone", "swin-b")])
def test_a_choice_that_there_is_not_is_refused(name, value):
    with pytest.raises(InputError, match=f"{name} is .*not '{value}'"):
        small(**{name: value})


def saved(network: SeSwin, file: Path) -> str:
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, file)
    return str(file)


def test_a_small_swin_goes_on_from_a_run_on_smaller_faces(tmp_path):
    run = small()
    file = saved(run, tmp_path / "model.safetensors")
    face = torch.randn(1, 1, 24, 24)
    same = build(Settings(**vars(SMALL) | {"start": file})).eval()
    assert torch.equal(same(face).logits, run(face).logits)
    larger = build(Settings(**vars(SMALL) | {"size": 60, "window": 5, "start": file})).eval()
    assert larger(torch.randn(1, 1, 60, 60)).logits.shape == (1, 8)
    before, after = (n.swin.layers[0].blocks[0].attn.relative_position_bias_table for n in (run, larger))
    assert (len(before), len(after)) == (5 * 5, 9 * 9)
    # The corners and the middle of the square of offsets are where they were.
    torch.testing.assert_close(after[[0, 8, 40, 72, 80]], before[[0, 4, 12, 20, 24]])


def test_weights_of_another_network_are_refused(tmp_path):
    file = saved(small(se="none"), tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=r"differs in gate\.excite\.weight, gate\.squeeze\.weight"):
        small(start=file)


def test_attention_begins_at_a_place_beside_another_for_each_head():
    attention = small(window=5, size=40).swin.layers[1].blocks[0].attn
    highest = attention.relative_position_bias_table.argmax(dim=0)
    places = [(int(i) // 9 - 4, int(i) % 9 - 4) for i in highest]
    assert len(set(places)) == attention.num_heads
    assert all(1 <= abs(y) + abs(x) <= 3 for y, x in places)


@pytest.mark.parametrize("form", ["safetensors", "pth"])
def test_weights_of_swin_t_are_read_from_a_file(tmp_path, form):
    given = timm.create_model(TINY, img_size=64).state_dict()
    path = tmp_path / f"swin.{form}"
    if form == "safetensors":
        save_file(given, path)
    else:
        torch.save({"model": given}, path)
    swin = swin_tiny(64, 0.1, str(path))
    assert all(torch.equal(value, given[name]) for name, value in swin.state_dict().items())


def test_a_file_that_is_no_swin_t_is_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"conv1.weight": torch.zeros(3)}, path)
    with pytest.raises(InputError, match=r"no Swin-T: missing .*unknown \['conv1.weight'\]"):
        swin_tiny(64, 0.1, str(path))
    with pytest.raises(InputError, match="no weights can be read"):
        swin_tiny(64, 0.1, str(tmp_path / "absent.pth"))
