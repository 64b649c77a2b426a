"""Which samples train and which test, and against what label: the vote rules of FERPlus, single labels elsewhere.

Vote arrays are (N, 10): the eight expressions, then "unknown" and "not a face". Every rule first removes single votes
(counts of one), as the reference reader of FERPlus does; what is left of a row is its *sum*.
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
# A soft label counts as the votes of so many people, so that the rules need not know of it.
_CROWD = 1_000_000


class Targets(NamedTuple):
    """What a rule makes of N rows.

    values: (N, 8) float32; each kept row sums to 1 (multi_target: 1 for every right class); dropped rows are zero.
    kept: (N,) bool.   reason: why each dropped row is dropped, "" for kept ones.
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
    # Drawn up to the sum itself, which rounding leaves a little off 1: beyond it lies a class without votes.
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
    """The samples of a dataset that a protocol keeps.

    samples: kept, in order, each picture as `select` was told to keep it.   targets: (n, 8) float32, a row a sample.
    protocol: its name, "single label" where the data have no votes.   dropped: how many rows went, by reason.
    """

    samples: list[Sample]
    targets: NDArray[np.float32]
    protocol: str
    dropped: dict[str, int]

    @property
    def labels(self) -> NDArray[np.int64]:
        """(n,) the largest target of each sample."""
        return np.asarray(self.targets.argmax(axis=1), np.int64)

    def needed(self, purpose: str) -> "Selection":
        """Itself; InputError, which says what no face is left to do, when it is empty."""
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
    """Apply a vote rule of RULES to every sample; one without votes or a soft label keeps its own single label.

    duplicates: False leaves out, uncounted, samples whose pixels also occur in another split.
    prepare: what to keep of each picture, such as its crop, so that large pictures need not stay in memory.
    A picture that cannot be read is dropped under its cause ("unreadable"); InputError for any other fault of the data.
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


def vote_shares(samples: Sequence[Sample]) -> NDArray[np.float32]:
    """(N, 8) shares of the votes left of each sample, or of its soft or single label; 0 where no expression is left."""
    return soft_votes(np.array([_votes(sample) for sample in samples]).reshape(-1, CLASSES + 2)).values


def folds(subjects: Sequence[str | None], count: int, seed: int = 0) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Subject-exclusive folds: (train, test) indices, `count` times, so that nobody is in both of a pair.

    subjects: of each sample; every subject is tested once. InputError when one is unknown, or there are fewer subjects
    than folds.
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
    """The sample's votes, those that its soft label stands for, or ten for its one label; none where it has neither."""
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
    """The columns that cross_entropy takes from one row, and why the row is dropped, if it is."""
    total = counts.sum()
    chosen: list[int] = []
    while counts[chosen].sum() < 0.75 * total and len(chosen) < 3:
        rest = np.delete(counts, chosen).max()
        # Columns with equal counts come together: to prefer one of them would be a coin toss.
        tied = [int(c) for c in np.flatnonzero(counts == rest) if c not in chosen]
        chosen += [c for c in tied if c < CLASSES]
        if tied[-1] >= CLASSES:
            break
    if not chosen:
        return chosen, ""  # led by unknown or NF, or no votes at all: _finish says which
    if counts[chosen].sum() <= total / 2:
        return chosen, "no majority"
    return chosen, "too many labels" if len(chosen) > 3 else ""


def _finish(values: NDArray[np.float64], top: NDArray[np.intp], reason: NDArray[np.object_]) -> Targets:
    """Drop rows led by unknown or NF and rows with a reason; normalise what is left over the eight expressions."""
    led_by = np.where(top == UNKNOWN, "unknown", np.where(top == NOT_A_FACE, "not a face", ""))
    reason = np.where(reason == "", led_by, reason)
    faces = values[:, :CLASSES]
    total = faces.sum(axis=1, keepdims=True)
    kept = (reason == "") & (total[:, 0] > 0)
    reason = np.where((reason == "") & ~kept, "no votes", reason)
    values = np.where(kept[:, None], faces / np.where(total > 0, total, 1), 0)
    return Targets(values.astype(np.float32), kept, [str(r) for r in reason])
