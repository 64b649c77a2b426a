"""Expressions and action units of a face: by the heads of stage 0, or by the whole model asked for the label.

Letters: B faces of a batch, S the side of a face, V words.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mien.facs.units import VECTOR
from mien.facs.vocabulary import Expression
from mien.methods.expllm.small import conversation
from mien.methods.expllm.small.model import ExpLlm, FaceEncoder
from mien.methods.expllm.small.tokenizer import Tokenizer
from mien.training import action_units


class LabelOutput(NamedTuple):
    """What the encoder's heads of stage 0 say, or of a whole model the label alone.

    logits: (B, 8) in Expression order.   action_units: (B, 24), intensities 0 to 1, then asymmetries -1 to 1.
    """

    logits: Tensor
    action_units: Tensor | None = None


class Watcher(nn.Module):
    """The encoder with the two heads of stage 0, over the mean of its patches."""

    def __init__(self, encoder: FaceEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        width = encoder.config.hidden_size
        self.expression, self.action_units = nn.Linear(width, len(Expression)), nn.Linear(width, VECTOR)

    def forward(self, faces: Tensor) -> LabelOutput:
        """(B, 1, S, S), normalized -> LabelOutput."""
        seen = self.encoder(faces).last_hidden_state.mean(dim=1)  # (B, width)
        return LabelOutput(self.expression(seen), action_units.bounded(self.action_units(seen)))


class Labeller(nn.Module):
    """A model that is asked for the label alone: its words for the eight expressions are logits."""

    prompt: Tensor

    def __init__(self, model: ExpLlm, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.model, self.first = model, tokenizer.labels[0]
        asked = conversation.question(tokenizer, conversation.LABEL)
        self.register_buffer("prompt", torch.tensor([conversation.opening(tokenizer, model.config.slots) + asked]))

    def forward(self, faces: Tensor) -> LabelOutput:
        """(B, 1, S, S), normalized -> LabelOutput."""
        logits = self.model(self.prompt.expand(len(faces), -1), faces, logits_to_keep=1).logits[:, -1]  # (B, V)
        return LabelOutput(logits[:, self.first : self.first + len(Expression)])
