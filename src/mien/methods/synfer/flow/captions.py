"""Captions of faces over a closed vocabulary, written from action units for training, and parsed for sampling.

Long captions are the key observations of the deterministic Exp-CoT engine; short ones name the same movements the way
people type them, "a surprised look, eyebrows lifted, jaw fully dropped". Importing this imports no torch.

Letters: N captions, W the longest caption in words.
"""

import difflib
import re
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from mien.core.visibility import SIDEWAYS
from mien.errors import InputError
from mien.facs.evidence import side
from mien.facs.observation import Observation
from mien.facs.units import BANDS, PROXIES, band
from mien.facs.vocabulary import ActionUnit
from mien.methods.expllm.engine import wording
from mien.methods.expllm.engine.rules import Rules

# Longest caption in words; rows are filled with PADDING.
LONGEST, PADDING = 32, 0
# Most movements in a short caption.
_NAMED = 5
_SLIGHT = next(index for index, each in enumerate(BANDS) if each.word == "slight")
_CLAUSE = re.compile(r"(?:the )?(?P<part>.+?) (?:is|are) (?P<does>.+)")


def split(text: str) -> list[str]:
    """Return the words of a text, lower-case, without punctuation."""
    return re.findall(r"\w+", text.lower())


def word_list(texts: Iterable[str]) -> tuple[str, ...]:
    """Return all distinct words of some texts in alphabetical order."""
    return tuple(sorted({word for text in texts for word in split(text)}))


def encode(text: str, words: Sequence[str]) -> NDArray[np.int64]:
    """(W,) numbers of a caption's words, from 1 in the order of the list, then PADDING.

    Raise InputError for an unknown word, with the nearest known one, and for more than LONGEST words.
    """
    given = split(text)
    if len(given) > LONGEST:
        raise InputError(f"a caption has at most {LONGEST} words, but this one has {len(given)}: {text!r}")
    number = {word: i for i, word in enumerate(words, 1)}
    unknown = [word for word in given if word not in number]
    if unknown:
        raise InputError(f"the model knows no word {unknown[0]!r} in captions{_nearest(unknown[0], words)}")
    row = np.full(LONGEST, PADDING, np.int64)
    row[: len(given)] = [number[word] for word in given]
    return row


def _nearest(word: str, words: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.0)
    return f"; the nearest that it knows is {close[0]!r}" if close else ""


def mirrored(words: Sequence[str]) -> NDArray[np.int64]:
    """(1 + number of words,) number of each word's mirror image: left and right are swapped."""
    numbers = np.arange(1 + len(words))
    if "left" in words and "right" in words:
        left, right = words.index("left") + 1, words.index("right") + 1
        numbers[[left, right]] = right, left
    return numbers


def long(face: Observation, seed: int = 0) -> str:
    """Return the engine's key observations, as many whole sentences as fit LONGEST words; "" if the first does not."""
    observations, _ = Rules(seed).describe(face, ()).split("\n\n")
    sentences = re.split(r"(?<=\.) ", observations)
    while len(split(" ".join(sentences))) > LONGEST:
        sentences.pop()
    return " ".join(sentences)


def short(face: Observation, rng: np.random.Generator) -> str:
    """Return the strongest movements in a few words each, half of them with a degree; half of the captions name the
    look.

    Captions contain measurements only: a face at rest is "a neutral face".
    """
    look = str(rng.choice(wording.LOOKS[face.label]))
    named = [_movement(face, unit, rng) for unit in _strongest(face)]
    kept: list[str] = []
    for phrase in [look] * (not named or rng.random() < 0.5) + named:
        if len(split(" ".join([*kept, phrase]))) <= LONGEST:
            kept.append(phrase)
    return ", ".join(kept)


def _strongest(face: Observation) -> list[ActionUnit]:
    """Return the action units for a short caption; proxies are not observations."""
    clear = [u for u in ActionUnit if BANDS.index(band(face.units[u])) >= _SLIGHT and u not in PROXIES]
    return sorted(clear, key=lambda unit: -face.units[unit])[:_NAMED]


def _movement(face: Observation, unit: ActionUnit, rng: np.random.Generator) -> str:
    """Return "the jaw is {how} dropped" as "jaw dropped" or "jaw slightly dropped"."""
    movement, where = wording.MOVEMENTS[(int(unit),)], "both"
    # In a turned head, the sides look uneven even if they are not.
    if face.pose is None or abs(face.pose.yaw) < SIDEWAYS:
        where = side(face.units, unit)
    clauses = movement.sided.clauses if movement.sided and where != "both" else movement.clauses
    degrees = (wording.FULL_HOW if movement.full else wording.HOW)[BANDS.index(band(face.units[unit]))]
    how = str(rng.choice(degrees)) if rng.random() < 0.5 else ""
    clause = _CLAUSE.fullmatch(str(rng.choice(clauses)).format(how=how, side=where))
    assert clause, "every clause of the engine has a part and a state"
    return " ".join(f"{clause['part']} {clause['does']}".split())
