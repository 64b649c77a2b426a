"""Protocols: from votes to labels. The vote rules of FERPlus; single labels elsewhere.

Vote arrays are (N, 10): the eight expressions, then "unknown" and "not a face". Every rule first removes single votes
(counts of one), as the reference implementation of FERPlus does; the rest of a row adds up to its *sum*.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mien.datasets.base import Sample
from mien.errors import InputError
from mien.facs.vocabulary import Expression

CLASSES = len(Expression)
UNKNOWN, NOT_A_FACE = CLASSES, CLASSES + 1
_CANNOT_BE_READ = ("unreadable", "missing", "too_large")
# A soft label counts as the votes of this many people, so that the rules apply to it.
_CROWD = 1_000_000


class Targets(NamedTuple):
    """Targets of N rows under a rule.

    values: (N, 8) float32; each kept row sums to 1 (multi_target: 1 for every right class); dropped rows are zero.
    kept: (N,) bool.   reason: reason for dropping each row, "" for kept ones.
    """

    values: NDArray[np.float32]
    kept: NDArray[np.bool_]
    reason: list[str]


def without_single_votes(votes: NDArray[np.integer]) -> NDArray[np.float64]:
    """(N, 10) votes as floats, every count of one set to zero."""
    return np.where(votes > 1, votes, 0).astype(np.float64)


def majority(votes: NDArray[np.integer]) -> Targets:
    """One-hot: the largest column if it holds more than half of the sum. Accuracy is reported against it."""
    left = without_single_votes(votes)
    top = left.argmax(axis=1)
    clear = left.max(axis=1) > left.sum(axis=1) / 2
    values = np.eye(CLASSES + 2)[top]
    return _finish(values, top, np.where(clear, "", "no majority"))


def cross_entropy(votes: NDArray[np.integer]) -> Targets:
    """The shares of the largest columns, down to 75 % of the sum, at most three, stopping at unknown or NF."""
    left = without_single_votes(votes)
    values = np.zeros_like(left)
    reason = np.full(len(left), "", dtype=object)
    for row, counts in enumerate(left):
        chosen, reason[row] = _largest(counts)
        values[row, chosen] = counts[chosen]
    return _finish(values, left.argmax(axis=1), reason)


def probability(votes: NDArray[np.integer], rng: np.random.Generator) -> Targets:
    """One-hot, drawn from the cross_entropy target: a new draw for each epoch."""
    targets = cross_entropy(votes)
    # Draw up to the sum, which rounding leaves slightly off 1: above it lies a class without votes.
    heights = targets.values.cumsum(axis=1, dtype=np.float64)
    drawn = (heights > rng.random((len(votes), 1)) * heights[:, -1:]).argmax(axis=1)
    onehot = np.eye(CLASSES, dtype=np.float32)[drawn] * targets.kept[:, None]
    return Targets(onehot.astype(np.float32), targets.kept, targets.reason)


def multi_target(votes: NDArray[np.integer]) -> Targets:
    """1 for every expression with at least 30 % of the sum; a prediction of any of them is right."""
    left = without_single_votes(votes)
    many = left >= np.maximum(0.3 * left.sum(axis=1, keepdims=True), 1e-9)
    held = (left * many).sum(axis=1) > left.sum(axis=1) / 2
    targets = _finish(many.astype(float), left.argmax(axis=1), np.where(held, "", "too many labels"))
    return Targets((targets.values > 0).astype(np.float32), targets.kept, targets.reason)


def soft_votes(votes: NDArray[np.integer]) -> Targets:
    """All votes but single ones, normalised over the expressions; kept where the largest column is an expression.

    What mien trains on.
    """
    left = without_single_votes(votes)
    return _finish(left, left.argmax(axis=1), np.full(len(left), "", dtype=object))


RULES = {"majority": majority, "cross-entropy": cross_entropy, "multi-target": multi_target, "soft-votes": soft_votes}


@dataclass(frozen=True, eq=False)
class Selection:
    """Samples of a data set that a protocol keeps.

    samples: in order, each picture as prepared by `select`.   targets: (n, 8) float32, one row per sample. protocol:
    its name, "single label" for data without votes.   dropped: number of dropped rows, by reason.
    """

    samples: list[Sample]
    targets: NDArray[np.float32]
    protocol: str
    dropped: dict[str, int]

    @property
    def labels(self) -> NDArray[np.int64]:
        """(n,) largest target of each sample."""
        return np.asarray(self.targets.argmax(axis=1), np.int64)

    def needed(self, purpose: str) -> "Selection":
        """Return self; raise InputError if empty.   purpose: what the faces are for, for the error."""
        if not self.samples:
            raise InputError(f"no face is left to {purpose}; dropped: {self.dropped or 'none, the data are empty'}")
        return self


def select(
    dataset: Sequence[Sample],
    protocol: str = "majority",
    *,
    duplicates: bool = True,
    prepare: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] = lambda image: image,
) -> Selection:
    """Apply a vote rule of RULES to each sample; one without votes or a soft label keeps its single label.

    duplicates: False leaves out, uncounted, samples whose pixels also occur in another split. prepare: what to keep of
    each picture, such as its crop, so that large pictures need not stay in memory. A picture that cannot be read is
    dropped with its reason ("unreadable"); raise InputError for other faults of the data.
    """
    if protocol not in RULES:
        raise InputError(f"there is no protocol {protocol!r}; the rules are {', '.join(RULES)}")
    samples: list[Sample] = []
    values: list[NDArray[np.float32]] = []
    dropped: Counter[str] = Counter()
    voted = False
    for index in range(len(dataset)):
        try:
            sample = dataset[index]
        except InputError as error:
            if error.status not in _CANNOT_BE_READ:
                raise
            dropped[error.status] += 1
            continue
        if sample.duplicate and not duplicates:
            continue
        voted |= sample.votes is not None or sample.soft is not None
        targets = RULES[protocol](_votes(sample)[None])
        if targets.reason[0]:
            labelled = any(given is not None for given in (sample.votes, sample.soft, sample.expression))
            dropped[targets.reason[0] if labelled else "no label"] += 1
        else:
            samples.append(replace(sample, image=prepare(sample.image)))
            values.append(targets.values[0])
    name = protocol if voted or not samples else "single label"
    return Selection(samples, np.array(values, np.float32).reshape(-1, CLASSES), name, dict(sorted(dropped.items())))


def readable_faces(dataset: Sequence[Sample], prepare: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> Selection:
    """Return the faces to calibrate vote shares on: led by an expression, and in no other split.

    prepare: see select. Raise InputError if no face is left.
    """
    return select(dataset, "soft-votes", duplicates=False, prepare=prepare).needed("calibrate on")


def vote_shares(samples: Sequence[Sample]) -> NDArray[np.float32]:
    """(N, 8) shares of the remaining votes, or of the soft or single label; 0 if none is an expression."""
    return soft_votes(np.array([_votes(sample) for sample in samples]).reshape(-1, CLASSES + 2)).values


def folds(subjects: Sequence[str | None], count: int, seed: int = 0) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Return `count` subject-exclusive folds of (train, test) indices: nobody is in both.

    subjects: of each sample; each subject is tested once. Raise InputError if one is unknown, or if there are fewer
    subjects than folds.
    """
    unknown = [i for i, subject in enumerate(subjects) if subject is None]
    if unknown:
        raise InputError(f"sample {unknown[0]} names no subject, so folds cannot keep people apart")
    people = np.unique(np.array(subjects, str))
    if not 2 <= count <= len(people):
        raise InputError(f"{count} folds need at least 2 folds and as many subjects, of which there are {len(people)}")
    fold_of = dict(
        zip(np.random.default_rng(seed).permutation(people).tolist(), np.arange(len(people)) % count, strict=True)
    )
    fold = np.array([fold_of[str(subject)] for subject in subjects])
    return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(count)]


