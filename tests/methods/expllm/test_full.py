"""The full size, end to end, with tiny untrained checkpoints as the hub has them, saved to disk."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from mien.datasets import Sample
from mien.errors import InputError
from mien.facs.vocabulary import Expression
from mien.methods.expllm.small.conversation import LABEL, REASON, UNITS
from mien.methods.expllm.small.lessons import read_chains
from mien.training.faces import faces_of
from tests.methods.expllm import tiny

pytest.importorskip("transformers", reason="the full size joins models of the hub: pip install 'mien[llm]'")
pytest.importorskip("peft", reason="the full size is tuned with LoRA: pip install 'mien[llm]'")

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoConfig,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    Dinov2Config,
    Dinov2Model,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from mien.methods.expllm.full.join import SLOT, join
from mien.methods.expllm.full.settings import Settings
from mien.methods.expllm.full.talks import Conversations, Talk, collate, encode, replace_sides
from mien.methods.expllm.full.train import Trainer as Taught
from mien.methods.expllm.full.train import adapted, load, train
from mien.methods.expllm.small.model import FaceEncoder, FaceEncoderConfig

COUNT = 6
EYES = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
EYES |= {"image_size": 16, "patch_size": 8}
WORDS = {"vocab_size": 260, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
WORDS |= {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 2048}


def _clip(folder):
    text = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    CLIPModel(CLIPConfig(text_config=text, vision_config=EYES)).save_pretrained(folder)


def _dinov2(folder):
    Dinov2Model(Dinov2Config(**EYES)).save_pretrained(folder)


def _siglip(folder):
    SiglipVisionModel(SiglipVisionConfig(**EYES)).save_pretrained(folder)


def _own(folder):
    config = FaceEncoderConfig(16, widths=(8, 16), blocks=(1, 1), strides=(2, 2), side=2, layers=1, heads=2)
    FaceEncoder(config).save_pretrained(folder)


# How each is made, and how many tokens it puts before its patches.
TOWERS = {"clip": (_clip, 1), "dinov2": (_dinov2, 1), "siglip": (_siglip, 0), "own": (_own, 0)}


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A folder a checkpoint."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("hub")
    for name, (make, _) in TOWERS.items():
        make(folder / name)
        CLIPImageProcessor(
            image_mean=[0.5] * 3, image_std=[0.25] * 3, size={"shortest_edge": 16}, crop_size=16
        ).save_pretrained(folder / name)
    LlamaForCausalLM(LlamaConfig(**WORDS)).save_pretrained(folder / "llama")
    Qwen2ForCausalLM(Qwen2Config(**WORDS)).save_pretrained(folder / "qwen")
    for name in ("llama", "qwen"):
        _bytes().save_pretrained(folder / name)
    return folder


def _bytes():
    """A tokenizer whose tokens are single bytes."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    spelled = Tokenizer(models.BPE({letter: i for i, letter in enumerate([*letters, "<s>", "</s>"])}, []))
    spelled.pre_tokenizer, spelled.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=spelled, bos_token="<s>", eos_token="</s>")


def settings(hub, tower="clip", language="llama", **other):
    few = {"steps": 2, "align_steps": 2, "batch_size": 2, "accumulate": 1, "save_steps": 1}
    return Settings(str(hub / tower), str(hub / language), **few | other)


@pytest.fixture(scope="module")
def chains(tmp_path_factory):
    return tiny.write_chains(tmp_path_factory.mktemp("cot") / "cot.jsonl", COUNT)


def conversations(hub, chains, **other):
    joined = join(settings(hub))
    return joined, Conversations(faces_of(tiny.samples(COUNT), 48), read_chains(chains), joined, settings(hub), **other)


@pytest.mark.parametrize(
    ("tower", "language"), [("clip", "llama"), ("dinov2", "qwen"), ("siglip", "llama"), ("own", "llama")]
)
def test_any_tower_and_any_language_model_are_joined_patch_by_patch(hub, tower, language):
    joined = join(settings(hub, tower, language))
    assert joined.eyes.skip == TOWERS[tower][1]
    assert joined.model.config.slots == joined.eyes.patches == 4
    tokens, _ = encode(Talk((("USER: ?", "Yes."),)), joined.tokenizer, 4, 500)
    pixels = joined.eyes(tiny.samples(1)[0].image)[None]
    with torch.no_grad():
        logits = joined.model(torch.tensor([tokens]), pixels).logits
        patches = joined.model.encode_image(pixels)
        other = joined.model(torch.tensor([[*tokens[:-1], 65]]), pixels).logits
    assert logits.shape[:2] == (1, len(tokens))
    assert patches.shape == (1, 4, 32)
    assert torch.equal(logits[:, :-1], other[:, :-1]), "nothing is read ahead"
    assert joined.model.language.config._attn_implementation == "sdpa", "as the library chose it"


