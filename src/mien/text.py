"""Text of others, such as file names and answers of servers, made safe to show; and suggestions for misspelt words."""

import re
from collections.abc import Iterable

# What could move the cursor, color a terminal, or turn the order of what is read: control characters but tab and line
# feed, controls of writing direction, and separators of lines. As text: only what is used is compiled.
_HIDDEN = "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
_BYTE = "[\udc80-\udcff]"


def readable(text: str) -> str:
    r"""Return text that any file and any page can hold: no half of a surrogate pair.

    A byte of a file name that is not UTF-8, which Python keeps as such a half, is written as \xff, so that two names
    stay two; others become U+FFFD.
    """
    spelt = re.sub(_BYTE, lambda half: f"\\x{ord(half[0]) - 0xDC00:02x}", text)
    return re.sub("[\ud800-\udfff]", "\ufffd", spelt)


def printable(text: str) -> str:
    """Return text for terminals and pages, with U+FFFD for all that would not be seen but do something."""
    return re.sub(_HIDDEN, "\ufffd", readable(text))


def one_line(text: str) -> str:
    """Return printable text without line feeds and tabs, as a name stands in a table or a message."""
    return re.sub(r"[\n\t]", "\ufffd", printable(text))


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """Return '; did you mean "happiness"?' for a word that is close to one of these, else an empty string."""
    from difflib import get_close_matches  # slow to import, and most words are right

    close = get_close_matches(word.lower(), list(map(str, words)), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
