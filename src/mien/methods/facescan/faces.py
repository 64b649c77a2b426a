"""What a provider answers about labelled faces, one by one: the tables of the paper, a row a class."""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.core.detect import whole_picture
from mien.core.pipeline import Pipeline
from mien.datasets.base import Sample
from mien.errors import InputError
from mien.evaluation import metrics
from mien.evaluation.intervals import bootstrap, percentile_interval
from mien.evaluation.result import Result
from mien.methods.facescan.benchmark import Metered
from mien.methods.facescan.prompts import prompt, user_text
from mien.methods.facescan.scan import FaceScanner
from mien.methods.facescan.tasks import Task, labels_of
from mien.providers.base import Message, Picture, Provider
from mien.results.scan import AnswerStatus

Floats = NDArray[np.floating]
Watch = Callable[[Sequence[int]], Iterable[int]]


def measure(
    dataset: Sequence[Sample],
    task: Task,
    provider: Provider,
    *,
    wording: str | None = None,
    limit: int = 0,
    pipeline: Pipeline | None = None,
    resamples: int = 2000,
    seed: int = 0,
    watch: Watch = lambda rows: rows,
) -> Result:
    """Accuracy, and precision, recall and F1 of each class and on average, with 95 % intervals over faces.

    Every picture is one face; without a usable answer it counts as wrong. limit: so many faces only, drawn; 0 for all.
    wording: of the question.   seed: of the drawing, the bootstrap and the order in which labels are offered.
    pipeline: reads beside.   watch: shows how far it is.   InputError for data without labels of the task.
    """
    labels = labels_of(dataset, task)
    known = np.flatnonzero([label is not None for label in labels])
    if not len(known):
        raise InputError(f"the data have no label for {task.name}; its labels are {', '.join(task.labels)}")
    rows = np.sort(np.random.default_rng(seed).permutation(known)[: limit or None]).tolist()
    metered, statuses, answers = Metered(provider), Counter[str](), []
    ask = _asker(task, metered, wording, pipeline, seed)
    for row in watch(rows):
        answer, status = ask(dataset[row].image, row)
        answers.append(answer)
        statuses[status.value] += 1
    truth = np.array([task.labels.index(labels[row] or "") for row in rows])
    predicted = np.array([len(task.labels) if answer is None else task.labels.index(answer) for answer in answers])
    return {
        "measure": f"{task.name} of faces one by one",
        "provider": provider.name,
        "model": provider.model,
        "task": task.name,
        "dropped": len(labels) - len(known),
        **table(truth, predicted, task.labels, resamples=resamples, seed=seed),
        "statuses": dict(statuses),
        "latency_ms_a_face": 1000 * metered.seconds / len(rows),
        "resamples": resamples,
        "seed": seed,
    }


Ask = Callable[[NDArray[np.uint8], int], tuple[str | None, AnswerStatus]]


def _asker(task: Task, provider: Metered, wording: str | None, pipeline: Pipeline | None, seed: int) -> Ask:
    """What asks about one picture: a provider that ranks for this task's own labels, any other as in a scan."""
    if not provider.ranks:
        read = (pipeline or Pipeline()).read
        alone = Pipeline(detect=whole_picture, read=read)

        def scanned(image: NDArray[np.uint8], row: int) -> tuple[str | None, AnswerStatus]:
            scan = FaceScanner(provider, [task.attribute], wording=wording, seed=seed + row, pipeline=alone)
            (face,) = scan(image).faces
            assert face.attributes is not None
            answer = face.attributes.answers[task.attribute]
            return task.label(answer.value), answer.status

        return scanned
    chosen = prompt(wording or "choice-1", ["choice"])

    def ranked(image: NDArray[np.uint8], row: int) -> tuple[str | None, AnswerStatus]:
        order = random.Random(seed + row).sample(task.labels, len(task.labels))
        asked = [Message("user", user_text(chosen, {task.attribute: order}))]
        (face,) = whole_picture(image)
        completion = provider.complete(asked, [Picture(image, face)], choices=order)
        if completion.failure is not None:
            return None, completion.failure
        answer = task.label(completion.text)
        return answer, AnswerStatus.CANNOT_TELL if answer is None else AnswerStatus.OK

    return ranked


def table(
    truth: NDArray[np.integer], predicted: NDArray[np.integer], labels: Sequence[str], *, resamples: int, seed: int
) -> Result:
    """The scores of N answers.   truth: (N,) places in labels.   predicted: likewise, and len(labels) for no answer."""
    count = len(labels)
    tally = np.zeros((len(truth), count + 1, count + 1), np.float32)
    tally[np.arange(len(truth)), truth, predicted] = 1
    confusion, many = tally.sum(axis=0), bootstrap(tally, resamples, seed)
    there = confusion.sum(axis=1)[:count] > 0
    each = {name: (of(confusion)[:count], of(many)[:, :count]) for name, of in _OF_CLASS.items()}
    return {
        "n": len(truth),
        "accuracy": _interval(metrics.accuracy(confusion), metrics.accuracy(many)),
        **{f"macro_{name}": _interval(v[there].mean(), np.nanmean(m[:, there], 1)) for name, (v, m) in each.items()},
        "classes": {
            label: {"n": int(confusion[i].sum())} | {name: _interval(v[i], m[:, i]) for name, (v, m) in each.items()}
            for i, label in enumerate(labels)
            if there[i]
        },
        "labels": list(labels),
        "confusion": confusion[:count].astype(int).tolist(),
    }


def _precision(confusion: Floats) -> Floats:
    """0 for a class that is never answered."""
    predicted = confusion.sum(axis=-2)
    return np.asarray(np.diagonal(confusion, axis1=-2, axis2=-1) / np.maximum(predicted, 1))


def _f1(confusion: Floats) -> Floats:
    either = confusion.sum(axis=-1) + confusion.sum(axis=-2)
    return np.asarray(2 * np.diagonal(confusion, axis1=-2, axis2=-1) / np.maximum(either, 1))


_OF_CLASS: dict[str, Callable[[Floats], Floats]] = {"precision": _precision, "recall": metrics.recall, "f1": _f1}


def _interval(value: Any, values: Floats) -> dict[str, float]:
    low, high = percentile_interval(values)
    return {"value": float(value), "low": float(low), "high": float(high)}
