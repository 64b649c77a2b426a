"""The words of facial expression research that mien uses: their numbers, one order, their aliases."""

from enum import IntEnum, StrEnum

from mien.errors import InputError
from mien.text import did_you_mean


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
    member = _BY_WORD.get(word.strip().lower().replace(" ", "_"))
    if member is None:
        labels = ", ".join(e.label for e in Expression)
        raise InputError(f"{word!r} names no expression; the eight are {labels}{did_you_mean(word, _BY_WORD)}")
    return member


class ActionUnit(IntEnum):
    """FACS action units; the value is the FACS number, so ActionUnit(12) is AU12."""

    INNER_BROW_RAISER = 1
    OUTER_BROW_RAISER = 2
    BROW_LOWERER = 4
    UPPER_LID_RAISER = 5
    CHEEK_RAISER = 6
    LID_TIGHTENER = 7
    NOSE_WRINKLER = 9
    UPPER_LIP_RAISER = 10
    LIP_CORNER_PULLER = 12
    DIMPLER = 14
    LIP_CORNER_DEPRESSOR = 15
    LOWER_LIP_DEPRESSOR = 16
    CHIN_RAISER = 17
    LIP_PUCKER = 18
    LIP_STRETCHER = 20
    LIP_FUNNELER = 22
    LIP_PRESSOR = 24
    LIPS_PART = 25
    JAW_DROP = 26
    LIP_SUCK = 28
    EYES_CLOSED = 43

    @property
    def label(self) -> str:
        """The name in words: "lip corner puller"."""
        return self.name.lower().replace("_", " ")

    @property
    def column(self) -> str:
        """The name of its table column, as py-feat has it: "AU12"."""
        return f"AU{self.value:02d}"


# Of these action units mien also measures how much stronger one side is: contempt shows on one side only.
ASYMMETRIES = (ActionUnit.LIP_CORNER_PULLER, ActionUnit.DIMPLER, ActionUnit.UPPER_LIP_RAISER)


class Attribute(StrEnum):
    """Attributes that a scan can ask about; by default only the expression."""

    EXPRESSION = "expression"
    AGE = "age"
    GENDER = "gender"
    RACE = "race"

    @property
    def labels(self) -> tuple[str, ...]:
        """The answers there are: the expressions in their order, else those of FairFace; ages in five groups."""
        return _LABELS[self]

    @property
    def sensitive(self) -> bool:
        """Whether it says who somebody is taken for, and not what a face shows."""
        return self is not Attribute.EXPRESSION


_LABELS = {
    Attribute.EXPRESSION: tuple(e.label for e in Expression),
    Attribute.AGE: ("0-9", "10-19", "20-39", "40-59", "60+"),
    Attribute.GENDER: ("male", "female"),
    Attribute.RACE: (
        "white", "black", "latino or hispanic", "east asian", "southeast asian", "indian", "middle eastern",
    ),
}  # fmt: skip


# Shown beside every answer about a sensitive attribute.
CAVEAT = (
    "Age, gender and race read off a picture are what somebody may be taken for, not who somebody is. They are often "
    "wrong, more often for some groups than for others. Do not use them to sort or judge people."
)


def attribute(word: str) -> Attribute:
    """The attribute that a word names: "age". InputError for any other word."""
    try:
        return Attribute(word.strip().lower())
    except ValueError:
        raise InputError(
            f"{word!r} cannot be asked about a face; {', '.join(Attribute)} can{did_you_mean(word, Attribute)}"
        ) from None
