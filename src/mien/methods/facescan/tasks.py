"""What a model can be tuned on and scored by: one question each, with a closed list of answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mien.datasets.base import Sample
from mien.datasets.people import FIVE, SIX, merged
from mien.errors import InputError
from mien.evaluation.protocols import majority
from mien.facs.vocabulary import Attribute, Expression


@dataclass(frozen=True)
class Task:
    """A question and its answers.

    merge: label of a data set to one of this task, where they differ.   labels: the answers.
    """

    name: str
    attribute: Attribute
    merge: Mapping[str, str] = field(default_factory=dict)

    @property
    def labels(self) -> tuple[str, ...]:
        """The answers there are."""
        return merged(self.attribute.labels, self.merge)

    def label(self, word: str | None) -> str | None:
        """The answer for a label of a data set; None for one that is coarser than this task, or none at all."""
        answer = None if word is None else self.merge.get(word, word)
        return answer if answer in self.labels else None


TASKS = {
    task.name: task
    for task in (
        Task("expression", Attribute.EXPRESSION),
        Task("age", Attribute.AGE),
        Task("gender", Attribute.GENDER),
        Task("race", Attribute.RACE),
        Task("race6", Attribute.RACE, SIX),
        Task("race5", Attribute.RACE, FIVE),
    )
}


def tasks(names: str) -> tuple[Task, ...]:
    """Parse tasks separated by commas; raise InputError for an unknown or repeated one, or two about one attribute."""
    chosen = [name.strip() for name in names.split(",")]
    unknown = [name for name in chosen if name not in TASKS]
    if unknown:
        raise InputError(f"there is no task {unknown[0]!r}; there are {', '.join(TASKS)}")
    tasks = tuple(TASKS[name] for name in chosen)
    if len({task.attribute for task in tasks}) < len(tasks):
        raise InputError(f"{names}: one question can have one list of answers; name one task for each attribute")
    return tasks


def labels_of(dataset: Sequence[Sample], task: Task) -> list[str | None]:
    """The answer for every sample; None where the data set knows none, or the sample is also in another split.

    Votes give the label that most annotators agree on, as mien evaluate has it. A data set is asked for its
    `attributes`, `labels` or `votes` as a whole; of one that has none of them, every sample is read once.
    """
    words = _expressions(dataset) if task.attribute is Attribute.EXPRESSION else _attributes(dataset, task.attribute)
    return [task.label(word) for word in words]


def _attributes(dataset: Sequence[Sample], attribute: Attribute) -> list[str | None]:
    known = getattr(dataset, "attributes", None)
    if known is None:
        known = [dataset[i].attributes for i in range(len(dataset))]
    return [labels.get(attribute) for labels in known]


def _expressions(dataset: Sequence[Sample]) -> list[str | None]:
    votes, labels = getattr(dataset, "votes", None), getattr(dataset, "labels", None)
    if getattr(dataset, "expressions", None) == ():
        return [None] * len(dataset)
    if votes is not None:
        twice = getattr(dataset, "duplicate", np.zeros(len(votes), bool))
        return [None if again else word for word, again in zip(_voted(votes), twice, strict=True)]
    if labels is not None:
        return [None if label is None else Expression(label).label for label in labels]
    return [_expression(dataset[i]) for i in range(len(dataset))]


def _expression(sample: Sample) -> str | None:
    if sample.duplicate:
        return None
    if sample.votes is not None:
        return _voted(sample.votes[None])[0]
    if sample.soft is not None:
        return Expression(int(sample.soft.argmax())).label
    return None if sample.expression is None else sample.expression.label


def _voted(votes: NDArray[np.integer]) -> list[str | None]:
    targets = majority(votes)
    tops = targets.values.argmax(axis=1)
    return [Expression(int(top)).label if kept else None for top, kept in zip(tops, targets.kept, strict=True)]
