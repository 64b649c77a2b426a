"""From what was measured to sentences: what to tell of a face, and the three parts of a chain of thought about it."""

import hashlib
import re
from collections.abc import Iterable, Sequence, Set
from typing import NamedTuple, TypeVar

import numpy as np

from mien.core.visibility import SIDEWAYS
from mien.facs.evidence import side
from mien.facs.observation import Observation
from mien.facs.units import BANDS, PRESENT, PROTOTYPES, PROXIES, band
from mien.facs.vocabulary import ASYMMETRIES, ActionUnit, Expression
from mien.methods.expllm.engine import wording
from mien.methods.expllm.engine.grounding import intensity
from mien.methods.expllm.engine.lexicon import MODERATE
from mien.methods.expllm.engine.scoring import probabilities
from mien.methods.expllm.engine.sureness import sureness
from mien.methods.expllm.engine.wording import MOVEMENTS

T = TypeVar("T")
# How much an action unit's role for the label raises or lowers its place in the text.
WEIGHTS = {"core": 0.5, "support": 0.25, "other": 0.0, "against": -0.25}
# The runner-up is discussed as a rival from this share of votes on, and from this probability of a model.
RIVAL, NEXT = 0.3, 0.15
# A clearly stronger side comes early in the text. A smile lifts the upper lip by itself, so AU10 comes late.
_UNEVEN_FIRST, _LIFTED_ANYWAY = 0.3, 0.4
# Words of a text, so that a small model can learn to write it: at the least in all, and at the most by part. A
# conclusion has at most 25, a long one only where the rest is short.
LEAST, OBSERVATION_WORDS, INTERPRETATION_WORDS = 45, 40, 30


class Finding(NamedTuple):
    """Something to tell: one action unit, or two that move as one.

    side: "left", "right" or "both".   band: index in mien.facs.units.BANDS.   rank: the largest comes first.
    role: "core", "support", "against" or "other" to the label.
    """

    units: tuple[int, ...]
    side: str
    band: int
    role: str
    rank: float


