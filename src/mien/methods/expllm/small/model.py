"""The vision-language model of ExpLLM as classes of transformers: a vision tower, a projector, a causal language model.

The embedded size has a tower of its own, `FaceEncoder`, and a small Llama; the full size has those of any hub
checkpoint. Patches of the face take the places of the image tokens at the beginning of a conversation.

Letters: B conversations, T tokens, V words, P patches of a face, D the width of the language model, S the side of a
face in pixels.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, LlamaConfig, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, CausalLMOutputWithPast

from mien.errors import InputError
from mien.methods.expllm.small.tokenizer import BOS, EOS, IMAGE, PAD, Tokenizer
from mien.training.backbones import Residual


class FaceEncoderConfig(PretrainedConfig):  # type: ignore[misc]
    """What a FaceEncoder is made of.

    widths, blocks, strides, squeeze, stochastic_depth: of its residual stages (see training/backbones.py).
    side: its last map is averaged to side x side patches.   layers, heads: of the transformer over them.
    """

    model_type = "mien-face-encoder"

    def __init__(
        self,
        size: int = 48,
        widths: Sequence[int] = (32, 64, 128, 192),
        blocks: Sequence[int] = (1, 1, 1, 1),
        strides: Sequence[int] = (1, 2, 2, 2),
        squeeze: bool = False,
        stochastic_depth: float = 0.0,
        side: int = 6,
        layers: int = 4,
        heads: int = 6,
        dropout: float = 0.1,
        **other: Any,
    ) -> None:
        super().__init__(**other)
        self.size, self.widths, self.blocks, self.strides = size, list(widths), list(blocks), list(strides)
        self.squeeze, self.stochastic_depth, self.dropout = squeeze, stochastic_depth, dropout
        self.side, self.layers, self.heads = side, layers, heads
        self.hidden_size = self.widths[-1]


class FaceEncoder(PreTrainedModel):  # type: ignore[misc]
    """Normalized gray faces to patches: residual stages, then a transformer over the cells of the last map."""

    config_class = FaceEncoderConfig
    main_input_name = "pixel_values"

    def __init__(self, config: FaceEncoderConfig) -> None:
        super().__init__(config)
        width, drop = config.hidden_size, config.dropout
        self.stages = Residual(
            config.widths, config.blocks, config.strides, config.stochastic_depth, squeeze=config.squeeze
        )
        self.pool = nn.AdaptiveAvgPool2d(config.side)
        self.position = nn.Parameter(torch.zeros(1, config.side**2, width))
        nn.init.trunc_normal_(self.position, std=0.02)
        self.layers = nn.ModuleList(
            Block(width, config.heads, qkv_bias=True, proj_drop=drop, attn_drop=drop) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(width)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Every layer has initialized itself."""

    def forward(self, pixel_values: Tensor, **_: Any) -> BaseModelOutput:
        """(B, 1, S, S) -> last_hidden_state (B, P, width)."""
        cells = self.pool(self.stages(pixel_values)[-1])  # (B, width, side, side)
        patches = cells.flatten(2).transpose(1, 2) + self.position  # (B, P, width)
        for layer in self.layers:
            patches = layer(patches)
        return BaseModelOutput(last_hidden_state=self.norm(patches))

    def train(self, mode: bool = True) -> "FaceEncoder":
        """As every module, but stages that are frozen stay as they are used: their statistics are frozen too."""
        super().train(mode)
        if mode and not any(p.requires_grad for p in self.stages.parameters()):
            self.stages.eval()
        return self


class ExpLlmConfig(PretrainedConfig):  # type: ignore[misc]
    """The two models that are joined, and how.

    image_token_id: the token whose places the patches take.   slots: how many patches a face has.
    skip: tokens of the tower before its patches, such as a class token and registers.
    """

    model_type = "mien-expllm"
    sub_configs = {"vision_config": AutoConfig, "text_config": AutoConfig}  # noqa: RUF012

    def __init__(
        self,
        vision_config: PretrainedConfig | dict[str, Any] | None = None,
        text_config: PretrainedConfig | dict[str, Any] | None = None,
        image_token_id: int = 3,
        slots: int = 36,
        skip: int = 0,
        **other: Any,
    ) -> None:
        self.vision_config = _config(vision_config, FaceEncoderConfig)
        self.text_config = _config(text_config, LlamaConfig)
        self.image_token_id, self.slots, self.skip = image_token_id, slots, skip
        super().__init__(**{"tie_word_embeddings": self.text_config.tie_word_embeddings} | other)


def _config(given: PretrainedConfig | dict[str, Any] | None, default: type[PretrainedConfig]) -> PretrainedConfig:
    if isinstance(given, dict):
        return AutoConfig.for_model(**given)
    # The library chooses the attention of a whole from its configuration; a model that is given has made its choice.
    return default() if given is None else copy.deepcopy(given)


