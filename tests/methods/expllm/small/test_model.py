import pytest
import torch

from mien.errors import InputError
from mien.methods.expllm.small.tokenizer import Tokenizer

pytest.importorskip("transformers", reason="the model is made of classes of transformers: pip install 'mien[llm]'")

from mien.methods.expllm.small.model import ExpLlm, FaceEncoderConfig, small

WORDS = Tokenizer.learn(["the lip corners are clearly pulled up, and both brows look strongly lowered."])
IMAGE = WORDS["<img>"]
# Two tokens, the four patches of a face, two words.
TALK = torch.tensor([[1, 4, IMAGE, IMAGE, IMAGE, IMAGE, 30, 31]])


@pytest.fixture
def model():
    torch.manual_seed(0)
    encoder = FaceEncoderConfig(
        16, widths=(8, 16), blocks=(1, 1), strides=(2, 2), side=2, layers=1, heads=2, dropout=0.0
    )
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "max_position_embeddings": 64}
    return small(encoder, WORDS, num_attention_heads=2, num_key_value_heads=2, **sizes).eval()


def faces(count):
    return torch.randn(count, 1, 16, 16, generator=torch.Generator().manual_seed(1))


def test_a_face_becomes_as_many_patches_as_the_configuration_says(model):
    assert model.tower(faces(3)).last_hidden_state.shape == (3, 4, 16)
    assert model.encode_image(faces(3)).shape == (3, 4, 32)


def test_patches_take_the_places_of_the_image_tokens_in_order_and_words_stay_words(model):
    seen = faces(2)
    embedded, patches = model.embed(TALK.expand(2, -1), seen), model.encode_image(seen)
    words = model.get_input_embeddings()(TALK)[0]
    assert torch.equal(embedded[:, 2:6], patches)
    for places in (slice(0, 2), slice(6, None)):
        assert torch.equal(embedded[0, places], words[places])
    assert torch.equal(model.embed(TALK)[0], words), "nothing is put in without a face"


def test_what_is_said_depends_on_the_face_from_its_patches_on(model):
    one, other = model(TALK.expand(2, -1), faces(2)).logits
    assert torch.equal(one[:2], other[:2])
    assert not torch.isclose(one[6:], other[6:]).all()


@pytest.mark.parametrize(
    ("places", "said"),
    [
        ([2, 3, 4], "has 3 image tokens over 3 places"),
        ([2, 3, 4, 5, 6], "has 5 image tokens over 5 places"),
        ([2, 3, 4, 6], "has 4 image tokens over 5 places"),
        ([], "has 0 image tokens"),
    ],
)
def test_image_tokens_that_are_not_side_by_side_or_not_as_many_as_patches_are_an_error(model, places, said):
    talk = torch.full((2, 8), 30)
    talk[0], talk[1, places] = TALK[0], IMAGE
    with pytest.raises(InputError, match=f"conversation 1 {said}.* 4 patches"):
        model(talk, faces(2))


def test_padding_at_the_end_changes_nothing_before_it(model):
    longer = torch.cat([TALK, torch.zeros(1, 3, dtype=torch.long)], dim=1)
    assert torch.allclose(model(longer, faces(1)).logits[:, :8], model(TALK, faces(1)).logits, atol=1e-5)


def test_it_writes_the_likeliest_token_after_the_likeliest_token(model):
    written = model.generate(TALK, faces(1), max_new_tokens=4, do_sample=False, eos_token_id=None, pad_token_id=0)
    embedded, words = model.embed(TALK, faces(1)), model.get_input_embeddings()
    for token in written[0]:
        assert model.language(inputs_embeds=embedded).logits[0, -1].argmax() == token
        embedded = torch.cat([embedded, words(token)[None, None]], dim=1)
    assert written.shape == (1, 4)


def test_a_saved_model_is_loaded_as_it_was(model, tmp_path):
    model.save_pretrained(tmp_path)
    loaded = ExpLlm.from_pretrained(tmp_path).eval()
    assert loaded.config.to_dict() == ExpLlm.from_pretrained(tmp_path).config.to_dict()
    assert loaded.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in loaded.state_dict().items())
    assert torch.equal(loaded(TALK, faces(1)).logits, model(TALK, faces(1)).logits)


def test_stages_that_are_frozen_keep_their_statistics_in_training(model):
    model.requires_grad_(False)
    model.tower.norm.requires_grad_(True)
    tower = model.train().tower
    assert (tower.training, tower.layers.training, tower.stages.training) == (True, True, False)
    tower.stages.requires_grad_(True)
    assert model.train().tower.stages.training
