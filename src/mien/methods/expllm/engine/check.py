"""What a text about a face says that is not true of it, or says nothing: what a writer has to take back.

Action units are held against those measured (grounding.py). Besides them the texts that mien writes make a few other
claims, each in set words: that the rest of the face is calm, that the head is turned or a half hidden, what viewers
thought.
"""

import re
from typing import NamedTuple

from mien.core.visibility import SIDEWAYS
from mien.facs.observation import Observation
from mien.facs.units import BANDS, PRESENT, band
from mien.facs.vocabulary import ActionUnit
from mien.methods.expllm.engine import wording
from mien.methods.expllm.engine.grounding import supported
from mien.methods.expllm.engine.lexicon import MODERATE
from mien.methods.expllm.engine.parse import parse
from mien.results.explanation import RejectedKind


class Wrong(NamedTuple):
    """One thing that is wrong with a text.

    kind: "absent", "present", "degree" or "side" of an action unit, as in grounding.Fault; "calm" of what is called
    still, "hidden" of the head's turn or a hidden half, "viewers" of votes that there are not, "empty" of words that
    say nothing or say it again.   why: in words.   start, end: of the phrase, in characters.   unit: where it is about
    one.
    """

    kind: RejectedKind
    why: str
    start: int
    end: int
    unit: ActionUnit | None = None


VIEWERS = re.compile(r"\b(?:viewers?|raters?|annotators?|votes?)\b[^.]*", re.IGNORECASE)
EMPTY = re.compile(
    r"\b(?:with little bearing on the expression|says? little by (?:itself|themselves))\b", re.IGNORECASE
)
_STILL = re.compile(r"\b(?:no marked movement is visible|nothing moves clearly|the face is still)\b", re.IGNORECASE)
_REST = re.compile(
    r"\b(?:the rest of the face is (?:calm|still|at rest)|little else moves|(?:is|are) all that moves)\b", re.IGNORECASE
)
_SMALL = re.compile(r"\b(?:with so little movement|these small movements)\b", re.IGNORECASE)
_AROUND = re.compile(r"\baround (?P<regions>the [a-z]+(?: and the [a-z]+)*),? no clear movement\b", re.IGNORECASE)
_NONE_AROUND = re.compile(
    r"\bno clear movement is seen around (?P<regions>the [a-z]+(?: and the [a-z]+)*)", re.IGNORECASE
)
_TURNED = re.compile(r"\bthe head is turned\b", re.IGNORECASE)
_HALF = re.compile(r"\bthe (?P<side>left|right) half of the face is (?P<reason>[a-z ]+)", re.IGNORECASE)
# A sentence must not repeat so many words in a row; its set phrases share fewer.
_TWICE = 4


def wrong(text: str, face: Observation, since: int = 0) -> tuple[Wrong, ...]:
    """What is wrong with a text from a character on, in order; what lies before is read for what it refers to."""
    faults = [
        Wrong(claim.fault.kind, claim.fault.why, claim.mention.start, claim.mention.end, claim.mention.unit)
        for claim in supported(text, face.units)
        if claim.fault is not None
    ]
    named: set[tuple[ActionUnit, bool]] = set()
    for start, sentence in _sentences(text):
        faults += _beside(sentence, start, face)
        faults += _again(sentence, start)
        mentions = parse(sentence)
        claims = {(mention.unit, mention.present) for mention in mentions}
        # An interpretation names again what was observed, but without a degree.
        if claims and claims <= named and any(mention.band for mention in mentions):
            first = mentions[0]
            faults.append(Wrong("empty", "it repeats an earlier sentence", start + first.start, start + first.end))
        named |= claims
    return tuple(sorted((each for each in faults if each.start >= since), key=lambda each: each.start))


def _sentences(text: str) -> list[tuple[int, str]]:
    return [(match.start(), match.group()) for match in re.finditer(r"[^.]+\.?", text)]


def _beside(sentence: str, offset: int, face: Observation) -> list[Wrong]:
    """What is wrong with one sentence besides the action units that it names."""
    faults: list[Wrong] = []

    def add(kind: RejectedKind, match: re.Match[str], why: str) -> None:
        faults.append(Wrong(kind, why, offset + match.start(), offset + match.end()))

    if not face.rated and (match := VIEWERS.search(sentence)):
        add("viewers", match, "nobody was asked about this picture")
    if match := EMPTY.search(sentence):
        add("empty", match, "it says nothing")
    for pattern, least in ((_STILL, PRESENT), (_REST, PRESENT), (_SMALL, BANDS[MODERATE].least)):
        if match := pattern.search(sentence):
            named = {mention.unit for mention in parse(sentence)} if pattern is _REST else set()
            moving = [unit for unit in ActionUnit if face.units[unit] >= least and unit not in named]
            if moving:
                add("calm", match, _moving(moving[0], face))
    for match in (*_AROUND.finditer(sentence), *_NONE_AROUND.finditer(sentence)):
        units = {unit for region in wording.REGIONS if region in match["regions"] for unit in wording.REGIONS[region]}
        moving = [unit for unit in ActionUnit if unit in units and face.units[unit] >= PRESENT]
        if moving:
            add("calm", match, _moving(moving[0], face))
    if (match := _TURNED.search(sentence)) and (face.pose is None or abs(face.pose.yaw) < SIDEWAYS):
        add("hidden", match, "the head was measured as facing the camera")
    for match in _HALF.finditer(sentence):
        if match["side"].lower() not in {half.side for half in face.hidden}:
            add("hidden", match, "that half is visible")
    return faults


def _again(sentence: str, offset: int) -> list[Wrong]:
    """The first words that a sentence says twice."""
    words = list(re.finditer(r"[\w'-]+", sentence.lower()))
    seen: set[tuple[str, ...]] = set()
    for i in range(len(words) - _TWICE + 1):
        run = tuple(word.group() for word in words[i : i + _TWICE])
        if run in seen:
            return [
                Wrong("empty", "it says this twice", offset + words[i].start(), offset + words[i + _TWICE - 1].end())
            ]
        seen.add(run)
    return []


def _moving(unit: ActionUnit, face: Observation) -> str:
    return f"{unit.column} is measured as {band(face.units[unit]).word}"
