import numpy as np
import pytest
import torch

from mien.facs.units import VECTOR
from mien.methods.synfer.flow.captions import LONGEST
from mien.methods.synfer.flow.model import Generator, is_adapter, waves
from mien.methods.synfer.flow.train import Settings, build

WORDS = 10


def tiny() -> Generator:
    """With weights that are nowhere 0, as training leaves them."""
    torch.manual_seed(0)
    network = Generator(WORDS, channels=(8, 16), blocks=1, width=16, heads=2, depth=1).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return network


def given(count: int = 2, **other: torch.Tensor) -> dict[str, torch.Tensor]:
    """Noise, half of the way, an expression, three words and all action units; `other` replaces some of it."""
    draw = torch.Generator().manual_seed(1)
    words = torch.zeros(count, LONGEST, dtype=torch.long)
    words[:, :3] = torch.tensor([3, 1, 4])
    return {
        "x": torch.randn(count, 1, 24, 24, generator=draw),
        "t": torch.full((count,), 0.5),
        "label": torch.eye(8)[[2] * count],
        "words": words,
        "units": torch.rand(count, VECTOR, generator=draw),
        "known": torch.ones(count, VECTOR),
    } | other


@torch.no_grad()
def velocity(network: Generator, **other: torch.Tensor) -> np.ndarray:
    return network(**given(**other)).velocity.numpy()


def test_a_velocity_has_the_size_of_the_face_and_looks_that_of_the_labeler():
    answers = tiny()(**given())
    assert answers.velocity.shape == (2, 1, 24, 24)
    assert answers.features.shape == (2, 8 + 16, 6, 6)
    assert answers.maps.shape == (2, 2 * 2 * VECTOR, 6, 6)
    heads = answers.maps.unflatten(1, (2, 2, VECTOR))
    torch.testing.assert_close(heads.sum(dim=3), torch.ones(2, 2, 2, 6, 6))


def test_an_untrained_network_says_nothing_moves():
    torch.manual_seed(0)
    assert not velocity(Generator(WORDS, channels=(8, 16), blocks=1, width=16, heads=2)).any()


def test_the_shipped_size_fits_its_budget():
    count = sum(p.numel() for p in build(Settings(), words=400).parameters())
    assert 4.5e6 < count < 5.4e6  # two bytes each leave 0.2 MB of 11 for the graph


def test_every_condition_counts():
    network = tiny()
    base = velocity(network)
    for name, value in {
        "label": torch.eye(8)[[6, 6]],
        "words": torch.zeros(2, LONGEST, dtype=torch.long),
        "units": torch.zeros(2, VECTOR),
        "known": torch.zeros(2, VECTOR),
        "t": torch.full((2,), 0.6),
    }.items():
        assert np.abs(velocity(network, **{name: value}) - base).max() > 1e-4, name


def test_an_action_unit_that_is_not_told_does_not_count():
    known = torch.ones(2, VECTOR)
    known[:, 5] = 0
    changed = given()["units"].clone()
    changed[:, 5] = 1 - changed[:, 5]
    network = tiny()
    assert np.array_equal(velocity(network, known=known), velocity(network, known=known, units=changed))


def test_an_action_unit_at_rest_is_something_else_than_one_that_is_not_told():
    network = tiny()
    rest, untold = torch.zeros(1, VECTOR), torch.ones(1, VECTOR)
    tokens = network.unit_tokens(rest, untold)[0]
    free = network.unit_tokens(rest, torch.zeros(1, VECTOR))[0]
    assert (tokens - free).abs().amax(dim=1).min() > 0
    assert (free - free[0]).abs().max() == 0


def test_a_token_moves_with_the_intensity_of_its_own_unit_alone():
    network, units = tiny(), torch.zeros(1, VECTOR)
    base, known = network.unit_tokens(units, torch.ones(1, VECTOR)), torch.ones(1, VECTOR)
    units[0, 8] = 0.5
    half = network.unit_tokens(units, known) - base
    units[0, 8] = 1
    whole = network.unit_tokens(units, known) - base
    torch.testing.assert_close(whole, 2 * half)
    assert whole[0].abs().sum(dim=1).nonzero().flatten().tolist() == [8]


def test_a_soft_label_lies_between_those_that_it_mixes():
    network = tiny()
    words = torch.zeros(1, LONGEST, dtype=torch.long)
    one, other, both = (
        network.expressions.weight.new_tensor(label) for label in (np.eye(8)[1], np.eye(8)[2], np.eye(8)[1:3].mean(0))
    )

    def token(label):
        shares = torch.cat([label, 1 - label.sum()[None]])
        return shares @ network.expressions.weight

    torch.testing.assert_close(token(both), (token(one) + token(other)) / 2)
    read, there = network.read(both[None].float(), words)
    assert read.shape == (1, 1 + LONGEST, 16)
    assert there.sum() == 1


def test_words_after_the_caption_do_not_exist():
    network = tiny()
    shown, there = network.read(given()["label"], given()["words"])
    assert there[0, :5].tolist() == [True] * 4 + [False]
    with torch.no_grad():
        network.words.weight[0] = 5.0  # the padding's own
        network.position[10] = 5.0
    again, _ = network.read(given()["label"], given()["words"])
    torch.testing.assert_close(shown[:, :4], again[:, :4])


def test_an_adapter_is_what_action_units_pass_through_and_adds_nothing_before_it_is_trained():
    names = [name for name, _ in tiny().named_parameters() if is_adapter(name)]
    assert {name.split(".")[-2] for name in names} == {"unit_rest", "unit_move", "unit_keys", "unit_values"}
    torch.manual_seed(0)
    network = Generator(WORDS, channels=(8, 16), blocks=1, width=16, heads=2, depth=1).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if not is_adapter(name):
                parameter += 0.05 * torch.randn_like(parameter)
    assert np.array_equal(velocity(network), velocity(network, known=torch.zeros(2, VECTOR)))


@pytest.mark.parametrize("other", [0.0, 0.02, 1.0])
def test_times_are_told_apart(other):
    assert (waves(torch.tensor([0.5])) - waves(torch.tensor([other]))).abs().max() > 0.1
