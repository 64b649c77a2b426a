"""The words of an answer to the labels they name. Rather no label than a wrong one: negated words never count."""

import re
import unicodedata
from collections.abc import Iterator

from mien.errors import InputError
from mien.facs.vocabulary import Attribute, expression

# The answer for a model that cannot see it.
CANNOT_TELL = "cannot_tell"

# Words in a sentence, as patterns between word boundaries; a whole value may also be a word of mien.facs.vocabulary.
_PATTERNS: dict[Attribute, dict[str, str]] = {
    Attribute.EXPRESSION: {
        "neutral": r"neutral\w*|calm\w*|expressionless|emotionless|impassive"
        r"|(?:no|without|lack(?:s|ing)?) (?:(?:any|clear|strong|visible|particular|obvious|apparent|specific|facial) )*"
        r"(?:emotion|expression)s?",
        "happiness": r"happ\w+|joy(?:ful\w*|ous\w*)?|smil\w+|amuse(?:d|ment)|cheer(?:ful\w*)?|delight(?:ed)?|grin\w*"
        r"|laugh\w*",
        "surprise": r"surpris(?:e|ed|edly)|astonish(?:ed|ment)|shock(?:ed)?|amaze(?:d|ment)|startled",
        "sadness": r"sad|sadness|sadly|saddened|sorrow\w*|unhapp\w+|melanchol\w+|gloom\w*|tearful",
        "anger": r"anger|angered|angr\w+|mad|furious\w*|rage|enraged|frustrat(?:ed|ion)|irritat(?:ed|ion)"
        r"|annoy(?:ed|ance)",
        "disgust": r"disgust(?:ed|edly)?|aversion|revulsion|repulsed",
        "fear": r"fear(?:ful|fully)?|afraid|scared|frightened|terrified|terror",
        "contempt": r"contempt|contemptuous\w*|disdain(?:ful\w*)?|scorn(?:ful\w*)?",
    },
    Attribute.GENDER: {
        "male": r"male|man|boy|gentleman|guy|he|him|his|masculine",
        "female": r"female|woman|girl|lady|she|her|hers|feminine",
    },
    Attribute.RACE: {
        "white": r"white|caucasian|european",
        "black": r"black|african(?: american)?",
        "latino or hispanic": r"(?:latin(?:o|a|x)?|hispanic)(?:(?: or)? (?:latin(?:o|a|x)?|hispanic))?",
        "east asian": r"(?<!south )(?<!south-)east asian",
        "southeast asian": r"south[ -]?east asian",
        "indian": r"(?<!american )indian|south asian",
        "middle eastern": r"m(?:iddle|\.)? ?eastern|arab(?:ic)?|persian",
    },
}
_COMPILED = {
    attribute: {label: re.compile(rf"\b(?:{pattern})(?!\w)") for label, pattern in patterns.items()}
    for attribute, patterns in _PATTERNS.items()
}
_LETTERS = {"m": "male", "f": "female"}

_NEGATION = re.compile(
    r"\b(?:not|no|non|never|without|neither|nor|none|nothing|hardly|barely|scarcely|unlikely|less|lack\w*|absen\w+"
    r"|devoid|free of|opposite|(?:is|does|do|can|was|would)nt)\b|n't\b"
)
# A clause ends here; a negation holds for the whole of its clause.
_CLAUSE = re.compile(r"[.;!?\n]+(?!\d)|\b(?:but|however|yet|though|although|while)\b")
# What comes after these words is a second choice.
_SECOND_CHOICE = re.compile(
    r">|\b(?:followed by|then|than|instead of|as opposed to|second(?:ly|ary|arily)?|slight(?:ly)?|2[.)]\s)"
    r"|\bwith (?:an? |some )?(?:\w+ )?(?:hint|touch|trace|bit|note|undertone)s? of\b"
)

_AGE_WORDS = {
    "0-9": r"infant|baby|toddler|child|kid",
    "10-19": r"teen\w*|adolescent",
    "20-39": r"young adult",
    "40-59": r"middle[ -]aged",
    "60+": r"elderly|senior|old (?:man|woman|person)",
}
_AGE = re.compile(
    r"(?P<share>\d+(?:\.\d+)? ?%)"
    r"|(?P<low>\d{1,3}) ?(?:-|to|and|through) ?(?P<high>\d{1,3})"
    r"|(?P<decade>\d{1,2}0) ?'?s\b"
    r"|(?:over|above|more than|older than|at least|>=?) ?(?P<over>\d{1,3})"
    r"|(?P<up>\d{1,3})(?: ?\+| (?:or|and) (?:over|older|above|more|up)\b)"
    r"|(?:under|below|less than|younger than|<) ?(?P<under>\d{1,3})"
    r"|(?<![\d.-])(?P<years>\d{1,3})(?:\.\d+)?(?![\d.])"
)
_OLDEST = 120

