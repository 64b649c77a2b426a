"""A Stable Diffusion with random weights, a few kilobytes small, and pictures to tune it on."""

import json
import string
from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from torch import nn

from mien.datasets.captions import FILE, Pairs, unit_vector
from mien.methods.synfer.stable_diffusion.adapter import Adapter
from tests.helpers import noise

WIDTH, SIDE = 16, 16
HAPPY = unit_vector({"AU06": 0.8, "AU12": 1.0})


def write_checkpoint(folder, prediction="epsilon", width=WIDTH):
    """What diffusers writes for Stable Diffusion, with pictures of 16 pixels and a letter a word."""
    import diffusers
    import transformers

    torch.manual_seed(0)
    vocabulary = [letter + end for end in ("", "</w>") for letter in string.ascii_lowercase + ",."]
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    end = len(vocabulary) - 1
    (folder / "tokenizer").mkdir(parents=True)
    (folder / "tokenizer" / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(vocabulary)}))
    (folder / "tokenizer" / "merges.txt").write_text("#version: 0.2\n")
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "pad_token": "<|endoftext|>"}
    (folder / "tokenizer" / "tokenizer_config.json").write_text(json.dumps(settings))
    text = transformers.CLIPTextConfig(
        vocab_size=end + 1, hidden_size=width, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=77, bos_token_id=end - 1, eos_token_id=end,
    )  # fmt: skip
    transformers.CLIPTextModel(text).save_pretrained(folder / "text_encoder")
    diffusers.AutoencoderKL(
        block_out_channels=(8, 8), down_block_types=("DownEncoderBlock2D",) * 2, layers_per_block=1, norm_num_groups=4,
        up_block_types=("UpDecoderBlock2D",) * 2, scaling_factor=5.0,
    ).save_pretrained(folder / "vae")  # fmt: skip
    diffusers.UNet2DConditionModel(
        sample_size=SIDE // 2, block_out_channels=(8, 8), down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), layers_per_block=1, norm_num_groups=4,
        cross_attention_dim=width, attention_head_dim=2,
    ).save_pretrained(folder / "unet")  # fmt: skip
    diffusers.PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1,
        prediction_type=prediction,
    ).save_pretrained(folder / "scheduler")  # fmt: skip
    return folder


def write_pairs(folder, count=8, **row):
    """Faces that are light with AU12 and dark without."""
    folder.mkdir()
    lines = []
    for i in range(count):
        smiles = i % 2
        Image.fromarray((noise(20, 18, 3, seed=i) // 4 + 180 * smiles).astype(np.uint8)).save(folder / f"{i}.png")
        said = {"caption": ("a dark face", "a light face")[smiles], "action_units": {"AU12": smiles}} | row
        lines.append(json.dumps({"file": f"{i}.png"} | said))
    (folder / FILE).write_text("\n".join(lines))
    return Pairs(folder)


class Interrupted(Pairs):
    """Pairs of a folder; reading one raises KeyboardInterrupt once `stop()` is true."""

    def __init__(self, folder, stop):
        super().__init__(folder)
        self.stop = stop

    def __getitem__(self, index):
        if self.stop():
            raise KeyboardInterrupt
        return super().__getitem__(index)


def random_adapter(model, tokens="units"):
    """A model whose action units say something, though nothing sensible."""
    torch.manual_seed(0)
    adapter = Adapter(model.unet, tokens)
    for layer in adapter.layers:
        nn.init.normal_(layer.values.weight)
    return replace(model, adapter=adapter.requires_grad_(False))


def predicted(model, words, units=None):
    torch.manual_seed(1)
    context = words if units is None else model.adapter.context(words, units)
    return model.unet(torch.randn(len(words), 4, 8, 8), 500, context).sample


def pipeline_of(model):
    """The pipeline of diffusers with the same parts."""
    import diffusers

    return diffusers.StableDiffusionPipeline(
        model.vae, model.text_encoder, model.tokenizer, model.unet,
        diffusers.DDIMScheduler.from_config(model.scheduler.config, clip_sample=False), None, None,
        requires_safety_checker=False,
    )  # fmt: skip
