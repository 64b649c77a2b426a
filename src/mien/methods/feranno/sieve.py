"""Draw a face again until people could read it and FERAnno sees the requested expression. Needs no torch.

Letters: N faces, S the side of a face.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mien.core.contract import Classifier
from mien.core.zoo import load
from mien.errors import InputError, ModelError
from mien.facs.observation import is_unclear
from mien.facs.vocabulary import Expression
from mien.methods.feranno.labeler import FerAnno, Seer
from mien.methods.synfer.flow.requests import Request


class Checked(NamedTuple):
    """A drawn face: the share of people who could read it, and the probability of its request by FERAnno.

    agrees: whether the requested expression is FERAnno's first; true without a request, whose probability is 1.
    """

    readability: float
    probability: float
    agrees: bool

    @property
    def passed(self) -> bool:
        """Whether the face is readable and FERAnno agrees."""
        return self.agrees and not is_unclear(self.readability)

    @property
    def score(self) -> tuple[bool, float]:
        """Order of faces: those that pass first, then by readability times probability."""
        return self.passed, self.readability * self.probability


Check = Callable[[NDArray[np.uint8], Sequence[Expression | None]], list[Checked]]
Draw = Callable[[Sequence[Request]], NDArray[np.uint8]]


class Sieve:
    """The shipped reader and FERAnno, asked about (N, S, S) uint8 faces.   reader: must answer readability."""

    def __init__(self, reader: str = "reader", head: str = "feranno") -> None:
        self._reader, self._labeler = Classifier(load(reader)), FerAnno(Seer(), head)

    def __call__(self, crops: NDArray[np.uint8], requested: Sequence[Expression | None]) -> list[Checked]:
        """Return what is found about N faces."""
        if crops.shape[1:] != (self._labeler.size,) * 2:
            raise InputError(
                f"the check of faces reads gray ones of {self._labeler.size} pixels, not {crops.shape[1:]}; "
                "--tries 1 leaves it out"
            )
        readability = self._reader.answers(crops).readability
        if readability is None:
            raise ModelError("the reader that checks faces has no output for readability")
        return [
            Checked(float(r), 1.0 if e is None else float(p[e]), e is None or int(p.argmax()) == e)
            for r, p, e in zip(readability, self._labeler(crops), requested, strict=True)
        ]


def sifted(
    draw: Draw, requests: Sequence[Request], check: Check, tries: int
) -> tuple[NDArray[np.uint8], list[dict[str, object]]]:
    """Return the first face of each request that passes, else its best, and an entry on each.

    tries: most draws of a face, each from other noise. An entry has `drawn`, the number of draws, `passed`, and the
    readability and FERAnno's probability of the face that is returned.
    """
    best: dict[int, tuple[Checked, NDArray[np.uint8]]] = {}
    drawn = [0] * len(requests)
    for attempt in range(tries):
        left = [i for i in range(len(requests)) if i not in best or not best[i][0].passed]
        if not left:
            break
        faces = draw([replace(requests[i], attempt=attempt) for i in left])
        for i, face, found in zip(left, faces, check(faces, [requests[i].expression for i in left]), strict=True):
            drawn[i] += 1
            if i not in best or found.score > best[i][0].score:
                best[i] = found, face
    every = [best[i] for i in range(len(requests))]
    entries: list[dict[str, object]] = [
        {
            "drawn": count,
            "passed": found.passed,
            "readability": round(found.readability, 3),
            "feranno": round(found.probability, 3),
        }
        for (found, _), count in zip(every, drawn, strict=True)
    ]
    return np.stack([face for _, face in every]), entries


def told(rows: Sequence[Mapping[str, object]], tries: int) -> str:
    """Return a sentence or two on the draws of a folder's faces."""
    draws = sum(int(str(row["drawn"])) for row in rows)
    text = f"drew {draws} faces for {len(rows)}, {draws / len(rows):.1f} for one."
    failed = Counter(str(row["requested"] or "no expression") for row in rows if not row["passed"])
    if not failed:
        return text
    named = ", ".join(f"{name} {count}" for name, count in failed.items())
    return (
        f"{text} {failed.total()} passed in none of {tries} draws ({named}): unreadable, or FERAnno sees another "
        'expression; the best draw of each is kept, with "passed": false in meta.jsonl'
    )
