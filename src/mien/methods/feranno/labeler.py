"""FERAnno: a small head on the generator's features of a face, and a vote with other classifiers.

A face is noised a little and passed through the generator once without an expression; a head reads the decoder's
features and the attention to each action unit. Needs only NumPy and ONNX Runtime.

Letters: N faces, S the side of a face, V voters.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.core.contract import Classifier, network_of, softmax
from mien.core.session import open_session
from mien.core.zoo import MODELS, load
from mien.errors import InputError, ModelError
from mien.facs.units import VECTOR
from mien.facs.vocabulary import Expression
from mien.methods.synfer.flow.sample import Conditions, Floats, Sampler, from_levels

# Time up to which a face is noised, and number of noises; their features are averaged.
TIME, NOISES = 0.05, 2
# Kind of model in the metadata.
KIND = "expression labeler on a face generator"
# Lowest mean probability for a new label from the vote.
SURE = 0.6
_BATCH = 32


class Seer:
    """Faces to the generator's features and its maps of attention to action units.

    units: model that estimates action units from the face for the generator: the requested ones would leak the label.
    """

    def __init__(self, generator: str | Path = "synfer", units: str | Path = "reader", threads: int = 1) -> None:
        self.generator = Sampler(generator, threads)
        data = load(units)
        self._units = Classifier(data, threads)
        # Recalibrating expressions does not change action units.
        self.units = network_of(data, self._units.contract)
        size = self.generator.about.size
        if self._units.contract.size != size:
            raise InputError(f"{units} reads faces of {self._units.contract.size} pixels, the generator has {size}")
        noises = [np.random.default_rng([0, i]).standard_normal((1, 1, size, size)) for i in range(NOISES)]
        self._noises = [np.asarray(noise, np.float32) for noise in noises]

    def __call__(self, crops: NDArray[np.uint8]) -> tuple[Floats, Floats]:
        """(N, S, S) uint8 faces -> features (N, F, 6, 6) and maps (N, M, 6, 6)."""
        parts = [self._see(crops[i : i + _BATCH]) for i in range(0, len(crops), _BATCH)]
        features, maps = (np.concatenate(column) for column in zip(*parts, strict=True))
        return features, maps

    def _see(self, crops: NDArray[np.uint8]) -> tuple[Floats, Floats]:
        units = self._units.answers(crops).action_units
        if units is None:
            raise ModelError("the model that is to estimate action units has no output for them")
        conditions = Conditions.nothing(len(crops))._replace(
            units=units, known=np.ones((len(crops), VECTOR), np.float32)
        )
        faces = from_levels(crops)
        seen = [
            self.generator.run(("features", "maps"), (1 - TIME) * faces + TIME * noise, TIME, conditions)
            for noise in self._noises
        ]
        features, maps = (np.stack(column).mean(axis=0) for column in zip(*seen, strict=True))
        return features, maps


class FerAnno:
    """The labeller: faces to probabilities.

    head: name in mien.core.zoo.MODELS, or file written by `mien export feranno`. Raise ModelError if it was trained
    with another generator or another model of action units.
    """

    def __init__(self, seer: Seer, head: str | Path = "feranno", threads: int = 1) -> None:
        data = load(head)
        self.sha256, self.size = hashlib.sha256(data).hexdigest(), seer.generator.about.size
        self._seer, self._session = seer, open_session(data, threads)
        meta: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
        if meta.get("kind") != KIND:
            raise ModelError(f"{head} is no {KIND}; `mien export feranno` writes one")
        for part, given in (("generator", seer.generator.sha256), ("units", seer.units)):
            if meta.get(part) != given:
                raise ModelError(
                    f"{head} reads what another {part} model saw ({meta.get(part, '')[:8]}, not {given[:8]}); give the "
                    "one that it was trained with"
                )

    def __call__(self, crops: NDArray[np.uint8]) -> Floats:
        """(N, S, S) uint8 faces -> (N, 8) probabilities."""
        features, maps = self._seer(crops)
        (logits,) = self._session.run(["logits"], {"features": features, "maps": maps})
        return softmax(logits)


@dataclass(frozen=True, eq=False)
class Verdict:
    """Result of a vote on a face.

    probabilities: (8,), their mean.   agreement: share of the voters whose own answer is the mean's. decision: "keep"
    the requested label, "relabel", or "drop".   answers: of each voter, by name.
    """

    probabilities: Floats
    agreement: float
    decision: str
    answers: Mapping[str, Expression]

    @property
    def label(self) -> Expression:
        """Most probable expression."""
        return Expression(int(self.probabilities.argmax()))


def vote(probabilities: Mapping[str, Floats], requested: Sequence[Expression | None]) -> list[Verdict]:
    """Return the verdict on each of N faces.

    probabilities: of each voter (N, 8).   requested: label that each face was made for or had; None for none. A face is
    kept if the mean confirms its label; else relabelled if the mean is above SURE, and dropped otherwise. The label is
    soft in both cases: the mean of the voters.
    """
    every = np.stack(list(probabilities.values()))  # (V, N, 8)
    mean, answers = every.mean(axis=0, dtype=np.float64), every.argmax(axis=2)
    verdicts = []
    for i, wanted in enumerate(requested):
        top = int(mean[i].argmax())
        decision = "keep" if wanted == top else "relabel" if mean[i, top] >= SURE else "drop"
        verdicts.append(
            Verdict(
                mean[i].astype(np.float32),
                float((answers[:, i] == top).mean()),
                decision,
                {name: Expression(int(a)) for name, a in zip(probabilities, answers[:, i], strict=True)},
            )
        )
    return verdicts


def experts() -> list[str]:
    """Return the installed classifiers, which vote beside FERAnno by default."""
    return [name for name, entry in MODELS.items() if entry.reads]


class Jury:
    """FERAnno and the classifiers that vote with it.

    experts: classifiers by name or file; do not use those that guided or judge the faces.
    """

    def __init__(self, labeler: FerAnno, experts: Sequence[str]) -> None:
        self._labeler = labeler
        self._experts = {Path(name).stem: Classifier(load(name)) for name in experts}
        if len(self._experts) < len(experts) or "feranno" in self._experts:
            raise InputError(f"voters go by the names of their files, and these do not differ: {', '.join(experts)}")
        for name, expert in self._experts.items():
            if expert.contract.size != labeler.size:
                raise InputError(f"{name} reads faces of {expert.contract.size} pixels, FERAnno of {labeler.size}")

    def __call__(self, crops: NDArray[np.uint8], requested: Sequence[Expression | None]) -> list[Verdict]:
        """(N, S, S) uint8 faces and their given labels -> N verdicts."""
        answers = {"feranno": self._labeler(crops)}
        answers |= {name: softmax(expert.logits(crops)) for name, expert in self._experts.items()}
        return vote(answers, requested)


def row(file: str, requested: Expression | None, verdict: Verdict) -> dict[str, object]:
    """Return a verdict as a row of a file of labels."""
    return {
        "file": file,
        "requested": None if requested is None else requested.label,
        "label": verdict.label.label,
        "label_soft": [round(float(p), 4) for p in verdict.probabilities],
        "label_source": "requested" if verdict.decision == "keep" else "vote",
        "agreement": round(verdict.agreement, 4),
        "decision": verdict.decision,
        "answers": {name: answer.label for name, answer in verdict.answers.items()},
    }


def counts(rows: Sequence[Mapping[str, object]]) -> dict[str, dict[str, int]]:
    """Count kept, relabelled, labelled and dropped faces for each requested expression, "none" and "all".

    A face without a requested expression is labelled, not relabelled.
    """
    total = {name: dict.fromkeys(("keep", "relabel", "label", "drop"), 0) for name in _names(rows)}
    for one in rows:
        decision = "label" if one["requested"] is None and one["decision"] == "relabel" else str(one["decision"])
        for name in (one["requested"] or "none", "all"):
            total[str(name)][decision] += 1
    return total


def _names(rows: Sequence[Mapping[str, object]]) -> Iterator[str]:
    present = {one["requested"] for one in rows}
    yield from (e.label for e in Expression if e.label in present)
    if None in present:
        yield "none"
    yield "all"


def to_line(one: Mapping[str, object]) -> str:
    """A row as one line of JSON."""
    return json.dumps(one, ensure_ascii=False) + "\n"
