"""The words of facial expression research that mien uses: their numbers, one order, their aliases."""

from enum import IntEnum

from mien.errors import InputError


class Expression(IntEnum):
    """The eight expressions in FERPlus order, which is the order of every probability vector in mien."""

    NEUTRAL = 0
    HAPPINESS = 1
    SURPRISE = 2
    SADNESS = 3
    ANGER = 4
    DISGUST = 5
    FEAR = 6
    CONTEMPT = 7

    @property
    def label(self) -> str:
        """The lower-case word, as in table columns: "happiness"."""
        return self.name.lower()


_ALIASES = {
    Expression.NEUTRAL: "calm none expressionless no_emotion natural",
    Expression.HAPPINESS: "happy joy joyful smiling amused",
    Expression.SURPRISE: "surprised astonished shock",
    Expression.SADNESS: "sad sorrow unhappy",
    Expression.ANGER: "angry mad frustrated",
    Expression.DISGUST: "disgusted aversion",
    Expression.FEAR: "fearful afraid scared",
    Expression.CONTEMPT: "contemptuous disdain scorn",
}
_BY_WORD = {word: e for e, words in _ALIASES.items() for word in (e.label, *words.split())}


def expression(word: str) -> Expression:
    """The expression that a word names: "happiness", "happy", "Joy". InputError for any other word."""
    found = _BY_WORD.get(word.strip().lower().replace(" ", "_"))
    if found is None:
        raise InputError(f"{word!r} names no expression; the eight are {', '.join(e.label for e in Expression)}")
    return found