def test_the_paper_s_changes_are_low_rank_in_queries_and_values_of_both_and_the_projector_is_whole(hub):
    # The library has called them query and value, too.
    for tower, own in (("clip", {"q_proj"}), ("dinov2", {"q_proj", "query"}), ("own", {"qkv"})):
        model = adapted(join(settings(hub, tower)).model, settings(hub, tower))
        learned = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
        assert all("lora_" in name or "projector.modules_to_save" in name for name in learned)
        assert any("projector" in name for name in learned)
        changed = {name.split(".lora_")[0] for name in learned if "lora_" in name}
        words = [name.split(".")[-1] for name in changed if ".language." in name]
        assert sorted(words) == ["q_proj"] * 2 + ["v_proj"] * 2, "of two layers"
        assert own & {name.split(".")[-1] for name in changed if ".tower." in name}


@pytest.fixture(scope="module")
def run(hub, chains, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "full"
    faces = tiny.samples(COUNT)
    return train(faces, settings(hub), folder, valid=faces, chains=chains), folder


def test_a_run_leaves_what_changed_its_loss_and_what_it_writes(run):
    _, folder = run
    assert (folder / "adapter" / "adapter_model.safetensors").is_file()
    assert (folder / "loss.png").stat().st_size > 1000
    examples = json.loads((folder / "examples.json").read_text())
    assert [set(example) for example in examples] == [{"face", "voted", "label", "text"}] * 3
    assert {example["label"] for example in examples} <= {e.label for e in Expression}


def test_a_finished_run_is_loaded_and_answers_as_it_did(run):
    reasoner, folder = run
    image = tiny.samples(1)[0].image
    shares = reasoner.scores(image)
    assert shares.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(load(folder).rest.scores(image), shares, atol=1e-5)


def test_it_writes_in_either_mode_and_the_same_every_time(run):
    reasoner, _ = run
    image = tiny.samples(1)[0].image
    for mode in ("reason-first", "label-first"):
        assert isinstance(reasoner.write(image, mode, longest=5), str)
        assert reasoner.write(image, mode, longest=5) == reasoner.write(image, mode, longest=5)


def test_a_folder_that_holds_a_run_is_not_overwritten_nor_gone_on_with_by_other_settings(run, hub, chains):
    _, folder = run
    with pytest.raises(InputError, match="--resume"):
        train(tiny.samples(COUNT), settings(hub), folder, chains=chains)
    with pytest.raises(InputError, match="other settings"):
        train(tiny.samples(COUNT), settings(hub, rank=2), folder, chains=chains, resume=True)


def test_a_stopped_run_goes_on_from_its_last_checkpoint(hub, chains, tmp_path, monkeypatch):
    begun = []
    original = Taught.train

    def stopped(self, resume_from_checkpoint=None):
        begun.append(resume_from_checkpoint)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return original(self, resume_from_checkpoint=resume_from_checkpoint)

    monkeypatch.setattr(Taught, "train", stopped)
    with pytest.raises(KeyboardInterrupt):
        train(tiny.samples(COUNT), settings(hub), tmp_path / "run", chains=chains)
    train(tiny.samples(COUNT), settings(hub), tmp_path / "run", chains=chains, resume=True)
    assert begun == [None, None, True, None]
    assert (tmp_path / "run" / "adapter").is_dir()


def test_only_answers_and_their_ends_are_learned(hub):
    words = join(settings(hub)).tokenizer
    tokens, answered = encode(Talk((("USER: one? ", "Yes."), ("USER: two? ", "No, no."))), words, 4, 500)
    mine = [t for t, learned in zip(tokens, answered, strict=True) if learned]
    assert words.decode(mine) == "Yes.</s>No, no.</s>"
    assert tokens.count(words.convert_tokens_to_ids(SLOT)) == 4
    assert tokens[0] == words.bos_token_id
    assert len(encode(Talk((("USER: one? ", "Yes."),)), words, 4, 20)[0]) == 20


def test_an_open_question_has_no_answer_yet(hub):
    words = join(settings(hub)).tokenizer
    tokens, answered = encode(Talk((("USER: one? ", ""),)), words, 4, 500)
    assert not any(answered)
    assert words.decode(tokens).endswith("USER: one? ")


def test_each_face_is_told_once_and_labelled_three_times(hub, chains):
    _, mixed = conversations(hub, chains)
    kinds = [kind for _, kind in mixed._items]
    assert (kinds.count(REASON), kinds.count(LABEL)) == (COUNT, 3 * COUNT)
    _, units = conversations(hub, chains, units=True)
    assert [kind for _, kind in units._items] == [UNITS] * COUNT


def test_any_share_of_texts_is_kept_to_a_face(hub, chains):
    for share, labelled in ((0.6, round(COUNT * 0.4 / 0.6)), (0.75, COUNT // 3), (1.0, 0)):
        given = settings(hub, cot_share=share)
        mixed = Conversations(faces_of(tiny.samples(COUNT), 48), read_chains(chains), join(given), given)
        kinds = [kind for _, kind in mixed._items]
        assert (kinds.count(REASON), kinds.count(LABEL)) == (COUNT, labelled)


def test_a_run_that_could_not_begin_does_not_hold_its_folder(hub, chains, tmp_path):
    with pytest.raises(InputError, match="cannot be opened as a vision tower"):
        train(tiny.samples(COUNT), settings(hub, tower="nowhere"), tmp_path / "run", chains=chains)
    assert not (tmp_path / "run").exists()


def test_a_tower_sees_pictures_of_the_size_that_its_checkpoint_is_used_with(hub, tmp_path):
    Dinov2Model(Dinov2Config(**EYES | {"image_size": 40})).save_pretrained(tmp_path)
    CLIPImageProcessor(size={"shortest_edge": 20}, crop_size=16).save_pretrained(tmp_path)
    eyes = join(settings(hub, tower=tmp_path)).eyes
    assert (eyes.size, eyes.patches) == (16, 4)


def test_a_batch_is_filled_up_where_attention_does_not_look(hub, chains):
    joined, mixed = conversations(hub, chains)
    items = [mixed[0], mixed[len(mixed) - 1]]
    batch = collate(items, mixed.pad)
    lengths = [len(item["tokens"]) for item in items]
    assert batch["input_ids"].shape == (2, max(lengths))
    assert batch["attention_mask"].sum(dim=1).tolist() == lengths
    assert batch["pixel_values"].shape == (2, 3, joined.eyes.size, joined.eyes.size)
    assert not batch["answered"][batch["attention_mask"] == 0].any()


def test_a_short_answer_weighs_as_much_as_a_long_one():
    class Alike(torch.nn.Module):
        def forward(self, input_ids, **_):
            return type("Output", (), {"logits": torch.zeros(*input_ids.shape, 10)})()

    answered = torch.tensor([[False] * 5 + [True], [False] + [True] * 5])
    given = {"input_ids": torch.ones(2, 6, dtype=torch.long), "answered": answered, "weight": torch.tensor([1.0, 0.5])}
    loss = Taught.compute_loss(None, Alike(), given)
    assert loss.item() == pytest.approx(np.log(10) * 1.5 / 2)


def test_in_the_mirror_left_is_right_in_what_is_said_only():
    talk = Talk((("Left or right?", "The left brow, not the right."),))
    assert replace_sides(talk).turns == (("Left or right?", "The right brow, not the left."),)


def test_a_checkpoint_that_is_none_is_an_error_that_names_it(hub, tmp_path):
    with pytest.raises(InputError, match="name a tower: --tower"):
        join(Settings(language=str(hub / "llama")))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="cannot be opened as a vision tower"):
        join(Settings(str(tmp_path), str(hub / "llama")))
    with pytest.raises(InputError, match="cannot be opened as a language model"):
        join(Settings(str(hub / "clip"), str(tmp_path)))


def test_the_eyes_of_an_embedded_run_are_its_trained_ones(trained, hub):
    model, folder = trained
    joined = join(settings(hub, folder))
    assert joined.model.config.slots == 4
    assert all(torch.equal(v, model.tower.state_dict()[k]) for k, v in joined.model.tower.state_dict().items())


def test_a_tower_that_lacks_weights_is_not_made_up(hub, tmp_path):
    bare = LlamaForCausalLM(LlamaConfig(**WORDS)).state_dict()
    AutoConfig.from_pretrained(hub / "dinov2").save_pretrained(tmp_path)
    save_file({name: value.clone() for name, value in bare.items()}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="lacks weights of its vision tower"):
        join(settings(hub, tmp_path))


def test_a_picture_is_padded_to_a_square_before_it_is_scaled(hub):
    eyes = join(settings(hub)).eyes
    wide = eyes(np.full((8, 16, 3), 255, np.uint8))
    assert wide.shape == (3, 16, 16)
    assert wide[0, 8, 8].item() == pytest.approx((1 - 0.5) / 0.25)
    assert wide[0, 0, 0].item() == pytest.approx((122 / 255 - 0.5) / 0.25, abs=0.02)


def test_data_without_faces_are_an_error(hub, chains, tmp_path):
    nothing = [Sample(np.zeros((48, 48, 3), np.uint8), votes=np.array([0] * 9 + [10], np.uint8), source="face 0")]
    with pytest.raises(InputError, match="no face is left"):
        train(nothing, settings(hub), tmp_path / "run", chains=chains)


def test_a_checkpoint_of_pickles_is_refused(hub, tmp_path):
    for file in (hub / "dinov2").iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    torch.save(load_file(hub / "dinov2" / "model.safetensors"), tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"cannot be opened as a vision tower.*safetensors"):
        join(Settings(str(tmp_path), str(hub / "llama")))
