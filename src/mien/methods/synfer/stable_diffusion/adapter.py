"""Trainable parts of a Stable Diffusion U-Net, whose own weights stay frozen: an adapter for action units, and LoRA.

Both start without effect. The U-Net is an argument of their `forward`, not a submodule, so that only trained weights
are averaged and saved.

Letters: B faces, K = 24 action units and asymmetries, T tokens of them, W words, D the width of a word, P positions of
a layer, C its channels.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.errors import InputError
from mien.extras import optional
from mien.facs.units import VECTOR


class UnitTokens(nn.Module):
    """One token per action unit, so that attention can send each to its part of the face.

    The token of unit k at intensity a is rest_k + a swing_k, or unknown_k without a request.
    """

    count = VECTOR

    def __init__(self, width: int) -> None:
        super().__init__()
        # As large as the normalized words, which the pretrained keys expect.
        self.rest, self.swing, self.unknown = (nn.Parameter(torch.randn(VECTOR, width)) for _ in range(3))

    def forward(self, units: Tensor) -> Tensor:
        """(B, K), NaN for no request -> (B, K, D)."""
        known = ~units.isnan()
        tokens = self.rest + units.nan_to_num()[..., None] * self.swing  # (B, K, D)
        return torch.where(known[..., None], tokens, self.unknown)


class OneToken(nn.Module):
    """One token for all action units, as published; it is the same for all positions of the face."""

    count = 1

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = nn.Linear(2 * VECTOR, width), nn.GELU(), nn.Linear(width, width)
        # As large as the words.
        self.layers = nn.Sequential(*inner, nn.LayerNorm(width))

    def forward(self, units: Tensor) -> Tensor:
        """(B, K), NaN for no request -> (B, 1, D)."""
        known = (~units.isnan()).to(units.dtype)
        token: Tensor = self.layers(torch.cat([units.nan_to_num(), known], dim=1))  # (B, D)
        return token[:, None]


TOKENS: dict[str, type[UnitTokens] | type[OneToken]] = {"units": UnitTokens, "one": OneToken}


class DecoupledAttention(nn.Module):
    """An attention processor of diffusers: one query attends to the words and, separately, to the action units.

    Keys start as copies of the words' keys, values at zero. The weight of the second attention (lambda) is 1, since the
    values can learn it. (Ye et al., 2023, "IP-Adapter".) attention: the layer of the U-Net to replace.   count: number
    of tokens, which follow the words.
    """

    def __init__(self, attention: Any, count: int) -> None:
        super().__init__()
        self.count = count
        shape = attention.cross_attention_dim, attention.inner_kv_dim
        self.keys, self.values = nn.Linear(*shape, bias=False), nn.Linear(*shape, bias=False)
        with torch.no_grad():
            self.keys.weight.copy_(attention.to_k.weight)
            self.values.weight.zero_()

    def forward(
        self, attention: Any, hidden_states: Tensor, encoder_hidden_states: Tensor, attention_mask: None = None
    ) -> Tensor:
        """(B, P, C) and (B, W + T, D) -> (B, P, C). diffusers passes these names."""
        words, units = encoder_hidden_states[:, : -self.count], encoder_hidden_states[:, -self.count :]

        def heads(x: Tensor) -> Tensor:
            return x.view(*x.shape[:2], attention.heads, -1).transpose(1, 2)

        query = heads(attention.to_q(hidden_states))  # (B, heads, P, C / heads)
        seen = F.scaled_dot_product_attention(query, heads(attention.to_k(words)), heads(attention.to_v(words)))
        seen = seen + F.scaled_dot_product_attention(query, heads(self.keys(units)), heads(self.values(units)))
        result: Tensor = attention.to_out[0](seen.transpose(1, 2).flatten(2))
        return result


class Adapter(nn.Module):
    """Tokens of action units and attention to them, inserted into a U-Net on construction.

    tokens: a name in TOKENS.
    """

    def __init__(self, unet: Any, tokens: str = "units") -> None:
        super().__init__()
        if tokens not in TOKENS:
            raise InputError(f"tokens is one of {', '.join(TOKENS)}, not {tokens!r}")
        self.tokens = TOKENS[tokens](unet.config.cross_attention_dim)
        layers = {}
        for name, module in unet.named_modules():
            if getattr(module, "is_cross_attention", False):
                layers[f"{name}.processor"] = DecoupledAttention(module, self.tokens.count)
        self.layers = nn.ModuleList(layers.values())
        unet.set_attn_processor({**unet.attn_processors, **layers})

    def context(self, words: Tensor, units: Tensor) -> Tensor:
        """(B, W, D) and (B, K) -> (B, W + T, D), the condition of the U-Net."""
        return torch.cat([words, self.tokens(units)], dim=1)

    def forward(self, unet: Any, noisy: Tensor, times: Tensor, words: Tensor, units: Tensor) -> Tensor:
        """Predict (B, 4, h, w) at (B,) times, given (B, W, D) words and (B, K) action units."""
        predicted: Tensor = unet(noisy, times, self.context(words, units)).sample
        return predicted


class Lora(nn.Module):
    """Low-rank updates of a U-Net's attention layers, inserted on construction (Hu et al., 2022)."""

    def __init__(self, unet: Any, rank: int) -> None:
        super().__init__()
        targets = ["to_q", "to_k", "to_v", "to_out.0"]
        config = optional("peft", "generate").LoraConfig(
            r=rank, lora_alpha=rank, init_lora_weights="gaussian", target_modules=targets
        )
        unet.add_adapter(config)
        ends = (".lora_A.default", ".lora_B.default")
        self.layers = nn.ModuleList(module for name, module in unet.named_modules() if name.endswith(ends))

    def forward(self, unet: Any, noisy: Tensor, times: Tensor, words: Tensor) -> Tensor:
        """Return the U-Net's prediction for (B, 4, h, w) at (B,) times, given (B, W, D) words."""
        predicted: Tensor = unet(noisy, times, words).sample
        return predicted
