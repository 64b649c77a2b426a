"""A model of the full size in use."""

import numpy as np
import torch
from numpy.typing import NDArray

from mien.facs.vocabulary import Expression
from mien.methods.expllm.full.join import Joined
from mien.methods.expllm.full.talks import Talk, asked, encode, label_talk
from mien.methods.expllm.small.conversation import AFTERWARDS, REASON


class Reasoner:
    """A joined model that answers about faces."""

    def __init__(self, joined: Joined) -> None:
        self.joined = joined

    @torch.inference_mode()
    def scores(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(8,) probabilities: how likely each label word is as the whole answer, compared with the others."""
        logs = [self._logprob(image, label_talk(label)) for label in Expression]
        return torch.tensor(logs).softmax(dim=0).numpy()

    def label(self, image: NDArray[np.uint8]) -> Expression:
        """The likeliest label of a face, an (H, W, 3) RGB picture."""
        return Expression(int(self.scores(image).argmax()))

    @torch.inference_mode()
    def write(self, image: NDArray[np.uint8], mode: str = "reason-first", longest: int = 300) -> str:
        """A chain of thought, freely written, the likeliest token after the likeliest token.

        mode: as of mien.methods.expllm.small.generate.   longest: tokens.
        """
        turns: tuple[tuple[str, str], ...] = ((asked(REASON), ""),)
        if mode == "label-first":
            turns = (*label_talk(self.label(image)).turns, (asked(AFTERWARDS), ""))
        tokens, _ = encode(Talk(turns), self.joined.tokenizer, self.joined.eyes.patches, 10**6)
        model, tokenizer = self.joined.model, self.joined.tokenizer
        generated = model.generate(
            input_ids=torch.tensor([tokens], device=model.device),
            pixel_values=self.joined.eyes(image)[None].to(model.device),
            max_new_tokens=longest,
            do_sample=False,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.eos_token_id,
        )
        return str(tokenizer.decode(generated[0], skip_special_tokens=True)).strip()

    def _logprob(self, image: NDArray[np.uint8], talk: Talk) -> float:
        tokens, answered = encode(talk, self.joined.tokenizer, self.joined.eyes.patches, 10**6)
        model = self.joined.model
        given = torch.tensor([tokens], device=model.device)
        pixels = self.joined.eyes(image)[None].to(model.device)
        logs = model(input_ids=given, pixel_values=pixels).logits[0, :-1].float().log_softmax(dim=-1)  # (T-1, V)
        each = logs.gather(1, given[0, 1:, None])[:, 0]
        return float(each[torch.tensor(answered[1:], device=model.device)].sum())
