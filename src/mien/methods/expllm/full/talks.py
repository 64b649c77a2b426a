"""What the full size learns from: conversations about faces, as tokens and as batches."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple, TypedDict

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2

from mien.errors import InputError
from mien.evaluation.protocols import Selection
from mien.facs.vocabulary import Expression
from mien.methods.expllm.full.join import SLOT, Joined
from mien.methods.expllm.full.settings import Settings
from mien.methods.expllm.small.conversation import AFTERWARDS, LABEL, REASON, UNITS, caption
from mien.methods.expllm.small.lessons import Told

SYSTEM = "You are a helpful assistant that describes facial expressions and the movements they are made of."
TASKS = {
    LABEL: ("Expression recognition: answer with one word.", "Which expression does this face show?"),
    REASON: ("Expression analysis, then the expression.", "Describe step by step what this face shows."),
    AFTERWARDS: ("Expression analysis.", "Describe step by step what shows this expression."),
    UNITS: ("Action units: list them with their degrees.", "Which facial movements are visible?"),
}


class Talk(NamedTuple):
    """A conversation: alternating what is given and what the model is to say."""

    turns: tuple[tuple[str, str], ...]
    weight: float = 1.0


def label_talk(label: Expression) -> Talk:
    """The label question and its answer, a capital word."""
    return Talk(((asked(LABEL), label.label.capitalize()),))


def talks(face: Told, unverified_weight: float) -> tuple[Talk, Talk]:
    """The chain of thought of a face: the one that ends in the label, and the one that follows it."""
    assert face.sections is not None
    weight = 1.0 if face.verified else unverified_weight
    label = (asked(LABEL), face.label.label.capitalize())
    text = face.sections.text
    return Talk(((asked(REASON), text),), weight), Talk((label, (asked(AFTERWARDS), text)), weight)


def asked(task: str) -> str:
    """The question of a task, up to where the model is to speak."""
    what, question = TASKS[task]
    return f"TASK: {what}\nUSER: {question}\nASSISTANT: "


def encode(talk: Talk, tokenizer: Any, slots: int, longest: int) -> tuple[list[int], list[bool]]:
    """The tokens of a conversation, and which of them the model is to say: every answer and its end."""

    def plain(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False).input_ids)

    tokens = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    tokens += [*plain(f"{SYSTEM}\nImage: "), *[tokenizer.convert_tokens_to_ids(SLOT)] * slots, *plain("\n")]
    answered = [False] * len(tokens)
    for number, (given, reply) in enumerate(talk.turns):
        asked = plain(f"\n{given}" if number else given)
        answer = [*plain(reply), tokenizer.eos_token_id] if reply else []
        tokens += [*asked, *answer]
        answered += [False] * len(asked) + [True] * len(answer)
    return tokens[:longest], answered[:longest]


class Example(TypedDict):
    """One conversation about one face, as tensors are made of it."""

    tokens: list[int]
    answered: list[bool]
    pixels: Tensor
    weight: float


class Conversations(Dataset[Example]):
    """What is learned in an epoch: of each face its chain of thought once, and its label as often as the share says.

    units: action units instead, once a face.
    """

    def __init__(
        self, faces: Selection, texts: dict[str, Told], joined: Joined, settings: Settings, units: bool = False
    ) -> None:
        self._faces, self._joined, self._settings, self._units = faces, joined, settings, units
        self._texts = [texts.get(sample.source) for sample in faces.samples]
        written = [i for i, t in enumerate(self._texts) if t is not None and t.sections is not None]
        if not written:
            raise InputError("the chains of thought speak of none of the faces: they were made of other data")
        share, count = settings.cot_share, len(faces.samples)
        often, rest = divmod(round(len(written) * (1 - share) / share) if share else count, count)
        some = np.random.default_rng(settings.seed).permutation(count)[:rest].tolist()
        labels = [(i, LABEL) for i in [*range(count)] * often + some]
        chains = [(i, REASON) for i in written] if share else []
        self._items = [(i, UNITS) for i, t in enumerate(self._texts) if t is not None] if units else chains + labels
        self._change = v2.Compose(
            [
                v2.RandomChoice([v2.ColorJitter(0.25, 0.25, 0.25, 0.1), v2.RandomGrayscale(0.2)]),
                v2.RandomApply([v2.RandomAffine(15, (0.1, 0.1), (0.9, 1.1))], 0.5),
            ]
        )

    @property
    def pad(self) -> int:
        """Padding token; attention ignores it."""
        return int(self._joined.tokenizer.eos_token_id)

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, number: int) -> Example:
        index, kind = self._items[number]
        image, flip = self._faces.samples[index].image, bool(torch.rand(()) < 0.5)
        if flip:
            image = image[:, ::-1]
        talk = self._talk(index, kind)
        if flip:
            talk = replace_sides(talk)
        joined = self._joined
        tokens, answered = encode(talk, joined.tokenizer, joined.eyes.patches, self._settings.longest)
        changed = np.asarray(self._change(Image.fromarray(np.ascontiguousarray(image))))
        return {"tokens": tokens, "answered": answered, "pixels": joined.eyes(changed), "weight": talk.weight}

    def _talk(self, index: int, kind: str) -> Talk:
        face = self._texts[index]
        if kind == LABEL:
            # Drawn from the votes, so that on average the target is their distribution.
            drawn = torch.multinomial(torch.from_numpy(self._faces.targets[index]), 1)
            return label_talk(Expression(int(drawn)))
        assert face is not None
        if kind == UNITS:
            return Talk(((asked(UNITS), caption(face.units)),))
        return talks(face, self._settings.unverified_weight)[int(torch.randint(2, ()))]


def replace_sides(talk: Talk) -> Talk:
    """The same about the mirror image: left is right."""

    def swapped(text: str) -> str:
        return re.sub(r"\b(left|right)\b", lambda match: {"left": "right", "right": "left"}[match[1]], text)

    return talk._replace(turns=tuple((given, swapped(reply)) for given, reply in talk.turns))


def collate(items: Sequence[Example], pad: int) -> dict[str, Tensor]:
    """A batch, padded at the end."""
    width = max(len(item["tokens"]) for item in items)

    def padded(rows: Sequence[Sequence[int]], value: int) -> Tensor:
        return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows])

    lengths = torch.tensor([len(item["tokens"]) for item in items])
    return {
        "input_ids": padded([item["tokens"] for item in items], pad),
        "answered": padded([item["answered"] for item in items], False),
        "attention_mask": (torch.arange(width) < lengths[:, None]).long(),
        "pixel_values": torch.stack([item["pixels"] for item in items]),
        "weight": torch.tensor([item["weight"] for item in items]),
    }
