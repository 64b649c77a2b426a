"""Reasons put to the test: is the movement that a text names first the one whose removal lowers the word most?

python benchmarks/effects.py --data KIND:PATH [--faces 200] [--word happiness --word surprise] [-o FILE.json]

Faces whose majority is the word and whom ExpLLM calls so are drawn with seed 0. A text is written about each; every
movement that it names and that a warp can show is taken away, and the reader reads again. "first": the share of texts
whose first such movement lowers the word's probability most; "random": the same of a movement drawn at random from
those named (on average, no draw). Only texts with two or more such movements count. Intervals are 95 %, Wilson's.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from mien import datasets
from mien.core.pipeline import Pipeline
from mien.evaluation.intervals import wilson_interval
from mien.evaluation.protocols import majority
from mien.facs.vocabulary import Expression
from mien.methods.expllm.small.generate import Explainer, explain
from mien.methods.expllm.tested import named, tested
from mien.results.face import FaceReport
from publish import publish


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", required=True)
    arguments.add_argument("--faces", type=int, default=200)
    arguments.add_argument("--word", action="append")
    arguments.add_argument("-o", "--output", type=Path)
    given = arguments.parse_args()
    dataset, pipeline, explainer = datasets.open(given.data), Pipeline(assume_crop=True), Explainer(threads=1)
    result: dict[str, Any] = {"data": Path(given.data).name, "seed": 0}
    for word in map(Expression.__getitem__, map(str.upper, given.word or ["happiness", "surprise"])):
        tried: list[FaceReport] = []
        seconds: list[float] = []
        for row in np.random.default_rng(0).permutation(len(dataset)):
            sample = dataset[int(row)]
            if sample.votes is None or sample.duplicate or not is_voted(sample.votes, word):
                continue
            image = sample.image
            written = explain(explainer, image, pipeline(image).faces[0])
            assert written.explanation is not None
            if written.explanation.concluded is not word:
                continue
            started = time.process_time()
            tried.append(tested(pipeline, image, written))
            seconds.append(time.process_time() - started)
            result[word.label] = counted(tried) | {"processor_seconds_a_face": round(float(np.median(seconds)), 3)}
            if len(tried) == given.faces:
                break
            if len(tried) % 25 == 0:
                print(word.label, result[word.label], flush=True)
    publish(result, given.output)


def is_voted(votes: Any, word: Expression) -> bool:
    """Whether a face's majority is a word."""
    labels = majority(np.asarray(votes)[None])
    return bool(labels.kept[0]) and int(labels.values[0].argmax()) == int(word)


def counted(faces: list[FaceReport]) -> dict[str, Any]:
    """What is found of some faces."""
    first, chance, drops, others, refused, alone, unread = [], [], [], [], 0, 0, 0
    for face in faces:
        said = face.explanation
        assert said is not None
        order = [units for units, _ in named(said)]
        shown = sorted((e for e in said.effects if not e.refused), key=lambda e: order.index(e.units))
        refused += len(said.effects) - len(shown)
        unread += any(e.reads is not e.word for e in shown)
        if len(shown) < 2:
            alone += 1
            continue
        best = min(shown, key=lambda e: e.change)
        first.append(shown[0] is best)
        chance.append(1 / len(shown))
        drops.append(-shown[0].change)
        others.append(-float(np.mean([e.change for e in shown[1:]])))
    n = len(first)
    low, high = wilson_interval(sum(first), n) if n else (0.0, 0.0)
    return {
        "faces": len(faces),
        "with_two_or_more": n,
        "first": round(float(np.mean(first)), 3) if n else None,
        "first_low": round(float(low), 3),
        "first_high": round(float(high), 3),
        "random": round(float(np.mean(chance)), 3) if n else None,
        "drop_by_first": round(float(np.mean(drops)), 3) if n else None,
        "drop_by_others": round(float(np.mean(others)), 3) if n else None,
        "another_word_in": unread,
        "movements_refused": refused,
        "fewer_than_two": alone,
    }


if __name__ == "__main__":
    main()
