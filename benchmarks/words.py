"""What is printed about faces: is it true of what was measured, what was taken back, how sure, and how varied.

python benchmarks/words.py texts --data KIND:PATH [--faces 1000] [--mode label-first] [--unverified] [-o FILE.json]
python benchmarks/words.py sureness --data KIND:PATH [--faces 1500] [-o FILE.json]

Readable faces (the largest vote is an expression) without duplicates of other splits, drawn with seed 0. "subtle": the
faces whose majority is an expression, though no action unit is more than slight, counted from what calm faces show; of
these the share right of the label, of the rules (scoring.py, from the units alone), and of what the text reads as among
its two likeliest. "openings": the share of texts that the commonest first words open, degrees and articles left out.
Intervals are 95 %, Wilson's.
"""

import argparse
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mien import datasets
from mien.core.align import align
from mien.core.pipeline import Pipeline
from mien.datasets import Sample
from mien.evaluation.intervals import wilson_interval
from mien.evaluation.protocols import majority, without_single_votes
from mien.facs.rest import above
from mien.facs.units import BANDS
from mien.facs.vocabulary import ASYMMETRIES, ActionUnit, Expression
from mien.methods.expllm.engine import lexicon, rules
from mien.methods.expllm.engine.scoring import probabilities
from mien.methods.expllm.engine.sureness import step
from mien.methods.expllm.engine.witness import Witness
from mien.methods.expllm.engine.wording import SURE
from mien.methods.expllm.small.generate import MODES, Explainer, explained, observed
from mien.results.explanation import Explanation
from publish import publish

DEGREES = re.compile("|".join(rf"\b(?:{words})\b" for words, _ in lexicon.DEGREES))


class Told(NamedTuple):
    """One face and what was printed of it."""

    votes: np.ndarray[Any, Any]
    said: Explanation
    wrong: int
    subtle: bool
    by_units: Expression
    reader: Expression
    seconds: float


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("what", choices=("texts", "sureness"))
    arguments.add_argument("--data", required=True)
    arguments.add_argument("--faces", type=int)
    arguments.add_argument("--mode", choices=MODES, default=MODES[0])
    arguments.add_argument("--unverified", action="store_true")
    arguments.add_argument("-o", "--output", type=Path)
    given = arguments.parse_args()
    drawn, about = readable(given.data), {"data": Path(given.data).name, "seed": 0}
    if given.what == "sureness":
        publish(about | sure(drawn, given.faces or 1500), given.output)
        return
    told, count = [], given.faces or 1000
    for sample in drawn:
        told.append(written(sample, given.mode, not given.unverified))
        if len(told) == count:
            break
        if len(told) % 100 == 0:
            print(counted(told), flush=True)
    publish(about | {"mode": given.mode, "verified": not given.unverified} | counted(told), given.output)


def readable(data: str) -> Iterator[Sample]:
    """The faces in a random order."""
    dataset = datasets.open(data)
    for row in np.random.default_rng(0).permutation(len(dataset)):
        sample = dataset[int(row)]
        if sample.votes is not None and not sample.duplicate:
            left = without_single_votes(np.asarray(sample.votes)[None])[0]
            if left.sum() and left[:8].max() > left[8:].max():
                yield sample


PIPELINE, EXPLAINER = Pipeline(assume_crop=True), Explainer(threads=1)


def written(sample: Sample, mode: Any, verified: bool) -> Told:
    """A face read and written about."""
    image = sample.image
    (face,) = PIPELINE(image).faces
    assert face.action_units is not None
    started = time.process_time()
    (crop,) = align(image, [face.crop], EXPLAINER.size)
    seen = observed(face, crop)
    assert seen is not None
    text = EXPLAINER.write(crop, mode, seen=seen if verified else None)
    seconds = time.process_time() - started
    said, units = explained(text, face.action_units, EXPLAINER.name), above(face.action_units)
    witness = Witness(seen)
    wrong = sum(len(witness.wrong(part.text)) for part in said.parts)
    assert wrong >= sum(not phrase.supported for part in said.parts for phrase in part.phrases)
    shares = probabilities(units, {unit: units.asymmetry(unit) or 0.0 for unit in ASYMMETRIES})
    votes = np.asarray(sample.votes)
    subtle = max(units[int(unit)] for unit in ActionUnit) < BANDS[lexicon.MODERATE].least
    return Told(votes, said, wrong, subtle, Expression(int(shares.argmax())), face.expression.top, seconds)


