"""The words of the embedded model: a closed vocabulary, read without any library of tokenizers.

A token is a whole lower-case word or a sign, for the engine's texts use a few hundred words and a small model should
not have to spell. Capitals at the beginning of sentences are put back when text is written. The file is a
tokenizer.json as the library tokenizers has it, so that other programs read it too.
"""

import json
import re
from collections.abc import Iterable, Sequence

from mien.errors import InputError, ModelError
from mien.facs.vocabulary import Expression

WORD = r"[a-z]+(?:[-'][a-z]+)*|[^\sa-z]"
# Tokens that are no words. The marks of a conversation, then those that open the three parts of a chain of thought.
PAD, BOS, EOS, IMAGE, SYSTEM, USER, ASSISTANT = "<pad>", "<bos>", "<eos>", "<img>", "<sys>", "<user>", "<asst>"
PARTS = ("<obs>", "<int>", "<con>")
TASKS = ("<task:label>", "<task:cot>", "<task:cot+label>", "<task:units>")
LABELS = tuple(f"<lab:{e.label}>" for e in Expression)
SPECIAL = (PAD, BOS, EOS, IMAGE, SYSTEM, USER, ASSISTANT, *PARTS, *TASKS, *LABELS)
STOP = "."
_JOINED = (".", ",", ";", ":", "?", "!")


class Tokenizer:
    """Words to numbers and back.

    tokens: all of them, in the order of their numbers; SPECIAL must be the first, so that their numbers never change.
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        if tuple(tokens[: len(SPECIAL)]) != SPECIAL or len(set(tokens)) < len(tokens):
            raise ModelError(f"a vocabulary of mien begins with {SPECIAL[0]} to {SPECIAL[-1]} and has every token once")
        self.tokens = tuple(tokens)
        self._number = {token: number for number, token in enumerate(tokens)}

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, token: str) -> int:
        """The number of a token."""
        return self._number[token]

    @property
    def labels(self) -> range:
        """The numbers of the eight label tokens, in Expression order."""
        first = self._number[LABELS[0]]
        return range(first, first + len(LABELS))

    @property
    def words(self) -> range:
        """The numbers of all tokens that are words or signs."""
        return range(len(SPECIAL), len(self.tokens))

    @staticmethod
    def learn(texts: Iterable[str]) -> "Tokenizer":
        """The vocabulary of some texts, in alphabetical order."""
        return Tokenizer((*SPECIAL, *sorted({word for text in texts for word in split(text)})))

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text's words; raise InputError for a word outside the vocabulary."""
        words = split(text)
        unknown = [word for word in words if word not in self._number]
        if unknown:
            raise InputError(f"the vocabulary has no word {unknown[0]!r}; it is closed, and made of the training texts")
        return [self._number[word] for word in words]

    def known(self, text: str) -> tuple[int, ...]:
        """The numbers of those of a text's words that are in the vocabulary."""
        return tuple(self._number[word] for word in split(text) if word in self._number)

    def decode(self, numbers: Iterable[int]) -> str:
        """The text of words and labels; other special tokens say nothing."""
        text, before = [], None
        for number in numbers:
            if number in self.words or number in self.labels:
                text.append(self.piece(before, number))
                before = number
        return "".join(text)

    def piece(self, before: int | None, number: int) -> str:
        """What a word adds to a text whose last word is `before`: a space where one belongs, a capital after a stop.

        A word of digits has one digit, so those that follow one another are one number.
        """
        token = self.tokens[number]
        if number in self.labels:
            token = Expression(number - self.labels[0]).label
        if before is None:
            return token.capitalize()
        if token in _JOINED or (token.isdigit() and self.tokens[before].isdigit()):
            return token
        return f" {token.capitalize() if self.tokens[before] == STOP else token}"

    def to_json(self) -> str:
        """The file."""
        added = [
            {"id": i, "content": token, "special": True}
            | dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
            for i, token in enumerate(SPECIAL)
        ]
        splits = {"type": "Split", "pattern": {"Regex": WORD}, "behavior": "Removed", "invert": True}
        model = {"type": "WordLevel", "vocab": self._number, "unk_token": "<unk>"}
        rest = dict.fromkeys(("truncation", "padding", "post_processor", "decoder"))
        whole = {"version": "1.0", "added_tokens": added, "normalizer": {"type": "Lowercase"}, "pre_tokenizer": splits}
        return json.dumps(whole | rest | {"model": model}, indent=1) + "\n"

    @staticmethod
    def read(text: str | bytes) -> "Tokenizer":
        """Return the tokenizer in a file's contents; raise ModelError unless `to_json` wrote them."""
        try:
            vocabulary: dict[str, int] = json.loads(text)["model"]["vocab"]
            numbers = sorted(vocabulary.values())
            tokens = sorted(vocabulary, key=lambda token: vocabulary[token])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError("not the tokenizer.json of a mien model") from error
        if numbers != list(range(len(numbers))):
            raise ModelError("not the tokenizer.json of a mien model: its numbers have gaps")
        return Tokenizer(tokens)


def split(text: str) -> list[str]:
    """The words and signs of a text, in lower case."""
    return re.findall(WORD, text.lower())
