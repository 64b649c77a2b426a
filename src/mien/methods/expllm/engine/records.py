"""Chains of thought as JSON lines, a face a line: written one by one, gone on with after a stop, counted at the end."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mien.errors import InputError
from mien.facs.observation import Observation
from mien.facs.vocabulary import ASYMMETRIES, ActionUnit, Expression
from mien.methods.expllm.engine.chain import Attempt, Call, Chain
from mien.methods.expllm.engine.grounding import Claim
from mien.results.record import Record

# What all lines of a file have in common; with other values the same face could get another text.
MADE_BY = ("data", "pseudo_labels", "engine", "engine_version", "model", "seed", "max_loops")
# What a question to a language model costs.
COSTS = ("seconds", "prompt_tokens", "completion_tokens")


def record(face: Observation, source: str, made_by: Mapping[str, Any], chain: Chain, calls: Sequence[Call]) -> Record:
    """A line of the file; what it says of the face is enough to write the text again.

    source: what measured the action units, "teacher" or "reader".   made_by: a value for each of MADE_BY.
    calls: what a language model was asked.
    """
    return _opening(face, source) | {
        "status": "ok",
        "text": chain.text,
        "sections": asdict(chain.sections),
        "mentions": [_mention(claim) for claim in chain.claims(face.units)],
        "pred": None if chain.guess.expression is None else chain.guess.expression.label,
        "verified": chain.verified,
        "loops": chain.loops,
        "refused": [_attempt(attempt) for attempt in chain.memory],
        "calls": [asdict(call) for call in calls],
        **made_by,
    }


def rejected(
    face: Observation, source: str, made_by: Mapping[str, Any], error: InputError, calls: Sequence[Call]
) -> Record:
    """The line of a face that got no usable text."""
    asked = [asdict(call) for call in calls]
    return _opening(face, source) | {"status": "rejected", "error": str(error), "calls": asked, **made_by}


def resume(path: Path, made_by: Mapping[str, Any]) -> set[str]:
    """The faces that a file already has; a line cut short by a stop is taken off.

    InputError when the file was made in another way, for its lines and new ones would not go together.
    """
    if not path.exists():
        return set()
    whole = path.read_bytes()
    kept = whole[: whole.rfind(b"\n") + 1]
    done = set()
    for number, line in enumerate(kept.splitlines(), 1):
        try:
            row = json.loads(line)
            differ = [key for key in MADE_BY if row[key] != made_by[key]]
            done.add(row["image_id"])
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: line {number} is none that mien cot wrote; give another file to -o") from error
        if differ:
            key = differ[0]
            raise InputError(f"{path} was made with {key} {row[key]!r}, not {made_by[key]!r}; give another file to -o")
    if len(kept) < len(whole):
        path.write_bytes(kept)
    return done


def read(path: Path) -> Iterator[Record]:
    """The lines of a file."""
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def count(rows: Iterator[Record]) -> Record:
    """How many faces of each expression got a text, how many of these were verified, and after how many loops.

    With a language model also what was asked of it: calls, tokens and seconds.
    """
    per_class = {e.label: {"faces": 0, "verified": 0, "rejected": 0} for e in Expression}
    loops: Counter[int] = Counter()
    cost: Counter[str] = Counter()
    for row in rows:
        counts = per_class[row["label"]]
        counts["faces"] += 1
        counts["rejected"] += row["status"] == "rejected"
        if row["status"] == "ok":
            counts["verified"] += row["verified"]
            loops[row["loops"]] += 1
        for call in row["calls"]:
            cost.update({"calls": 1, **{key: call[key] or 0 for key in COSTS}})
    totals = {key: sum(counts[key] for counts in per_class.values()) for key in ("faces", "verified", "rejected")}
    summary = totals | {"per_class": per_class, "loops": {str(k): loops[k] for k in sorted(loops)}}
    return summary | ({"cost": {key: round(cost[key], 1) for key in ("calls", *COSTS)}} if cost else {})


def _opening(face: Observation, source: str) -> Record:
    units = [*(face.units[unit] for unit in ActionUnit), *(face.units.asymmetry(unit) or 0.0 for unit in ASYMMETRIES)]
    return {
        "image_id": face.name,
        "label": face.label.label,
        "votes": [round(float(share), 4) for share in face.shares],
        "rated": face.rated,
        "au": [round(value, 4) for value in units],
        "au_source": source,
        "pose": None if face.pose is None else asdict(face.pose),
        "hidden": [asdict(half) for half in face.hidden],
    }


def _mention(claim: Claim) -> Record:
    mention = claim.mention
    return {
        "au": int(mention.unit),
        "side": mention.side,
        "band": None if mention.band is None else mention.band.word,
        "present": mention.present,
        "start": mention.start,
        "end": mention.end,
        "supported": claim.supported,
    }


def _attempt(attempt: Attempt) -> Record:
    guess = attempt.guess.expression
    return {
        "description": attempt.description,
        "pred": None if guess is None else guess.label,
        "objections": [objection.text for objection in attempt.objections],
    }
