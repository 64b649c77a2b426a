"""What is trained of a Stable Diffusion U-Net while the rest stays as it was: an adapter for action units, and LoRA.

Both begin by changing nothing. The U-Net is an argument of their `forward`, not a part of them, so that only what is
trained is averaged and kept.

Letters: B faces, K = 24 action units and asymmetries, T tokens of them, W words, D the width of a word, P places of a
layer, C its channels.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.errors import InputError
from mien.extras import optional
from mien.facs.units import VECTOR


class UnitTokens(nn.Module):
    """A token for each action unit, so that attention can send each to its part of the face.

    That of unit k at intensity a is rest_k + a swing_k, or unknown_k where nothing is asked of it.
    """

    count = VECTOR

    def __init__(self, width: int) -> None:
        super().__init__()
        # As large as the words, which the text encoder normalizes: the first keys are made for such.
        self.rest, self.swing, self.unknown = (nn.Parameter(torch.randn(VECTOR, width)) for _ in range(3))

    def forward(self, units: Tensor) -> Tensor:
        """(B, K), NaN for what is not asked -> (B, K, D)."""
        known = ~units.isnan()
        tokens = self.rest + units.nan_to_num()[..., None] * self.swing  # (B, K, D)
        return torch.where(known[..., None], tokens, self.unknown)


class OneToken(nn.Module):
    """One token of all action units, as published: whatever it says, it says to all places of the face alike."""

    count = 1

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = nn.Linear(2 * VECTOR, width), nn.GELU(), nn.Linear(width, width)
        # As large as the words.
        self.layers = nn.Sequential(*inner, nn.LayerNorm(width))

    def forward(self, units: Tensor) -> Tensor:
        """(B, K), NaN for what is not asked -> (B, 1, D)."""
        known = (~units.isnan()).to(units.dtype)
        token: Tensor = self.layers(torch.cat([units.nan_to_num(), known], dim=1))  # (B, D)
        return token[:, None]


TOKENS: dict[str, type[UnitTokens] | type[OneToken]] = {"units": UnitTokens, "one": OneToken}


class DecoupledAttention(nn.Module):
    """An attention processor of diffusers: one query looks at the words, and apart from them at the action units.

    Keys start as those of the words, values at zero. The weight of the second look (lambda) is 1, for the values learn
    it. (Ye et al., 2023, "IP-Adapter".)
    attention: the layer of the U-Net that it is for.   count: of tokens, which come after the words.
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
        """(B, P, C) and (B, W + T, D) -> (B, P, C). The names are those that diffusers calls it with."""
        words, units = encoder_hidden_states[:, : -self.count], encoder_hidden_states[:, -self.count :]

        def heads(x: Tensor) -> Tensor:
            return x.view(*x.shape[:2], attention.heads, -1).transpose(1, 2)

        query = heads(attention.to_q(hidden_states))  # (B, heads, P, C / heads)
        seen = F.scaled_dot_product_attention(query, heads(attention.to_k(words)), heads(attention.to_v(words)))
        seen = seen + F.scaled_dot_product_attention(query, heads(self.keys(units)), heads(self.values(units)))
        result: Tensor = attention.to_out[0](seen.transpose(1, 2).flatten(2))
        return result


class Adapter(nn.Module):
    """The tokens of action units and the attention to them, put into a U-Net when it is made.

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
        """(B, W, D) and (B, K) -> (B, W + T, D), what the U-Net is told."""
        return torch.cat([words, self.tokens(units)], dim=1)

    def forward(self, unet: Any, noisy: Tensor, times: Tensor, words: Tensor, units: Tensor) -> Tensor:
        """What the U-Net says of (B, 4, h, w) at (B,) times, told (B, W, D) words and (B, K) action units."""
        said: Tensor = unet(noisy, times, self.context(words, units)).sample
        return said


class Lora(nn.Module):
    """Low-rank changes of the attention layers of a U-Net, put into it when they are made (Hu et al., 2022)."""

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
        """What the U-Net says of (B, 4, h, w) at (B,) times, told (B, W, D) words."""
        said: Tensor = unet(noisy, times, words).sample
        return said
