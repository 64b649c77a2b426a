"""What a provider answers about the people of FER-Rows, and about each of them alone.

Letters: R rows, P people in each.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.core.detect import whole_picture
from mien.core.pipeline import Pipeline
from mien.errors import InputError
from mien.evaluation import metrics
from mien.evaluation.intervals import bootstrap, percentile_interval, wilson_interval
from mien.evaluation.result import Result
from mien.facs.vocabulary import Attribute, Expression, expression
from mien.methods.facescan.match import match
from mien.methods.facescan.parse import ParsedPerson
from mien.methods.facescan.rows import FerRows, Row, split
from mien.methods.facescan.scan import FaceScanner
from mien.providers.base import Completion, Message, Picture, Provider
from mien.results.face import ImageReport
from mien.results.scan import AnswerStatus, Attributes

SYSTEMS = {
    "splitter": "the black between the faces tells them apart, and each is asked about alone",
    "detector": "mien's own detector finds the faces, and each is asked about alone",
    "one-prompt": "one question about all people of a row",
    "target": "one question a row, about the one person described",
}
NONE = len(Expression)  # stands for an answer without a label
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")
_ANSWERED = (AnswerStatus.OK, AnswerStatus.REPAIRED, AnswerStatus.CANNOT_TELL)
Ints = NDArray[np.int64]
Watch = Callable[[Sequence[Row], str], Iterable[Row]]


@dataclass(frozen=True, eq=False)
class RowAnswers:
    """The answers about the people of all rows.

    answers: (R, P) in Expression order, NONE without a usable label.
    matched: (R, P) whether an answer could be assigned to the person.
    counts: (R,) how many people there are, according to the answer.   statuses: how many answers of each kind.
    """

    answers: Ints
    matched: NDArray[np.bool_]
    counts: Ints
    statuses: Mapping[str, int]


class Metered:
    """A provider that adds up its seconds and, where it says how many, tokens."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self.name, self.model, self.ranks = provider.name, provider.model, provider.ranks
        self.seconds, self.tokens = 0.0, 0

    def complete(
        self,
        messages: Sequence[Message],
        images: Sequence[Picture],
        json_schema: Mapping[str, Any] | None = None,
        choices: Sequence[str] | None = None,
    ) -> Completion:
        """See Provider."""
        start = time.perf_counter()
        completion = self._provider.complete(messages, images, json_schema, choices)
        self.seconds += time.perf_counter() - start
        self.tokens += sum(completion.usage.get(kind, 0) for kind in ("prompt_tokens", "completion_tokens"))
        return completion


def measure(
    bench: FerRows,
    provider: Provider,
    systems: Sequence[str] = ("splitter", "detector"),
    *,
    wording: str | None = None,
    pipeline: Pipeline | None = None,
    resamples: int = 2000,
    seed: int = 0,
    watch: Watch = lambda rows, _: rows,
) -> Result:
    """Accuracy of each face alone, then of each of SYSTEMS named, with 95 % intervals from a bootstrap over rows.

    wording: of the question about one face.   pipeline: detects and reads.   seed: of the bootstrap and of the order in
    which labels are offered, the same for a face alone and in its row.   watch: shows how far it is.
    """
    if unknown := [name for name in systems if name not in SYSTEMS]:
        raise InputError(f"there is no system {unknown[0]!r}; there are {', '.join(SYSTEMS)}")
    asker = _Asker(bench, provider, wording, pipeline or Pipeline(), seed, watch)
    labels = np.array([[face.expression for face in row.faces] for row in bench.rows], np.int64)
    options = {"resamples": resamples, "seed": seed}
    alone, effort = asker.alone()
    own = _tally(labels, alone.answers)
    result: Result = {
        "measure": "FER-Rows: the expression of every person in a row, and of the same faces one by one",
        "provider": provider.name,
        "model": provider.model,
        "made_of": dict(bench.about),
        "people": int(labels.size),
        "alone": _plain(own, **options) | {"statuses": dict(alone.statuses)} | effort,
        "systems": {},
    }
    for name in systems:
        if name == "target":
            result["systems"][name] = asker.targets(**options)
            continue
        row_answers, effort = asker.rows(name)
        result["systems"][name] = _scores(labels, row_answers, own, **options) | effort
    return result | options


