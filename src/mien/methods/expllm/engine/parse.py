"""Text about a face to the action units that it names: which, where, on what side, how strong, or denied.

A sentence is searched for parts of the face and for what they do; the two belong together when nothing but linking
words lies between them. Left and right are taken as the subject's own.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from mien.facs.units import BANDS, Band
from mien.facs.vocabulary import ActionUnit
from mien.methods.expllm.engine import lexicon


@dataclass(frozen=True)
class Mention:
    """An action unit that a text names.

    start, end: of the phrase, in characters; two phrases are the same or do not overlap.
    present: False when the text denies it.   side: "left", "right", "one" (of the two, unspecified) or "both".
    band: of the intensity that the text claims; None when it claims none.
    """

    unit: ActionUnit
    start: int
    end: int
    present: bool = True
    side: str = "both"
    band: Band | None = None


class _Hit(NamedTuple):
    """A part ("brow"), an action ("raise") or words that name units alone."""

    kind: str
    name: str
    units: tuple[int, ...]
    start: int
    end: int


class _Pair(NamedTuple):
    """What a part does.   before, inside, after: text around and between them that tells side and degree."""

    units: tuple[int, ...]
    phrase: tuple[_Hit, ...]
    before: str
    inside: str
    after: str


@lru_cache(maxsize=64)
def parse(text: str) -> tuple[Mention, ...]:
    """The action units that a text names, in the order of their phrases."""
    mentions: list[Mention] = []
    for sentence in re.finditer(r"[^.;:!?\n]+", _lower(text)):
        mentions += _sentence(sentence.group(), sentence.start(), mentions)
    return tuple(mentions)


def _lower(text: str) -> str:
    # Not str.lower: of a few letters it makes two, which would shift the places of phrases.
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in text).replace("\u2019", "'")


_PATTERNS = [
    *[("alone", words, words, units) for words, units in lexicon.ALONE.items()],
    *[("alone", name, name, units) for name, units in lexicon.NAMES.items()],
    *[("part", name, words, ()) for name, words in lexicon.PARTS.items()],
    *[("action", name, words, ()) for name, words in lexicon.ACTIONS.items()],
]
_ANY = re.compile("|".join(rf"(\b(?:{words})(?!\w))" for _, _, words, _ in _PATTERNS))
_NUMBER = re.compile(r"\bau ?0?(\d+)[a-e]?\b")
_DEGREE = re.compile("|".join(rf"(\b(?:{words})\b)" for words, _ in lexicon.DEGREES))


def _hits(text: str) -> list[_Hit]:
    hits = []
    for match in _ANY.finditer(text):
        kind, name, _, units = _PATTERNS[(match.lastindex or 1) - 1]
        hits.append(_Hit(kind, name, units, *match.span()))
    measured = {int(unit) for unit in ActionUnit}
    for match in _NUMBER.finditer(text):
        if int(match[1]) in measured:
            hits.append(_Hit("alone", "number", (int(match[1]),), *match.span()))
    return sorted(hits, key=lambda hit: hit.start)


def _sentence(text: str, offset: int, earlier: Sequence[Mention]) -> list[Mention]:
    mentions: list[Mention] = []
    for pair in sorted(_pairs(text, _hits(text)), key=lambda pair: pair.phrase[0].start):
        start, end = pair.phrase[0].start, pair.phrase[-1].end
        if _supposed(text, start):
            continue
        denied = _denied(text, start, end)
        degree = _degree(pair)
        last = next((m.side for m in (*reversed(mentions), *reversed(earlier)) if m.side != "both"), "both")
        for unit in pair.units:
            present = (unit > 0) != denied
            mentions.append(
                Mention(
                    ActionUnit(abs(unit)),
                    offset + start,
                    offset + end,
                    present,
                    _side(pair, last),
                    degree if present else None,
                )
            )
    return _without_repetition(mentions)


def _without_repetition(mentions: list[Mention]) -> list[Mention]:
    """Of two phrases for the same, as in "pressed into a thin line", the one that tells more: its side, its degree."""
    kept: list[Mention] = []
    for mention in mentions:
        same = next((m for m in kept if _alike(m, mention)), None)
        if same is None:
            kept.append(mention)
        elif _detail(mention) > _detail(same):
            kept[kept.index(same)] = mention
    return kept


def _alike(one: Mention, other: Mention) -> bool:
    sides = {one.side, other.side}
    return (one.unit, one.present) == (other.unit, other.present) and ("both" in sides or len(sides) == 1)


def _detail(mention: Mention) -> tuple[bool, bool]:
    return mention.side != "both", mention.band is not None


def _pairs(text: str, hits: list[_Hit]) -> Iterator[_Pair]:
    owners = _owners(text, hits)
    # What no part does is no action: "a barely visible furrow" is not about teeth. A frown needs none.
    hits = [
        hit._replace(kind="alone", units=(4,)) if hit.name == "frown" and hit not in owners else hit for hit in hits
    ]
    hits = [hit for hit in hits if hit.kind != "action" or hit in owners]
    done: set[_Hit] = set()  # parts that have an action
    for i, hit in enumerate(hits):
        before = text[hits[i - 1].end if i else 0 : hit.start]
        after = text[hit.end : hits[i + 1].start if i + 1 < len(hits) else len(text)]
        if hit.kind == "alone":
            yield _Pair(hit.units, (hit,), before, "", after)
        owner = owners.get(hit)
        if owner is None:
            continue
        units = lexicon.MOVES[owner.name, hit.name]
        # "Wide" is the movement of eyes, but the degree of an open mouth.
        wide = text[hit.start : hit.end] if hit.name in ("gape", "show") and owner.name != "eye" else ""
        if owner.start > hit.start:
            last = hits[i + 1] is owner
            phrase = (hit, owner) if last and owner not in done else (hit,)
            following = hits.index(owner) + 1
            after = text[owner.end : hits[following].start if following < len(hits) else len(text)]
            inside = text[hit.end : owner.start] if last else ""
            yield _Pair(units, phrase, before, f"{wide} {inside}", after if last else "")
        else:
            first = owner not in done
            opening = hits.index(owner)
            lead = text[hits[opening - 1].end if opening else 0 : owner.start]
            yield _Pair(units, (owner, hit) if first else (hit,), lead, f"{before} {wide}", after)
        done.add(owner)
        yield from _shared(text, hits, owner, hit, done)


def _owners(text: str, hits: list[_Hit]) -> dict[_Hit, _Hit]:
    """For each action the part that does it."""
    following: dict[_Hit, _Hit] = {}
    for hit, then in reversed(list(pairwise(hits))):
        gap = text[hit.end : then.start]
        if hit.kind == "action" and then.kind == "part" and lexicon.OF.fullmatch(gap):
            following[hit] = then
        elif hit.kind == "action" and then in following and lexicon.AND.fullmatch(gap):
            following[hit] = following[then]
    owners: dict[_Hit, _Hit] = {}
    subject: _Hit | None = None
    for i, hit in enumerate(hits):
        if hit.kind != "action":
            subject = hit if hit.kind == "part" else None
            continue
        gap = text[hits[i - 1].end : hit.start] if i else ""
        if subject is not None and not lexicon.LINKS.fullmatch(gap):
            subject = None
        own, next_part = subject, following.get(hit)
        if next_part is not None and (next_part.name, hit.name) in lexicon.MOVES:
            unlike = own is None or (own.name, hit.name) not in lexicon.MOVES
            if unlike or re.search(r",|\b(?:and|or|a|an)\b", gap):
                own, subject = next_part, None
        if own is not None and (own.name, hit.name) in lexicon.MOVES:
            owners[hit] = own
        else:
            subject = None
    return owners


def _shared(text: str, hits: list[_Hit], owner: _Hit, action: _Hit, done: set[_Hit]) -> Iterator[_Pair]:
    """Parts joined to the owner that do the same: "brows and upper lids are raised", "raised brows and lids"."""
    step = 1 if owner.start > action.start else -1
    at = hits.index(owner)
    while 0 <= at + step < len(hits) and hits[at + step].kind == "part":
        here, other = hits[at], hits[at + step]
        left, right = sorted((here, other), key=lambda hit: hit.start)
        if not re.fullmatch(r"(?:,|,? (?:and|or|nor)) (?:(?:the|his|her|their|both) )*", text[left.end : right.start]):
            return
        own = at + 2 * step
        if step > 0 and own < len(hits) and hits[own].kind == "action":
            return
        units = lexicon.MOVES.get((other.name, action.name))
        if step < 0 and lexicon.PLACES.search(text[: other.start]):
            return
        if units is not None and other not in done:
            done.add(other)
            between = text[min(action.end, owner.end) : max(action.start, owner.start)]
            yield _Pair(units, (other,), "", between, "")
        at += step


def _degree(pair: _Pair) -> Band | None:
    inside = list(_DEGREE.finditer(pair.inside))
    before = [m for m in _DEGREE.finditer(pair.before) if _close(pair.before[m.end() :])]
    after = [m for m in _DEGREE.finditer(pair.after) if _close(pair.after[: m.start()])]
    nearest = inside[-1:] or before[-1:] or after[:1]
    return BANDS[lexicon.DEGREES[(nearest[0].lastindex or 1) - 1].band] if nearest else None


def _close(gap: str) -> bool:
    return lexicon.LINKS.fullmatch(gap) is not None and not re.search(r",|\band\b", gap)


def _side(pair: _Pair, last: str) -> str:
    before = [m for m in lexicon.SIDES.finditer(pair.before) if _close(pair.before[m.end() :])]
    inside = list(lexicon.SIDES.finditer(pair.inside))
    phrase = [m for hit in pair.phrase for m in lexicon.SIDES.finditer(hit.name)]
    after = [
        m
        for m in lexicon.SIDES.finditer(pair.after)
        if re.fullmatch(r"[\w\s]*\b(?:on|to|at) \w*\s?", pair.after[: m.start()])
    ]
    nearest = next(iter(inside[:1] or before[-1:] or phrase or after[:1]), None)
    if nearest is None:
        return "one" if any("smirk" in hit.name for hit in pair.phrase) else "both"
    if nearest["same"]:
        return last
    return nearest["named"] or "one"


def _denied(text: str, start: int, end: int) -> bool:
    # A denial reaches over a comma only where a list goes on: "no smile, frown or sneer".
    lead = text[:start]
    opening = [m.end() for m in lexicon.NEGATORS.finditer(lead)]
    if opening:
        between = lead[opening[-1] :]
        broken = lexicon.ENDS_DENIAL.search(between) or (
            "," in between and not re.search(r"\b(?:or|nor)\b", text[opening[-1] :])
        )
        if not broken:
            return True
    return bool(lexicon.NEGATORS.search(text[start:end]) or lexicon.DENIED_AFTER.match(text[end:]))


def _supposed(text: str, start: int) -> bool:
    """Whether a phrase lies in an "if": that of its own clause, or one that opens the sentence."""
    clause = text[:start].rpartition(",")[2]
    return bool(lexicon.SUPPOSED.search(clause) or re.match(r"\s*if\b", text))
