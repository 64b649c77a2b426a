"""A trained model to the files that explain without torch: an encoder, a language model with its cache, its words.

Letters: T tokens, C tokens in the cache, V words, P patches, D the width, L layers, H heads, E the width of a head.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Unpack

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim

from mien.core.contract import Contract, softmax
from mien.core.session import open_session
from mien.errors import InputError
from mien.export.runs import ExportOptions, calibrated, export_run
from mien.export.to_onnx import HALF_TOLERANCE, TOLERANCE, in_half_precision, refuse_above, traced
from mien.facs.vocabulary import Expression
from mien.methods.expllm.small.generate import ENCODER, LANGUAGE, WORDS
from mien.methods.expllm.small.heads import Labeller, Watcher
from mien.methods.expllm.small.model import ExpLlm, FaceEncoder, FaceEncoderConfig
from mien.methods.expllm.small.tokenizer import Tokenizer
from mien.methods.expllm.small.train import STAGES, TOKENIZER, Settings
from mien.training.faces import MEAN, STD
from mien.training.run import Run, Trained

# Not shipped: stage 0 with its own head, to hold the model's labels against.
HEAD = "head.onnx"


def load(folder: Path) -> Trained[ExpLlm, Settings, Tokenizer]:
    """Return the trained model of a run's folder and its words; raise InputError when the run is not finished."""
    run = Run(folder)
    run.need("config.json", TOKENIZER)
    settings = run.settings(Settings)
    words = Tokenizer.read((folder / TOKENIZER).read_bytes())
    return Trained(
        ExpLlm.from_pretrained(folder, use_safetensors=True, local_files_only=True).eval(), settings, run, words
    )


def export(folder: Path, output: Path, **options: Unpack[ExportOptions]) -> dict[str, float]:
    """Write the run's model to a folder with three files; return how far files and model differ, by file.

    options: see mien.export.runs.export_run; what is calibrated is the label.
    Where the run has a stage 0 of its own, its encoder is written too, with the head of that stage: HEAD.
    Raise ExportError as mien.export.to_onnx does.
    """
    trained = load(folder)
    model, words, settings = trained.network, trained.rest, trained.settings
    labeller = Labeller(model, words)
    faces, cost = options.get("calibrate"), options.get("accuracy_cost")
    _, meta = calibrated(trained.run, labeller, settings.size, faces, cost)
    listed = words.to_json().encode()
    meta |= {"cot_share": repr(settings.cot_share), "words_sha256": hashlib.sha256(listed).hexdigest()}
    contract = Contract(tuple(Expression), settings.size, MEAN, STD, output.name, {})
    encoder = _encoder_graph(model, settings.size, contract.to_meta())
    language = _language_graph(model, meta)
    differences = compare(model, words, encoder, language, settings.size, TOLERANCE, "parity")
    if options.get("half", True):
        encoder, language = in_half_precision(encoder), in_half_precision(language)
        differences |= compare(model, words, encoder, language, settings.size, HALF_TOLERANCE, "half")
    output.mkdir(parents=True, exist_ok=True)
    for name, graph in ((ENCODER, encoder), (LANGUAGE, language)):
        onnx.checker.check_model(graph)
        (output / name).write_bytes(graph.SerializeToString())
    (output / WORDS).write_bytes(listed)
    first = trained.run.stage(STAGES[0])
    if first.weights.is_file():
        differences |= _head(first, model.config.vision_config, output / HEAD, **options)
    return differences


def _head(run: Run, config: FaceEncoderConfig, output: Path, **options: Unpack[ExportOptions]) -> dict[str, float]:
    trained = run.open(Settings, lambda settings: Watcher(FaceEncoder(config)))
    measured = export_run(trained, output, _Named(trained.network), **options)
    return {f"{name} of {HEAD}": value for name, value in measured.items()}


class _Named(nn.Module):
    """The heads of stage 0 as the outputs of an ONNX file."""

    def __init__(self, watcher: Watcher) -> None:
        super().__init__()
        self.watcher = watcher

    def forward(self, faces: Tensor) -> dict[str, Tensor]:
        """(B, 1, S, S) -> logits (B, 8) and action_units (B, 24)."""
        return self.watcher(faces)._asdict()  # type: ignore[no-any-return]


class PatchEncoder(nn.Module):
    """The encoder and the projector."""

    def __init__(self, model: ExpLlm) -> None:
        super().__init__()
        self.model = model

    def forward(self, faces: Tensor) -> Tensor:
        """(B, 1, S, S) -> (B, P, D)."""
        return self.model.encode_image(faces)