def counted(told: list[Told]) -> dict[str, Any]:
    """What is found of some texts."""
    phrases = [phrase for each in told for part in each.said.parts for phrase in part.phrases]
    kinds = Counter(sentence.kind for each in told for sentence in each.said.rejected)
    rules_own = sum(1 for each in told for s in {s.instead for s in each.said.rejected} if s and s in each.said.text)
    first = [each.said.parts[0].text for each in told]
    openings = Counter(opening(text) for text in first)
    words = Counter(" ".join(text.split()[:5]) for text in first)
    guesses = [rules.read(each.said.text).accepted[:2] for each in told]
    return {
        "texts": len(told),
        "wrong_printed": sum(each.wrong for each in told),
        "action_units_named": len(phrases) / len(told),
        "texts_with_a_sentence_taken_back": share([bool(each.said.rejected) for each in told]),
        "taken_back": dict(kinds.most_common()),
        "sentences_in_place": rules_own,
        "concludes_label": share([each.said.consistent for each in told]),
        "reads_among_two": share([each.said.concluded in two for each, two in zip(told, guesses, strict=True)]),
        "processor_seconds_a_text": round(float(np.median([each.seconds for each in told])), 3),
        "processor_seconds_95": round(float(np.quantile([each.seconds for each in told], 0.95)), 3),
        "words": round(float(np.mean([len(each.said.text.split()) for each in told])), 1),
        "commonest_opening": openings.most_common(3),
        "commonest_first_five_words": words.most_common(3),
        "subtle": subtle([each for each in told if each.subtle]),
    }


def subtle(told: list[Told]) -> dict[str, Any]:
    """Of faces whose majority is an expression."""
    rows = []
    for each in told:
        target = majority(each.votes[None])
        label = Expression(int(target.values[0].argmax()))
        if target.kept[0] and label is not Expression.NEUTRAL:
            rows.append((label, each))
    return {
        "faces": len(rows),
        "label_right": share([each.said.expression.top is label for label, each in rows]),
        "reader_right": share([each.reader is label for label, each in rows]),
        "rules_right": share([each.by_units is label for label, each in rows]),
        "text_reads_so": share([label in rules.read(each.said.text).accepted[:2] for label, each in rows]),
    }


def opening(text: str) -> str:
    """The kind of a text's first words, without degrees, articles and the movement that is named."""
    plain = DEGREES.sub(" ", text.lower())
    plain = re.sub(r"\b(?:a|an|the)\b|[,;:]", " ", plain)
    return " ".join(plain.split()[:4])


def sure(drawn: Iterator[Sample], count: int) -> dict[str, Any]:
    """How often each step of wording.SURE is right, of ExpLLM and of the reader."""
    tops: dict[str, list[tuple[int, bool]]] = {"expllm": [], "reader": []}
    for _, sample in zip(range(count), drawn, strict=False):
        image = sample.image
        (face,) = PIPELINE(image).faces
        (crop,) = align(image, [face.crop], EXPLAINER.size)
        word = int(without_single_votes(np.asarray(sample.votes)[None])[0, :8].argmax())
        for name, scores in (("reader", face.expression), ("expllm", EXPLAINER.label(crop).expression)):
            tops[name].append((step(scores[scores.top]), int(scores.top) == word))
    return {
        name: {
            f"{least:g}": share([right for number, right in rows if number == i]) for i, (least, _) in enumerate(SURE)
        }
        for name, rows in tops.items()
    }


def share(of: list[bool]) -> dict[str, Any]:
    """A share with its interval."""
    if not of:
        return {"n": 0}
    low, high = wilson_interval(sum(of), len(of))
    return {
        "value": round(float(np.mean(of)), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
        "n": len(of),
    }


if __name__ == "__main__":
    main()
