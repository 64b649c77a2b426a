"""Several data sets as one with the eight expressions, each shown equally often if wished.

The data step of SE-Swin (Vats and Chadha, 2023, arXiv:2301.10906), after a predecessor's hybrid of FER2013, CK+ and
AffectNet. There, classes were filled up before training towards T pictures: of each of the N(i) pictures of class i,
C(i) = T / N(i) + 1 versions (integer division), changed in brightness, rotation, scale, place and zoom, were written to
disk. So a class ends above T, up to 2T, and none is made smaller. Here a class has exactly T: rare ones repeat
pictures, frequent ones are drawn from. Nothing is written, and a repeat is the same picture: the training loop changes
every picture anew each time it shows it, so that repeats differ there, and differ again in the next epoch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mien.datasets.base import Sample
from mien.errors import InputError
from mien.facs.vocabulary import Expression

NO_EXPRESSION = -1


class Hybrid(Sequence[Sample]):
    """The samples of several data sets, one set after the other.

    datasets: by name. Each sample's `group` is that name, for results by data set; `source` and `subject` begin with
    it, so that no two sets share either.
    per_class: how many samples each expression has after balancing; None leaves all as they are. Every sample of a rare
    expression comes floor(per_class / N) times, and some, drawn without replacement, once more; of a frequent one
    per_class are drawn without replacement. A sample of votes counts under its largest, the first of equal ones;
    samples without an expression are left out. An expression that no set has stays without samples. Balance what
    trains, never what tests: there repeats would count as faces of their own and make intervals too narrow.
    seed: of the drawing; the same gives the same samples.
    repeats: (N,) how many times the same sample came before in this sequence, 0 for its first time.
    expressions: those of any of the sets.
    Balancing asks a data set for its `votes` or `labels`; one with neither is read once, picture by picture.
    """

    def __init__(self, datasets: Mapping[str, Sequence[Sample]], per_class: int | None = None, seed: int = 0) -> None:
        if not datasets:
            raise InputError("a hybrid is made of one data set or more")
        if per_class is not None and per_class < 1:
            raise InputError(f"per_class is {per_class}; every expression has one sample at least")
        self._datasets = dict(datasets)
        rows = [(name, i) for name, dataset in datasets.items() for i in range(len(dataset))]
        chosen = np.arange(len(rows))
        if per_class is not None:
            shown = np.concatenate([shown_expressions(dataset) for dataset in datasets.values()])
            chosen = balanced(shown, per_class, np.random.default_rng(seed))
        self._rows = [rows[i] for i in chosen]
        # `chosen` is in order, so the first time of a sample is where searching finds it.
        self.repeats: NDArray[np.intp] = np.arange(len(chosen)) - np.searchsorted(chosen, chosen)
        known = {e for dataset in datasets.values() for e in getattr(dataset, "expressions", tuple(Expression))}
        self.expressions = tuple(sorted(known))

    @classmethod
    def from_text(
        cls, text: str, split: str | None = None, *, kinds: Mapping[str, Callable[[str, str | None], Sequence[Sample]]]
    ) -> Self:
        """The hybrid that "ferplus=PATH,rafdb=PATH" names; "per_class=N" among them balances it.

        split: handed to every data set.   kinds: what opens a path and a split, by the name before "=".
        InputError for a part of another form, an unknown kind, or a kind named twice. No path may hold a comma.
        """
        datasets: dict[str, Sequence[Sample]] = {}
        options: dict[str, int] = {}
        for part in text.split(","):
            kind, _, value = part.strip().partition("=")
            if kind == "per_class" and value.isdecimal():
                options[kind] = int(value)
            elif kind in kinds and value and kind not in datasets:
                datasets[kind] = kinds[kind](value, split)
            else:
                twice = f"{kind} is named twice" if kind in datasets else f"{part!r} is no part of a hybrid"
                raise InputError(
                    f"{text!r}: {twice}; expected KIND=PATH,KIND=PATH with KIND one of {', '.join(kinds)}, each once, "
                    "and per_class=N to balance"
                )
        return cls(datasets, **options)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        name, row = self._rows[index]
        sample = self._datasets[name][row]
        subject = None if sample.subject is None else f"{name}:{sample.subject}"
        return replace(sample, group=name, subject=subject, source=f"{name}:{sample.source}")


def shown_expressions(dataset: Sequence[Sample]) -> NDArray[np.intp]:
    """(N,) the Expression of each sample, by its label or its largest vote; NO_EXPRESSION where that is none."""
    votes, labels = getattr(dataset, "votes", None), getattr(dataset, "labels", None)
    if votes is not None:
        return _largest(votes)
    if labels is None:
        labels = [s.expression if s.votes is None else _largest(s.votes[None])[0] for s in dataset]
    return np.array([NO_EXPRESSION if label is None else label for label in labels], np.intp)


def balanced(shown: NDArray[np.intp], per_class: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Rows in ascending order, per_class of each expression that `shown` holds, repeated or drawn as few as can be."""
    chosen = [np.zeros(0, np.intp)]
    for e in Expression:
        rows = np.flatnonzero(shown == e)
        if rows.size:
            times, rest = divmod(per_class, rows.size)
            chosen += [np.repeat(rows, times), rng.choice(rows, rest, replace=False)]
    return np.sort(np.concatenate(chosen))


def _largest(votes: NDArray[np.integer]) -> NDArray[np.intp]:
    """(N, 10) votes to (N,) the expression with most of them; NO_EXPRESSION for unknown, not a face, or no votes."""
    top = votes.argmax(axis=1)
    return np.where((votes.max(axis=1) > 0) & (top < len(Expression)), top, NO_EXPRESSION)
