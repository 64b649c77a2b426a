from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from mien.datasets.captions import unit_vector
from mien.errors import InputError
from mien.facs.units import VECTOR
from mien.methods.synfer.stable_diffusion.adapter import TOKENS, Adapter, DecoupledAttention, OneToken, UnitTokens
from mien.methods.synfer.stable_diffusion.checkpoint import load
from tests.methods.synfer.tiny import HAPPY, WIDTH, predicted, write_checkpoint

pytest.importorskip("diffusers")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture
def model(checkpoint):
    return load(checkpoint, device="cpu")


@pytest.mark.parametrize("tokens", TOKENS)
def test_an_adapter_that_was_not_trained_changes_nothing(model, tokens):
    words = model.words(["a light face", "a dark face"])
    before = predicted(model, words)
    told = replace(model, adapter=Adapter(model.unet, tokens))
    after = predicted(told, words, torch.tensor(np.stack([HAPPY, unit_vector(None)])))
    torch.testing.assert_close(after, before)


def test_a_token_is_its_rest_and_its_swing_in_proportion_to_the_intensity():
    tokens = UnitTokens(WIDTH)
    none, half, full = (tokens(torch.full((1, VECTOR), a))[0] for a in (0.0, 0.5, 1.0))
    torch.testing.assert_close(none, tokens.rest)
    torch.testing.assert_close(full, tokens.rest + tokens.swing)
    torch.testing.assert_close(half, (none + full) / 2)


def test_an_action_unit_that_is_left_free_has_a_token_of_its_own_and_leaves_the_others_alone():
    tokens, units = UnitTokens(WIDTH), torch.zeros(1, VECTOR)
    units[0, 3] = torch.nan
    expected = tokens.rest.clone()
    expected[3] = tokens.unknown[3]
    torch.testing.assert_close(tokens(units)[0], expected)


def test_the_one_token_knows_a_face_at_rest_from_one_left_free():
    token = OneToken(WIDTH)
    rest, free = token(torch.zeros(1, VECTOR)), token(torch.full((1, VECTOR), torch.nan))
    assert rest.shape == (1, 1, WIDTH)
    assert (rest - free).abs().max() > 1e-3


def test_what_is_added_begins_with_the_keys_of_the_words_and_without_values(model):
    layers = Adapter(model.unet).layers
    for layer, attention in zip(layers, cross_attentions(model), strict=True):
        assert torch.equal(layer.keys.weight, attention.to_k.weight)
        assert layer.values.weight.shape == attention.to_v.weight.shape
        assert not layer.values.weight.any()


def cross_attentions(model):
    return [m for m in model.unet.modules() if getattr(m, "is_cross_attention", False)]


def cross_attention(model):
    return model.unet.down_blocks[0].attentions[0].transformer_blocks[0].attn2


def test_decoupled_attention_adds_what_the_same_query_finds_in_the_action_units(model):
    attention = cross_attention(model)
    layer = DecoupledAttention(attention, count=3)
    nn.init.normal_(layer.values.weight)
    places, context = torch.randn(2, 5, 8), torch.randn(2, 10, WIDTH)

    def look(query, keys, values):
        parts = zip(
            query.chunk(attention.heads, 2),
            keys.chunk(attention.heads, 2),
            values.chunk(attention.heads, 2),
            strict=True,
        )
        return torch.cat([torch.softmax(q @ k.mT / q.shape[-1] ** 0.5, dim=-1) @ v for q, k, v in parts], dim=2)

    query, words, units = attention.to_q(places), context[:, :7], context[:, 7:]
    seen = look(query, attention.to_k(words), attention.to_v(words)) + look(
        query, layer.keys(units), layer.values(units)
    )
    torch.testing.assert_close(layer(attention, places, context), attention.to_out[0](seen))


def test_one_token_says_the_same_to_all_places_and_a_token_each_does_not(model):
    attention, places = cross_attention(model), torch.randn(1, 5, 8)

    def spread(count):
        layer = DecoupledAttention(attention, count)
        nn.init.normal_(layer.values.weight)
        context = torch.randn(1, 7 + count, WIDTH)
        added = layer(attention, places, context) - attention(places, context[:, :7])  # (1, 5, 8)
        return added.std(dim=1).max().item()

    assert spread(1) < 1e-6
    assert spread(VECTOR) > 1e-3


def test_tokens_of_an_unknown_kind_are_refused(model):
    with pytest.raises(InputError, match="units, one, not 'two'"):
        Adapter(model.unet, "two")
