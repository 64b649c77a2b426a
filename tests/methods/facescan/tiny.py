"""Vision-language models with random weights, small enough to make for every test run."""

import pytest

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

# As LLaVA's and SmolVLM's: a sign ends the answer, a space comes before it.
CHAT = (
    "{% for m in messages %}{{ m.role | upper }}:{% for c in m.content %}{% if c.type == 'image' %}<image>{% else %} "
    "{{ c.text }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


def tokenizer(*signs):
    """One token a byte, and these signs."""
    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    made = tokenizers.Tokenizer(tokenizers.models.BPE({letter: i for i, letter in enumerate(letters)}, []))
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    made.add_special_tokens(["<s>", "</s>", "<pad>", "<image>", *signs])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", pad_token="<pad>",
        extra_special_tokens={"image_token": "<image>"},
    )  # fmt: skip


def sizes(words):
    """A language model small enough to make for every test run."""
    return {
        "vocab_size": words, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 2048,
        "pad_token_id": 258,
    }  # fmt: skip


VISION = {"image_size": 16, "patch_size": 8, "hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 2}
VISION |= {"num_attention_heads": 2}


def llava(words):
    images = transformers.CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    processor = transformers.LlavaProcessor(
        images,
        words,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT,
    )
    config = transformers.LlavaConfig(
        vision_config=transformers.CLIPVisionConfig(**VISION),
        text_config=transformers.LlamaConfig(**sizes(len(words))),
        image_token_index=words.image_token_id, vision_feature_layer=-1,
    )  # fmt: skip
    return transformers.LlavaForConditionalGeneration(config), processor


def idefics3(words):
    images = transformers.Idefics3ImageProcessor(
        size={"longest_edge": 16}, max_image_size={"longest_edge": 16}, do_image_splitting=False
    )
    processor = transformers.Idefics3Processor(images, words, image_seq_len=1, chat_template=CHAT)
    config = transformers.Idefics3Config(
        vision_config=VISION, text_config=transformers.LlamaConfig(**sizes(len(words))), scale_factor=2,
        image_token_id=words.convert_tokens_to_ids("<image>"), pad_token_id=258,
    )  # fmt: skip
    return transformers.Idefics3ForConditionalGeneration(config), processor


def paligemma(words):
    images = transformers.SiglipImageProcessor(size={"height": 16, "width": 16})
    images.image_seq_length = 4
    processor = transformers.PaliGemmaProcessor(images, words)
    config = transformers.PaliGemmaConfig(
        vision_config=transformers.SiglipVisionConfig(**VISION, projection_dim=32),
        text_config=transformers.GemmaConfig(**sizes(len(words))),
        image_token_index=words.image_token_id, projection_dim=32, hidden_size=32,
    )  # fmt: skip
    return transformers.PaliGemmaForConditionalGeneration(config), processor


def florence2(words):
    images = transformers.CLIPImageProcessor(
        size={"height": 32, "width": 32}, do_center_crop=False, crop_size={"height": 32, "width": 32}
    )
    images.image_seq_length = 17  # 4 x 4 cells and their mean
    processor = transformers.Florence2Processor(images, words)
    vision = transformers.models.florence2.configuration_florence2.Florence2VisionConfig(
        depths=[1, 1], patch_size=[7, 3], patch_stride=[4, 2], patch_padding=[3, 1], patch_prenorm=[False, True],
        embed_dim=[8, 16], num_heads=[2, 2], num_groups=[2, 2], window_size=4, projection_dim=16,
        max_position_embeddings=8,
    )  # fmt: skip
    text = transformers.BartConfig(
        vocab_size=len(words), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=512,
        pad_token_id=258, bos_token_id=256, eos_token_id=257, decoder_start_token_id=257, forced_eos_token_id=None,
    )  # fmt: skip
    config = transformers.Florence2Config(text_config=text, vision_config=vision, image_token_id=words.image_token_id)
    return transformers.Florence2ForConditionalGeneration(config), processor