class Cached(nn.Module):
    """A Llama that is given the keys and values of what it has read before, written plainly for the exporter.

    It has the weights of a LlamaForCausalLM and answers as it does, one conversation at a time.
    """

    frequencies: Tensor

    def __init__(self, model: ExpLlm) -> None:
        super().__init__()
        self.llama, self.head = model.language.model, model.language.lm_head
        config = model.config.text_config
        self.image, self.heads = model.config.image_token_id, config.num_attention_heads
        if config.model_type != "llama" or config.num_key_value_heads != self.heads:
            raise InputError("only a Llama with as many heads for keys as for queries is exported")
        self.width = config.hidden_size // self.heads
        self.register_buffer("frequencies", self.llama.rotary_emb.inv_freq)

    def forward(self, tokens: Tensor, patches: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """(1, T), (1, P, D) and (2 L, H, C, E) -> logits (1, V) of the next token and (2 L, H, C + T, E)."""
        x = self._embedded(tokens, patches)  # (T, D)
        read, count = past.shape[2], tokens.shape[1]
        place = torch.arange(read + count)
        seen = place[None, :] <= place[read:, None]  # (T, C + T)
        angles = place[read:, None] * torch.cat([self.frequencies] * 2)  # (T, E)
        turn = (angles.cos(), angles.sin())
        present = []
        for number, layer in enumerate(self.llama.layers):
            normed = layer.input_layernorm(x)
            attention = layer.self_attn
            query, key, value = (self._split(p(normed)) for p in (attention.q_proj, attention.k_proj, attention.v_proj))
            key = torch.cat([past[2 * number], _turned(key, *turn)], dim=1)  # (H, C + T, E)
            value = torch.cat([past[2 * number + 1], value], dim=1)
            present += [key, value]
            looked = _turned(query, *turn) @ key.transpose(1, 2) / self.width**0.5  # (H, T, C + T)
            mixed = looked.masked_fill(~seen, -1e9).softmax(dim=-1) @ value  # (H, T, E)
            x = x + attention.o_proj(mixed.transpose(0, 1).flatten(1))
            normed, mlp = layer.post_attention_layernorm(x), layer.mlp
            x = x + mlp.down_proj(F.silu(mlp.gate_proj(normed)) * mlp.up_proj(normed))
        return self.head(self.llama.norm(x[-1:])), torch.stack(present)

    def _embedded(self, tokens: Tensor, patches: Tensor) -> Tensor:
        places = tokens[0] == self.image  # (T,)
        # The first image token takes the first patch, and so on.
        number = (places.long().cumsum(dim=0) - 1).clamp(0, patches.shape[1] - 1)
        return torch.where(places[:, None], patches[0, number], self.llama.embed_tokens(tokens[0]))

    def _split(self, x: Tensor) -> Tensor:
        """(T, D) -> (H, T, E)."""
        return x.reshape(-1, self.heads, self.width).transpose(0, 1)


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions (Su et al., 2021), as Llama has them."""
    one, other = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-other, one], dim=-1) * sin


def _encoder_graph(model: ExpLlm, size: int, meta: Mapping[str, str]) -> onnx.ModelProto:
    example = (torch.zeros(2, 1, size, size),)
    return traced(PatchEncoder(model), example, ["faces"], ["patches"], ({0: Dim("batch", min=1, max=4096)},), meta)


def _language_graph(model: ExpLlm, meta: Mapping[str, str]) -> onnx.ModelProto:
    cached = Cached(model)
    past = torch.zeros(2 * len(cached.llama.layers), cached.heads, 3, cached.width)
    patches = torch.zeros(1, model.config.slots, model.config.text_config.hidden_size)
    example = (torch.full((1, 5), model.config.image_token_id), patches, past)
    limit = model.config.text_config.max_position_embeddings
    shapes = ({1: Dim("tokens_read", min=1, max=limit)}, None, {2: Dim("tokens_known", min=0, max=limit)})
    return traced(cached, example, ["tokens", "patches", "past"], ["logits", "present"], shapes, meta)


def compare(
    model: ExpLlm,
    words: Tokenizer,
    encoder: onnx.ModelProto,
    language: onnx.ModelProto,
    size: int,
    tolerance: float,
    name: str,
) -> dict[str, float]:
    """The largest difference of any next word's probability between the model and its files; ExportError above that.

    Over random faces and conversations, each read in three parts: the first without a cache, the last a single token.
    """
    sessions = [open_session(graph.SerializeToString()) for graph in (encoder, language)]
    random = torch.Generator().manual_seed(0)
    slots, layers = model.config.slots, 2 * model.config.text_config.num_hidden_layers
    most = 0.0
    for _ in range(4):
        face = torch.randn(1, 1, size, size, generator=random)
        spoken = torch.randint(words.words.start, len(words), (1, 12), generator=random)
        tokens = torch.cat([torch.tensor([[1, 4, *[model.config.image_token_id] * slots]]), spoken], dim=1)
        with torch.no_grad():
            wanted = softmax(model(tokens, face).logits[0].numpy())
        (patches,) = sessions[0].run(["patches"], {"faces": face.numpy()})
        heads = model.config.text_config.num_attention_heads
        past = np.zeros((layers, heads, 0, model.config.text_config.hidden_size // heads), np.float32)
        ends = (slots + 2, tokens.shape[1] - 1, tokens.shape[1])
        for start, end in zip((0, *ends), ends, strict=False):
            given = {"tokens": tokens[:, start:end].numpy(), "patches": patches, "past": past}
            answered, past = sessions[1].run(["logits", "present"], given)
            most = max(most, float(np.abs(softmax(answered[0]) - wanted[end - 1]).max()))
    refuse_above(tolerance, most, "the files and the model", f"in the probability of a next word ({name})")
    return {name: most}