def _votes(sample: Sample) -> NDArray[np.integer]:
    """Return the sample's votes, those of its soft label, or ten for its single label; none if it has neither."""
    if sample.votes is not None:
        return sample.votes
    votes = np.zeros(CLASSES + 2, np.int64)
    if sample.soft is not None:
        votes[:CLASSES] = np.round(_CROWD * sample.soft.astype(np.float64))
        return votes
    if sample.expression is not None:
        votes[sample.expression] = 10
    return votes


def _largest(counts: NDArray[np.float64]) -> tuple[list[int], str]:
    """Return the columns that cross_entropy takes from a row, and the reason if the row is dropped."""
    total = counts.sum()
    chosen: list[int] = []
    while counts[chosen].sum() < 0.75 * total and len(chosen) < 3:
        rest = np.delete(counts, chosen).max()
        # Columns with equal counts are taken together; choosing one would be arbitrary.
        tied = [int(c) for c in np.flatnonzero(counts == rest) if c not in chosen]
        chosen += [c for c in tied if c < CLASSES]
        if tied[-1] >= CLASSES:
            break
    if not chosen:
        return chosen, ""  # led by unknown or NF, or no votes; _finish records which
    if counts[chosen].sum() <= total / 2:
        return chosen, "no majority"
    return chosen, "too many labels" if len(chosen) > 3 else ""


def _finish(values: NDArray[np.float64], top: NDArray[np.intp], reason: NDArray[np.object_]) -> Targets:
    """Drop rows led by unknown or NF and rows with a reason; normalize the rest over the eight expressions."""
    led_by = np.where(top == UNKNOWN, "unknown", np.where(top == NOT_A_FACE, "not a face", ""))
    reason = np.where(reason == "", led_by, reason)
    faces = values[:, :CLASSES]
    total = faces.sum(axis=1, keepdims=True)
    kept = (reason == "") & (total[:, 0] > 0)
    reason = np.where((reason == "") & ~kept, "no votes", reason)
    values = np.where(kept[:, None], faces / np.where(total > 0, total, 1), 0)
    return Targets(values.astype(np.float32), kept, [str(r) for r in reason])