class _Asker:
    """Asks about the rows of a benchmark in one way after the other."""

    def __init__(
        self, bench: FerRows, provider: Provider, wording: str | None, pipeline: Pipeline, seed: int, watch: Watch
    ) -> None:
        self.bench, self.provider, self.wording, self.seed, self.watch = bench, provider, wording, seed, watch
        self.pipelines = {
            "alone": Pipeline(detect=whole_picture, read=pipeline.read),
            "splitter": Pipeline(detect=split, read=pipeline.read),
            "detector": pipeline,
        }

    def _scanner(self, provider: Provider, system: str, seed: int) -> FaceScanner:
        together = system in ("one-prompt", "target")
        return FaceScanner(
            provider,
            wording=None if together else self.wording,
            together=together,
            seed=self.seed + seed,
            pipeline=self.pipelines.get(system, self.pipelines["splitter"]),
        )

    def alone(self) -> tuple[RowAnswers, Result]:
        """Each face as the data have it."""
        provider, statuses, answers = Metered(self.provider), Counter[str](), []
        for number, row in enumerate(self.watch(self.bench.rows, "alone")):
            for place, face in enumerate(row.faces):
                scanner = self._scanner(provider, "alone", number * len(row.faces) + place)
                (report,) = scanner(face.picture).faces
                assert report.attributes is not None
                answers.append(_label(report.attributes))
                statuses[report.attributes.status.value] += 1
        labels = np.array(answers, np.int64).reshape(len(self.bench.rows), -1)
        whole = np.ones(labels.shape, bool)
        return RowAnswers(labels, whole, whole.sum(axis=1), statuses), _effort(provider, labels.size)

    def rows(self, system: str) -> tuple[RowAnswers, Result]:
        """All people of each row."""
        provider, answers, statuses, counts = Metered(self.provider), [], [], []
        for number, row in enumerate(self.watch(self.bench.rows, system)):
            report = self._scanner(provider, system, number * len(row.faces))(row.picture)
            labels, row_statuses = _in_row(row, report)
            answers.append(labels)
            statuses.append(row_statuses)
            counts.append(_count(report, together=system == "one-prompt"))
        matched = np.array([[status != AnswerStatus.MISSED for status in row_statuses] for row_statuses in statuses])
        tally = Counter(status for row_statuses in statuses for status in row_statuses)
        row_answers = RowAnswers(np.array(answers, np.int64), matched, np.array(counts, np.int64), tally)
        return row_answers, _effort(provider, matched.size)

    def targets(self, resamples: int, seed: int) -> Result:
        """One person of each row, described by place or by the colour of the frame in turn."""
        provider, statuses, hits = Metered(self.provider), Counter[str](), []
        for number, row in enumerate(self.watch(self.bench.rows, "target")):
            face = row.faces[number % len(row.faces)]
            report = self._scanner(provider, "target", number * len(row.faces))(row.picture, described(row, number))
            answered = [f.attributes for f in report.faces if f.attributes is not None] + list(report.unmatched)
            hits.append(len(answered) == 1 and _label(answered[0]) == face.expression)
            statuses[(answered[0].status if answered else AnswerStatus.MISSED).value] += 1
        right = np.array(hits, np.float64)
        exact = _interval(right.mean(), bootstrap(right, resamples, seed) / len(right))
        return {"exact_match": exact, "statuses": dict(statuses)} | _effort(provider, len(right))


def described(row: Row, number: int) -> str:
    """The words for the person that row `number` is asked about: its place, and if there are frames every other time
    the colour of its frame."""
    place = number % len(row.faces)
    color = row.faces[place].frame
    # The place repeats after P rows, so it is the round that alternates: every place is described both ways.
    if color is not None and number // len(row.faces) % 2:
        return f"the person in the {color} frame"
    return f"the {_ORDINALS[place]} person from the left"


def _in_row(row: Row, report: ImageReport) -> tuple[list[int], list[str]]:
    """The answer about each face of the row, and its status; NONE and missed where there is none."""
    height, width = report.size
    answered = [face for face in report.faces if face.attributes is not None]
    shares = [tuple((face.box / [width, height, width, height]).tolist()) for face in answered]
    place_of = match([ParsedPerson({}, box) for box in shares], row.boxes, report.size)
    answers, statuses = [NONE] * len(row.faces), [AnswerStatus.MISSED.value] * len(row.faces)
    for number, place in place_of.items():
        attributes = answered[number].attributes
        assert attributes is not None
        answers[place], statuses[place] = _label(attributes), attributes.status.value
    return answers, statuses