_REFUSAL = re.compile(
    r"\b(?:can't|cannot|can not|won't|will not|unable to|not able to|not allowed to|not permitted to|decline to"
    r"|refuse to|not comfortable|not appropriate to|inappropriate to)\b[^.{}]{0,60}?\b(?:help|assist|comply|provid\w+"
    r"|answer|fulfil\w*|identify\w*|discuss|engage|classify\w*|categori[sz]\w+|infer\w*|guess\w*|speculat\w+|assum\w+"
    r"|label\w*|comment|do (?:that|this)|request)\b"
    r"|\b(?:i'm sorry|i am sorry|sorry|i apologi[sz]e),? (?:but )?i\b|\bas an ai\b"
    r"|\bagainst (?:my|our|the) (?:\w+ )?polic"
)
_UNSEEN = re.compile(
    r"\b(?:can't|cannot|can not|couldn't|could not|unable to|not possible to|impossible to|hard to|difficult to)\b"
    r".{0,30}\b(?:tell|determine\w*|see|seen|judge\w*|say|make out)\b|\bcannot.tell\b"
    r"|\b(?:not|isn't|barely) (?:clearly )?visible\b|\b(?:unclear|unknown|undetermined|indeterminate|uncertain|not sure"
    r"|hidden|occluded|obscured|no face|not applicable)\b|^n/?a$"
)


def plain(text: str) -> str:
    """Compatibility forms resolved and typographic quotes and dashes as on a keyboard."""
    return unicodedata.normalize("NFKC", text).translate(_TYPOGRAPHY)


_TYPOGRAPHY = str.maketrans(
    dict.fromkeys("“”„‟″", '"') | dict.fromkeys("‘’‚‛′", "'") | dict.fromkeys("‐‑‒–—−", "-") | {"≥": ">="}
)


def is_refusal(text: str) -> bool:
    """Whether a text declines to answer."""
    return _REFUSAL.search(plain(text).casefold()) is not None


def is_unseen(text: str) -> bool:
    """Whether a text says that the picture does not show something."""
    return _UNSEEN.search(plain(text).casefold()) is not None


def label_of(word: str, attribute: Attribute) -> str | None:
    """The label that a whole value names, itself or a synonym: "Joy", "F", "20s"; None for anything else."""
    folded = _folded(word)
    if folded in attribute.labels:
        return folded
    if attribute is Attribute.AGE:
        return only_label(word, attribute)
    if attribute is Attribute.EXPRESSION:
        try:
            return expression(folded).label
        except InputError:
            pass
    if attribute is Attribute.GENDER and folded in _LETTERS:
        return _LETTERS[folded]
    return next((label for label, pattern in _COMPILED[attribute].items() if pattern.fullmatch(folded)), None)


def only_label(text: str, attribute: Attribute) -> str | None:
    """The one label that a sentence names, or ranks first; None when it names none, several, or what is not so."""
    folded = _folded(text).replace("anything but", "not").replace("not only", "")
    if attribute is Attribute.AGE:
        named = set() if _NEGATION.search(folded.replace("less than", "")) else set(_age_groups(folded))
    else:
        named = set(_named(_SECOND_CHOICE.split(folded, maxsplit=1)[0], attribute))
    return named.pop() if len(named) == 1 else None


def _folded(text: str) -> str:
    return re.sub(r"[^\S\n]+", " ", re.sub(r"[_/]", " ", plain(text).casefold())).strip(" \n.,:!?\"'`*()[]")


def _named(text: str, attribute: Attribute) -> Iterator[str]:
    for clause in _CLAUSE.split(text):
        for label, pattern in _COMPILED[attribute].items():
            # "no emotion" is a way to say neutral, so its words are taken out before negations are looked for.
            rest, count = pattern.subn(" ", clause)
            if count and not _NEGATION.search(rest):
                yield label


def _age_groups(text: str) -> Iterator[str]:
    """Every group that some part of the text may mean, so more than one when a part is ambiguous."""
    for label, pattern in _AGE_WORDS.items():
        if re.search(rf"\b(?:{pattern})\b", text):
            yield label
    for match in _AGE.finditer(text):
        part = {name: int(value) for name, value in match.groupdict().items() if value and name != "share"}
        if "low" in part:
            yield from _groups(part["low"], part["high"])
        elif "decade" in part:
            yield from _groups(part["decade"], part["decade"] + 9)
        elif "over" in part or "up" in part:
            yield from _groups(part.get("over", part.get("up", 0)), _OLDEST)
        elif "under" in part:
            yield from _groups(0, max(part["under"] - 1, 0))
        elif "years" in part:
            yield from _groups(part["years"], part["years"])


def _groups(low: int, high: int) -> Iterator[str]:
    """The groups that years from low to high lie in; none above the oldest of people."""
    for label in Attribute.AGE.labels:
        first, _, last = label.rstrip("+").partition("-")
        if int(first) <= high <= _OLDEST and low <= int(last or _OLDEST):
            yield label
