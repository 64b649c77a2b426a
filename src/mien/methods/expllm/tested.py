"""The reasons of an explanation put to the test: what the reader says once each movement that it names is taken off."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mien.core.effects import effects
from mien.core.pipeline import Pipeline
from mien.facs.vocabulary import ActionUnit
from mien.methods.expllm.engine.wording import MOVEMENTS
from mien.results.explanation import Explanation
from mien.results.face import FaceReport


def tested(pipeline: Pipeline, image: NDArray[np.uint8], face: FaceReport) -> FaceReport:
    """A face whose explanation has its effects; see mien.core.effects.

    image: the (H, W, 3) RGB picture in which the face was detected.   face: with an explanation.
    """
    explanation = face.explanation
    assert explanation is not None, "there is no reason to test"
    changes = effects(pipeline, image, face, list(named(explanation)), explanation.concluded)
    return replace(face, explanation=replace(explanation, effects=changes))


def named(explanation: Explanation) -> Iterator[tuple[tuple[ActionUnit, ...], str]]:
    """The movements that a text names as there, in order, each once: action units named by one phrase go together."""
    done: set[ActionUnit] = set()
    for part in explanation.parts:
        true = [phrase for phrase in part.phrases if phrase.present and phrase.supported]
        for start in dict.fromkeys(phrase.start for phrase in true):
            units = tuple(sorted({phrase.unit for phrase in true if phrase.start == start} - done))
            if units:
                done.update(units)
                yield units, called(units)


def called(units: tuple[ActionUnit, ...]) -> str:
    """What moves, in words without a degree: "lifted lip corners"."""
    numbers = tuple(map(int, units))
    if numbers in MOVEMENTS:
        return MOVEMENTS[numbers].plain
    return " and ".join(MOVEMENTS[number,].plain for number in numbers)