class Choice:
    """Picks that depend on a name alone: a hash, so that no library's random numbers can change what was written."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._count = 0
        self._used: set[object] = set()

    def __call__(self, options: Sequence[T]) -> T:
        """One of the options, one not picked before as long as there is one."""
        fresh = [option for option in options if option not in self._used] or list(options)
        self._count += 1
        digest = hashlib.sha256(f"{self._name}/{self._count}".encode()).digest()
        picked = fresh[int.from_bytes(digest[:8], "big") % len(fresh)]
        self._used.add(picked)
        return picked


def select(
    face: Observation, choose: Choice, dropped: Set[int] = frozenset(), promoted: Set[int] = frozenset()
) -> tuple[Finding, ...]:
    """What to tell of a face, most telling first: three to six action units, fewer of a neutral face.

    dropped: units to leave out.   promoted: units to put first.
    """
    items = _merged(sorted(_items(face, dropped, promoted), key=lambda item: -item.rank))
    count = choose((2, 3) if face.label is Expression.NEUTRAL else (3, 4, 5, 6))
    return _accompanied(items[:count])


def observe(items: Sequence[Finding], face: Observation, name: str) -> tuple[Sequence[Finding], str]:
    """Return the items shown and the key observations; items of the lowest rank are dropped if the text is too long."""
    shown, sentences = items, [""]
    for count in range(len(items), -1, -1):
        choose = Choice(f"{name}/observe/{count}")
        shown = _accompanied(items[:count])
        sentences = [*_observations(shown, face, choose), *_unseen(face, choose)]
        if words(*sentences) <= OBSERVATION_WORDS:
            break
    quiet = _quiet(shown, face, choose)
    if quiet and words(*sentences) < LEAST / 2:
        sentences.append(quiet)
    return shown, " ".join(sentences)


def interpret(items: Sequence[Finding], face: Observation, name: str, hedged: bool = False) -> str:
    """Return what the shown items make together, what competes, and what is missing for it.

    hedged: call it not clear-cut.
    """
    choose = Choice(f"{name}/interpret")
    sentences = [choose(wording.HEDGES)] if hedged else []
    sentences.append(_together(items, face, choose))
    competing = _competing(items, face, choose) if face.rated else runner_up(face)
    for more in (competing, _ruled_out(items, face, choose)):
        if more and words(*sentences, more) <= INTERPRETATION_WORDS:
            sentences.append(more)
    return " ".join(sentences)


def conclude(face: Observation, name: str, hedged: bool, room: int) -> str:
    """The label as the last word of the first sentence; then how many people agreed, or how sure the model is.

    room: words that the text still needs to be long enough.
    """
    choose = Choice(f"{name}/conclude")
    crowd = sureness(float(face.shares[face.label]), "reader")
    if face.rated:
        crowd = choose(next(option for least, option in wording.CROWD if face.shares[face.label] >= least))
    short, long = (
        (wording.HEDGED_CONCLUSIONS, wording.LONG_HEDGED_CONCLUSIONS)
        if hedged
        else (wording.CONCLUSIONS, wording.LONG_CONCLUSIONS)
    )
    enough = [option for option in short if words(option, crowd) >= room]
    return " ".join([choose(enough or long).format(label=face.label.label), crowd]).strip()


def runner_up(face: Observation, text: str = "") -> str:
    """What comes next by a model's probabilities, and what was measured of its marks; "" where it is far behind.

    text: the interpretation so far, which may name it already.
    """
    choose = Choice(f"{face.name}/next")
    rival = Expression(int(np.argsort(-face.shares, kind="stable")[1]))
    if face.shares[rival] < NEXT or any(look in text for look in wording.LOOKS[rival]):
        return ""
    if rival is Expression.NEUTRAL:
        quiet = all(face.units[unit] < BANDS[MODERATE].least for unit in ActionUnit)
        return choose(wording.NEXT_QUIET if quiet else wording.NEXT_NEUTRAL)
    marks = [unit for unit in (*PROTOTYPES[rival].core, *PROTOTYPES[rival].support) if unit not in PROXIES]
    there = sorted((unit for unit in marks if face.units[unit] >= PRESENT), key=lambda unit: -face.units[unit])[:2]
    look = wording.LOOKS[rival][0]
    if not there:
        return choose(wording.NEXT_UNMARKED).format(rival=look)
    return _fill(choose(wording.NEXT), _plain(_joined(there)), rival=look)


def not_seen(face: Observation, text: str = "") -> str:
    """Return sentences on hidden parts of a face that the text does not mention yet."""
    lower = text.lower()
    sentences = [
        f"The {half.side} half of the face is {half.reason}, {wording.GUESS}."
        for half in face.hidden
        if f"{half.side} half" not in lower
    ]
    turned = face.pose is not None and abs(face.pose.yaw) >= SIDEWAYS
    if turned and not face.hidden and "the head is turned" not in lower:
        sentences.append(Choice(f"{face.name}/turned")(wording.TURNED))
    if face.readability is not None and face.unclear:
        sentences.append(wording.UNCLEAR.format(few=max(1, round(10 * face.readability))))
    return " ".join(sentences)


def words(*texts: str) -> int:
    """Return the number of words in the texts."""
    return sum(len(text.split()) for text in texts)


def _items(face: Observation, dropped: Set[int], promoted: Set[int]) -> Iterable[Finding]:
    prototype = PROTOTYPES[face.label]
    # Of a head that is turned, the sides look uneven even when they are not.
    sides_seen = not face.hidden and (face.pose is None or abs(face.pose.yaw) < SIDEWAYS)
    for unit in ActionUnit:
        where = side(face.units, unit) if sides_seen else "both"
        strength = intensity(face.units, unit, where)
        index = BANDS.index(band(strength))
        # Calm faces show traces, too.
        if unit in dropped or strength < PRESENT:
            continue
        if unit in prototype.core or (unit in prototype.one_sided and where != "both"):
            role = "core"
        elif unit in prototype.support:
            role = "support"
        else:
            role = "against" if unit in prototype.against and face.label is not Expression.NEUTRAL else "other"
        rank = strength * (1 + WEIGHTS[role]) + (unit in promoted) + _UNEVEN_FIRST * (where != "both")
        if unit is ActionUnit.UPPER_LIP_RAISER and where == "both" and face.label is Expression.HAPPINESS:
            rank -= _LIFTED_ANYWAY
        yield Finding((int(unit),), where, index, role, rank)


def _merged(items: list[Finding]) -> list[Finding]:
    """Brows that rise as a whole, and lips that part because the jaw drops, are one thing to tell."""
    for pair in ((1, 2), (25, 26)):
        two = [item for item in items if item.units[0] in pair and item.side == "both"]
        if len(two) == 2 and two[0].band == two[1].band and two[0].role == two[1].role:
            at = items.index(two[0])
            items = [item for item in items if item not in two]
            items.insert(at, two[0]._replace(units=pair))
    return items


def _accompanied(items: Sequence[Finding]) -> tuple[Finding, ...]:
    """Keep a proxy only beside a movement that it is composed of: alone it would pass for an observation."""
    units = {unit for item in items for unit in item.units}
    return tuple(item for item in items if units & _COMPOSED.get(item.units[0], units))


def _observations(items: Sequence[Finding], face: Observation, choose: Choice) -> Iterable[str]:
    if not items:
        return [choose(wording.STILL)]
    if face.label is Expression.NEUTRAL and not _moving(face, items):
        return [_sentence(items, wording.RESTING, face, choose)]
    fitting = [item for item in items if item.role in ("core", "support")]
    against = [item for item in items if item.role == "against"]
    rest = [item for item in items if item.role == "other"]
    if not fitting:  # where nothing fits, nothing counts as against
        against, rest = [], [*against, *rest]
    other = wording.MORE if face.label is Expression.NEUTRAL else wording.OTHER
    groups = [(fitting, wording.SUPPORT), (against, wording.AGAINST), (rest, other)]
    return [
        _sentence(part, patterns, face, choose) for group, patterns in groups for part in _parts(group, max(patterns))
    ]


def _parts(items: Sequence[Finding], most: int) -> Iterable[Sequence[Finding]]:
    """As few parts as it takes, of about the same length."""
    count = -(-len(items) // most)
    return [items[len(items) * i // count : len(items) * (i + 1) // count] for i in range(count)]


def _sentence(items: Sequence[Finding], patterns: dict[int, tuple[str, ...]], face: Observation, choose: Choice) -> str:
    weak = min(item.band for item in items) < MODERATE
    pattern = choose([p for p in patterns[len(items)] if not (weak and "stand" in p)])
    fields = {
        "look": choose(wording.LOOKS[face.label]),
        "mark": choose(wording.MARK[items[0].role == "core"]),
        "marks": choose(wording.MARKS[all(item.role == "core" for item in items)]),
        "aside": MOVEMENTS[items[0].units].aside,
    }
    # Only what the pattern asks for is picked, so that no phrase is used up unsaid.
    for number, item in enumerate(items, 1):
        phrase = _clause(item, choose) if f"{{c{number}}}" in pattern.lower() else _noun(item, choose)
        fields[f"c{number}"] = fields[f"n{number}"] = phrase
    for one, other in ("12", "23"):
        _share(pattern, fields, one, other)
    return pattern.format_map(fields | {key.upper(): phrase[0].upper() + phrase[1:] for key, phrase in fields.items()})


def _share(pattern: str, fields: dict[str, str], one: str, other: str) -> None:
    """Say the lips once: "the lips are parted and pursed", "a parting and a pucker of the lips"."""
    lower = pattern.lower()
    if f"{{c{one}}} and {{c{other}}}" in lower:
        subject = re.match(r"the .*? (?:is|are) ", fields[f"c{one}"])
        if subject and fields[f"c{other}"].startswith(subject[0]):
            fields[f"c{other}"] = fields[f"c{other}"].removeprefix(subject[0])
    elif f"{{n{one}}} and {{n{other}}}" in lower and f"{{n{one}}}, " not in lower:
        owner = re.search(r" of the [a-z]+$", fields[f"n{one}"])
        if owner and fields[f"n{other}"].endswith(owner[0]):
            fields[f"n{one}"] = fields[f"n{one}"].removesuffix(owner[0])


def _clause(item: Finding, choose: Choice) -> str:
    movement = MOVEMENTS[item.units]
    clauses = movement.sided.clauses if movement.sided and item.side != "both" else movement.clauses
    how = "" if item.units[0] in PROXIES else choose((wording.FULL_HOW if movement.full else wording.HOW)[item.band])
    return choose(clauses).format(how=how, side=item.side).replace("  ", " ")


def _noun(item: Finding, choose: Choice) -> str:
    movement = MOVEMENTS[item.units]
    nouns = movement.sided.nouns if movement.sided and item.side != "both" else movement.nouns
    degrees = (wording.FULL_WHAT if movement.full else wording.WHAT)[item.band]
    what = "a" if item.units[0] in PROXIES else choose(degrees)
    return choose(nouns).format(what=what, side=item.side)


def _moving(face: Observation, named: Sequence[Finding]) -> set[int]:
    """Return the action units that are present but not named."""
    return {int(u) for u in ActionUnit if face.units[u] >= PRESENT} - {unit for item in named for unit in item.units}


def _quiet(items: Sequence[Finding], face: Observation, choose: Choice) -> str:
    """Return the parts of the face that do not move, if others do."""
    moving = _moving(face, ()) | {unit for item in items for unit in item.units}
    regions = [region for region, units in wording.REGIONS.items() if moving.isdisjoint(units)]
    return choose(wording.QUIET).format(regions=" and ".join(regions)) if items and regions else ""


def _unseen(face: Observation, choose: Choice) -> Iterable[str]:
    if face.hidden:
        return [f"The {half.side} half of the face is {half.reason}." for half in face.hidden]
    return [choose(wording.TURNED)] if face.pose is not None and abs(face.pose.yaw) >= SIDEWAYS else []


def _together(items: Sequence[Finding], face: Observation, choose: Choice) -> str:
    if face.label is Expression.NEUTRAL:
        quiet = all(item.band < MODERATE for item in items)
        return choose(wording.AT_REST if quiet else wording.UNRELATED)
    look = choose(wording.LOOKS[face.label])
    fitting = [item for item in items if item.role in ("core", "support")]
    uneven = [item for item in fitting if item.role == "core" and item.side != "both"]
    if face.label is Expression.CONTEMPT and uneven:
        return _fill(choose(wording.ONE_SIDED), _plain(uneven[:1]))
    symmetric = {unit for item in fitting if item.side == "both" for unit in item.units}
    for units, made in wording.PATTERNS[face.label]:
        if symmetric.issuperset(units):
            return _fill(choose(wording.COMBINED), _plain(_joined(units)), made=made)
    if fitting:
        return _fill(choose(wording.POINTS), _plain(fitting[:3]), look=look)
    return choose(wording.UNMARKED).format(look=look)


def _competing(items: Sequence[Finding], face: Observation, choose: Choice) -> str:
    """What speaks for the runner-up, where a good part of the shares went to it."""
    rival = Expression(int(np.argsort(-face.shares, kind="stable")[1]))
    if face.shares[rival] < RIVAL:
        return ""
    look = choose(wording.LOOKS[rival])
    marks = {*PROTOTYPES[rival].core, *PROTOTYPES[rival].support}
    fitting = [item for item in items if marks.issuperset(item.units) and item.side == "both"]
    if fitting and rival is not Expression.NEUTRAL:
        return _fill(choose(wording.COMPETING), _plain(fitting[:2]), rival=look)
    return choose(wording.POSSIBLE).format(rival=look)


def _ruled_out(items: Sequence[Finding], face: Observation, choose: Choice) -> str:
    """A mark of the runner-up that is not there, if there is one."""
    order = np.argsort(-face.shares, kind="stable")
    if face.shares[order[1]] == 0:
        measured = probabilities(face.units, {unit: face.units.asymmetry(unit) or 0.0 for unit in ASYMMETRIES})
        order = np.array([face.label, *(e for e in np.argsort(-measured, kind="stable") if e != face.label)])
    rival = Expression(int(order[1]))
    absent = [unit for unit in PROTOTYPES[rival].core if face.units[unit] < _TRACE and unit not in PROXIES]
    if not absent:
        return ""
    plain = [MOVEMENTS[absent[0],].plain]
    return _fill(choose(wording.RULED_OUT), plain, rival=choose(wording.LOOKS[rival]))


def _fill(pattern: str, plain: Sequence[str], **words: str) -> str:
    """A pattern with movements named in it, and its verb in their number."""
    several = len(plain) > 1 or not plain[0].startswith(("a ", "an "))
    listed = plain[0] if len(plain) == 1 else f"{', '.join(plain[:-1])} and {plain[-1]}"
    verbs = {verb: verb if several else f"{verb}s" for verb in ("make", "point", "suggest", "fit", "combine", "speak")}
    return pattern.format(plain=listed, Plain=listed[0].upper() + listed[1:], **verbs, **words)


def _plain(items: Iterable[Finding]) -> list[str]:
    """The movements without their degree."""
    named = []
    for item in items:
        movement = MOVEMENTS[item.units]
        sided = movement.sided if item.side != "both" else None
        named.append((sided or movement).plain.format(side=item.side))
    return named


def _joined(units: Sequence[int]) -> list[Finding]:
    return _merged([Finding((unit,), "both", 0, "", 0.0) for unit in units])


_COMPOSED: dict[int, set[int]] = dict(zip(map(int, PROXIES), ({12}, {4, 10}), strict=True))
_TRACE = BANDS[1].least