class ExpLlm(PreTrainedModel):  # type: ignore[misc]
    """A vision tower and a causal language model, joined by two linear layers.

    tower, language: checkpoints to join; left out, they are made from the configuration, untrained.
    """

    config_class = ExpLlmConfig
    main_input_name = "input_ids"
    _supports_sdpa = True

    def __init__(
        self, config: ExpLlmConfig, tower: PreTrainedModel | None = None, language: PreTrainedModel | None = None
    ) -> None:
        super().__init__(config)
        self.tower = AutoModel.from_config(config.vision_config) if tower is None else tower
        width = config.text_config.hidden_size
        self.projector = nn.Sequential(
            nn.Linear(config.vision_config.hidden_size, width), nn.GELU(), nn.Linear(width, width)
        )
        self.language = AutoModelForCausalLM.from_config(config.text_config) if language is None else language
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Every layer has initialized itself."""

    def get_input_embeddings(self) -> nn.Module:
        """The language model's."""
        embeddings: nn.Module = self.language.get_input_embeddings()
        return embeddings

    def encode_image(self, pixel_values: Tensor) -> Tensor:
        """Pictures as the tower wants them -> (B, P, D) patches in the space of the words."""
        seen = self.tower(pixel_values=pixel_values).last_hidden_state[:, self.config.skip :]
        patches: Tensor = self.projector(seen.to(next(self.projector.parameters()).dtype))
        return patches

    def embed(self, input_ids: Tensor, pixel_values: Tensor | None = None) -> Tensor:
        """(B, T) tokens -> (B, T, D), the patches in the places of the image tokens.

        InputError unless every conversation has them side by side, and as many as a face has patches.
        """
        words: Tensor = self.get_input_embeddings()(input_ids)  # (B, T, D)
        if pixel_values is None:
            return words
        patches = self.encode_image(pixel_values)  # (B, P, D)
        places = input_ids == self.config.image_token_id  # (B, T)
        check_places(places, patches.shape[1])
        return words.masked_scatter(places[..., None], patches.to(words.dtype))

    def forward(
        self,
        input_ids: Tensor,
        pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **options: Any,
    ) -> CausalLMOutputWithPast:
        """(B, T) tokens, and pictures if they have places for patches -> logits (B, T, V) of the tokens after each.

        options: those of the language model's forward, such as logits_to_keep.
        """
        embedded = self.embed(input_ids, pixel_values)
        answer: CausalLMOutputWithPast = self.language(
            inputs_embeds=embedded, attention_mask=attention_mask, use_cache=False, **options
        )
        return answer

    def generate(self, input_ids: Tensor, pixel_values: Tensor, **options: Any) -> Tensor:
        """(B, T) tokens and pictures -> (B, N) the tokens that follow, as the language model's `generate` has it."""
        embedded = self.embed(input_ids, pixel_values)
        mask = torch.ones_like(input_ids)
        tokens: Tensor = self.language.generate(inputs_embeds=embedded, attention_mask=mask, **options)
        return tokens


def check_places(places: Tensor, patches: int) -> None:
    """InputError unless each row of (B, T) bool has so many places, side by side."""
    count = places.sum(dim=1)
    first = places.int().argmax(dim=1)
    last = places.shape[1] - 1 - places.flip(1).int().argmax(dim=1)
    wrong = (count != patches) | (last - first + 1 != patches)
    if wrong.any():
        row = int(wrong.int().argmax())
        raise InputError(
            f"conversation {row} has {int(count[row])} image tokens over {int(last[row] - first[row] + 1)} places; "
            f"a face has {patches} patches, which go side by side"
        )


def small(encoder: FaceEncoderConfig, tokenizer: Tokenizer, **sizes: Any) -> ExpLlm:
    """An untrained model of the embedded kind: a FaceEncoder and a Llama with mien's own vocabulary.

    sizes: of the Llama, as LlamaConfig has them.
    """
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer[PAD],
        bos_token_id=tokenizer[BOS],
        eos_token_id=tokenizer[EOS],
        # With a few hundred words, one table for reading and one for writing cost nothing.
        tie_word_embeddings=False,
        **sizes,
    )
    return ExpLlm(ExpLlmConfig(encoder, text, image_token_id=tokenizer[IMAGE], slots=encoder.side**2))


AutoConfig.register(FaceEncoderConfig.model_type, FaceEncoderConfig)
AutoConfig.register(ExpLlmConfig.model_type, ExpLlmConfig)
AutoModel.register(FaceEncoderConfig, FaceEncoder)