def _count(report: ImageReport, together: bool) -> int:
    """Return the number of people: of detected faces if asked one by one, else of people in the answer."""
    if not together:
        return len(report.faces)
    statuses = [face.attributes.status for face in report.faces if face.attributes is not None]
    if not any(status in _ANSWERED for status in statuses):
        return len(report.unmatched) if set(statuses) == {AnswerStatus.MISSED} else 0
    return sum(status is not AnswerStatus.MISSED for status in statuses) + len(report.unmatched)


def _label(attributes: Attributes) -> int:
    value = attributes.answers[Attribute.EXPRESSION].value
    return NONE if value is None else int(expression(value))


def _effort(provider: Metered, people: int) -> Result:
    tokens = {"tokens_a_person": provider.tokens / people} if provider.tokens else {}
    return {"latency_ms_a_person": 1000 * provider.seconds / people} | tokens


def _tally(labels: Ints, answers: Ints) -> NDArray[np.float32]:
    """(R, 9, 9): the confusion matrix of each row; the last column is no answer, and no face has the last label."""
    tally = metrics.confusion_tally(labels.ravel(), np.eye(NONE + 1)[answers.ravel()])
    return np.asarray(tally.reshape(*labels.shape, NONE + 1, NONE + 1).sum(axis=1))


def _plain(confusions: NDArray[np.float32], resamples: int, seed: int) -> Result:
    whole, many = confusions.sum(axis=0), bootstrap(confusions, resamples, seed)
    counts, hits = metrics.samples(whole), np.diagonal(whole)
    recall = {}
    for e in Expression:
        if counts[e]:
            low, high = wilson_interval(float(hits[e]), float(counts[e]))
            recall[e.label] = {"value": float(hits[e] / counts[e]), "low": low, "high": high, "n": int(counts[e])}
    scores = {name: _interval(of(whole), of(many)) for name, of in _METRICS.items()}
    return scores | {"recall": recall, "confusion": whole[:-1].astype(int).tolist()}


_METRICS = {"accuracy": metrics.accuracy, "macro_f1": metrics.macro_f1}


def _scores(labels: Ints, row_answers: RowAnswers, alone: NDArray[np.float32], resamples: int, seed: int) -> Result:
    confusions, people = _tally(labels, row_answers.answers), labels.shape[1]
    right = row_answers.answers == labels
    # Bootstraps with the same seed draw the same rows, so that differences are of the same people.
    drawn, other = (bootstrap(tally, resamples, seed) for tally in (confusions, alone))
    plain = _plain(confusions, resamples, seed)
    counts = np.stack([right.sum(axis=1), row_answers.matched.sum(axis=1)], axis=1).astype(np.float64)  # (R, 2)
    hits, matched = counts.sum(axis=0)
    many = bootstrap(counts, resamples, seed)
    less = metrics.accuracy(confusions.sum(axis=0)) - metrics.accuracy(alone.sum(axis=0))
    places = right.mean(axis=0)
    by_place = bootstrap(right.astype(np.float64), resamples, seed) / len(right)
    counted = int((row_answers.counts == people).sum())
    low, high = wilson_interval(counted, len(labels))
    return {
        "count_accuracy": {"value": counted / len(labels), "low": low, "high": high},
        "matched": _interval(matched / labels.size, many[:, 1] / labels.size),
        "strict_accuracy": plain.pop("accuracy"),
        "strict_less_alone": _interval(less, metrics.accuracy(drawn) - metrics.accuracy(other)),
        "accuracy_among_matched": _interval(hits / max(matched, 1), many[:, 0] / np.maximum(many[:, 1], 1)),
        **plain,
        "by_place": {
            place: _interval(value, by_place[:, i])
            for i, (place, value) in enumerate(zip(_ORDINALS, places, strict=False))
        },
        "statuses": dict(row_answers.statuses),
    }


def _interval(value: Any, values: NDArray[np.floating]) -> dict[str, float]:
    low, high = percentile_interval(values)
    return {"value": float(value), "low": float(low), "high": float(high)}
