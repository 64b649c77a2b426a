"""How well the embedded model reads faces, and whether what it writes is about the face or about the label.

Letters: N faces, R bootstrap resamples, U action units.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.core.align import crop
from mien.core.contract import Answers, Contract
from mien.core.pipeline import Pipeline
from mien.datasets.base import Sample
from mien.datasets.pseudo_labels import PseudoLabels
from mien.errors import InputError
from mien.evaluation.intervals import bootstrap, percentile_interval, wilson_interval
from mien.evaluation.protocols import Selection, select, soft_votes
from mien.evaluation.result import Result
from mien.evaluation.scoring import evaluate as evaluate_labels
from mien.facs.observation import Observation
from mien.facs.rest import above
from mien.facs.units import BANDS, PRESENT, ActionUnits, band
from mien.facs.vocabulary import ActionUnit, Expression
from mien.methods.expllm.engine import rules as engine
from mien.methods.expllm.engine.chain import Sections
from mien.methods.expllm.engine.llm import expressions_in
from mien.methods.expllm.engine.parse import parse
from mien.methods.expllm.small.generate import MODES, Label, Written
from mien.methods.expllm.small.tokenizer import LABELS
from mien.results.explanation import Mode
from mien.results.face import FaceReport

Image = NDArray[np.uint8]
Floats = NDArray[np.floating]
Halves = dict[str, tuple[int, int]]

# Below this share of the crop's height, counted from above, lies the mouth half: just under the nose of the mean face.
MIDDLE = 0.59
HALVES = {"eyes": (1, 2, 4, 5, 6, 7, 43), "mouth": (10, 12, 14, 15, 16, 17, 18, 20, 22, 24, 25, 26, 28)}
# What is aimed at; "controls" is how far the F1 of the action units must lie above that of shuffled texts.
TARGETS = {
    "mismatches": "<= 0.5", "ece": "<= 5", "format": ">= 99", "units_f1": ">= 60", "above_class": ">= 10",
    "band_error": "<= 1", "consistent": ">= 95", "read_as": ">= 80", "drop": ">= 30",
}  # fmt: skip
_UNITS = [int(unit) for unit in ActionUnit]


class Explains(Protocol):
    """What is measured: mien.methods.expllm.small.generate.Explainer, or anything alike."""

    size: int
    name: str

    def label(self, face: Image) -> Label:
        """See Explainer."""

    def write(self, face: Image, mode: Mode) -> Written:
        """See Explainer."""


def evaluate(
    explainer: Explains,
    dataset: Sequence[Sample],
    labels: PseudoLabels | None = None,
    *,
    texts: int = 500,
    protocol: str = "majority",
    resamples: int = 2000,
    seed: int = 0,
    progress: Callable[[Sequence[int]], Sequence[int]] = lambda indices: indices,
) -> Result:
    """What `mien evaluate` measures of any model, of the label alone, and under "texts" what is measured of texts.

    labels: a teacher's action units of the dataset, which the texts are held against; left out, those of mien's reader.
    texts: how many faces to write about, drawn at random; all, if there are fewer.   progress: wraps their indices.
    """
    asked = _Labels(explainer)
    result = evaluate_labels(asked, dataset, protocol=protocol, resamples=resamples, seed=seed)  # type: ignore[arg-type]
    chosen = select(dataset, protocol, prepare=lambda image: crop(image, explainer.size))
    known = [i for i, sample in enumerate(chosen.samples) if not sample.duplicate]
    result |= {"free": _free(asked, chosen, known), "votes": _votes(asked, chosen, known)}
    read = Pipeline(assume_crop=True)
    measured = _measured(chosen, labels, read)
    usable = [i for i in known if measured[i] is not None]
    if not usable:
        raise InputError("no face has measured action units to hold a text against")
    drawn = sorted(np.random.default_rng(seed).permutation(usable)[:texts].tolist())
    written = _write(explainer, chosen, progress(drawn))
    faces = [_Truth(unit, Expression(int(chosen.labels[i]))) for i in drawn if (unit := measured[i]) is not None]
    kinds: dict[str, list[Any]] = {mode: [w[mode] for w in written] for mode in MODES}
    kinds["rules"] = [_by_rules(chosen.samples[i], read) for i in drawn]
    kinds["engine"] = [_by_engine(chosen, i, face.units) for i, face in zip(drawn, faces, strict=True)]
    options = {"resamples": resamples, "seed": seed}
    result["texts"] = {
        "n": len(drawn),
        "held_against": "reader" if labels is None else "teacher",
        "without_action_units": len(known) - len(usable),
        **{kind: _scores(texts_, faces, **options) for kind, texts_ in kinds.items()},
        "occlusion": _occlusion([w["halves"] for w in written], **options),
        "seconds_per_text": float(np.median([w["seconds"] for w in written])),
    }
    return result


class _Labels:
    """The label mode as a classifier for mien.evaluation.scoring; free: every unconstrained word, in order."""

    def __init__(self, explainer: Explains) -> None:
        self._explainer = explainer
        self.contract = Contract(tuple(Expression), explainer.size, 0.0, 1.0, explainer.name, {})
        self.free: list[str] = []
        self.probabilities: list[Floats] = []

    def logits(self, crops: Image) -> NDArray[np.float32]:
        """(N, S, S) -> (N, 8)."""
        answers = [self._explainer.label(crop) for crop in crops]
        self.free += [answer.free for answer in answers]
        self.probabilities += [answer.expression.probabilities for answer in answers]
        return np.asarray(np.log(np.stack([answer.expression.probabilities for answer in answers]) + 1e-12))

    def answers(self, crops: Image) -> Answers:
        """The same; the model has no other heads."""
        return Answers(self.logits(crops))


def _free(asked: _Labels, chosen: Selection, known: Sequence[int]) -> dict[str, float]:
    """Accuracy when any word may be the answer, and the share of answers that are no label."""
    words = [asked.free[i] for i in known]
    right = [word == LABELS[label] for word, label in zip(words, chosen.labels[known], strict=True)]
    return {"accuracy": float(np.mean(right)), "mismatches": float(np.mean([word not in LABELS for word in words]))}


def _votes(asked: _Labels, chosen: Selection, known: Sequence[int]) -> dict[str, float | None]:
    """The mean Kullback-Leibler divergence of the answers from the votes, in nats, where there are votes."""
    off = []
    for i in known:
        votes = chosen.samples[i].votes
        if votes is not None:
            shares = soft_votes(votes[None]).values[0].astype(np.float64)
            there = shares > 0
            off.append(float((shares[there] * np.log(shares[there] / (asked.probabilities[i][there] + 1e-12))).sum()))
    return {"divergence": float(np.mean(off)) if off else None}


def _measured(chosen: Selection, labels: PseudoLabels | None, read: Pipeline) -> list[ActionUnits | None]:
    """The action units of every chosen face, the reader's without labels; None where the teacher detected no face."""
    if labels is None:
        return [_read(read, sample).action_units for sample in chosen.samples]
    rows = labels.rows(chosen.samples)
    return [ActionUnits.of(labels.action_units[r]) if labels.found[r] else None for r in rows]


class _Truth(NamedTuple):
    units: ActionUnits
    label: Expression


class _Text(NamedTuple):
    """A text to score; asked: the label that the model answers alone, None of the engine's."""

    sections: Sections
    concluded: Expression
    asked: Expression | None
    whole: bool


def _write(explainer: Explains, chosen: Selection, indices: Sequence[int]) -> list[Result]:
    """For each face a text in each mode, and what the text names of either half before and after that is blurred."""
    written = []
    for i in indices:
        face = chosen.samples[i].image
        started = time.perf_counter()
        made = {mode: explainer.write(face, mode) for mode in MODES}
        seconds = (time.perf_counter() - started) / len(MODES)
        row: Result = {
            mode: _Text(w.sections, w.concluded, w.label.expression.top, w.whole) for mode, w in made.items()
        }
        written.append({**row, "halves": _halves(explainer, face, made[MODES[0]]), "seconds": seconds})
    return written


def _halves(explainer: Explains, face: Image, written: Written) -> tuple[Halves, Halves]:
    """See _occlusion."""
    before = _named(written.sections)
    after = {half: _named(explainer.write(blur(face, half), MODES[0]).sections) for half in HALVES}
    other = dict(zip(HALVES, reversed(HALVES), strict=True))
    own = {half: (_of(before, half), _of(after[half], half)) for half in HALVES}
    return own, {half: (_of(before, other[half]), _of(after[half], other[half])) for half in HALVES}


def blur(face: Image, half: str) -> Image:
    """An (S, S) crop of which one half, "eyes" or "mouth", is blurred beyond recognition."""
    side = len(face)
    soft = cv2.GaussianBlur(face, (0, 0), side / 6, borderType=cv2.BORDER_REPLICATE)
    below = np.arange(side)[:, None] >= round(MIDDLE * side)
    return np.where(below == (half == "mouth"), soft, face).astype(np.uint8)


def _of(named: set[int], half: str) -> int:
    return len(named & set(HALVES[half]))


def _named(sections: Sections) -> set[int]:
    return {int(mention.unit) for mention in parse(sections.text) if mention.present}


def _by_engine(chosen: Selection, index: int, units: ActionUnits) -> _Text:
    """What the engine writes of a face whose action units and votes it is given: what the texts could be at best."""
    sample = chosen.samples[index]
    return _explained(Observation(sample.source, units, chosen.targets[index], sample.votes is not None))


def _by_rules(sample: Sample, read: Pipeline) -> _Text:
    """What the engine writes of a face from what the reader alone answers: what rules do where the model writes."""
    answer = _read(read, sample)
    assert answer.action_units is not None, "the reader has them"
    shares = answer.expression.probabilities
    units = above(answer.action_units)
    return _explained(Observation(sample.source, units, shares, False, answer.pose, answer.hidden, answer.readability))


def _explained(face: Observation) -> _Text:
    chain = engine.explain(face)
    return _Text(chain.sections, chain.label, None, True)


def _read(read: Pipeline, sample: Sample) -> FaceReport:
    return read(np.stack([sample.image] * 3, axis=-1)).faces[0]


# What is counted of each text; every metric is made of sums of these.
_COUNTED = (
    "texts", "format", "consistent", "read_as", "accepted", "units_right", "units_said", "units_true", "sides_right",
    "sides", "band_error", "bands", "any_right", "any_said", "any_true", "own_right", "own_said", "own_true",
    "class_right", "class_said", "class_true",
)  # fmt: skip
# Those that are counted once a text.
_SHARES = ("format", "consistent", "read_as", "accepted")


def _scores(texts: Sequence[_Text], faces: Sequence[_Truth], *, resamples: int, seed: int) -> Result:
    """Every metric of the texts with its 95 % interval: Wilson's of shares of texts, else a bootstrap over faces."""
    tally = np.array([_counts(text, face) for text, face in zip(texts, faces, strict=True)])
    tally = np.concatenate([tally, _controls(texts, faces)], axis=1)
    whole, many = _metrics(tally.sum(axis=0)), _metrics(bootstrap(tally, resamples, seed).T)
    low: dict[str, float] = {}
    high: dict[str, float] = {}
    for name, values in many.items():
        low[name], high[name] = map(float, percentile_interval(values))
    for name in _SHARES:
        low[name], high[name] = wilson_interval(float(whole[name]) * len(texts), len(texts))
    return {
        name: {"value": _number(value), "low": _number(low[name]), "high": _number(high[name])}
        for name, value in whole.items()
    }


def _number(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)


def _counts(text: _Text, face: _Truth) -> list[float]:
    mentions = [mention for mention in parse(text.sections.text) if mention.present]
    named, there = {int(m.unit) for m in mentions}, {unit for unit in _UNITS if face.units[unit] >= PRESENT}
    sides = [(m, face.units.asymmetry(m.unit)) for m in mentions if m.side in ("left", "right")]
    uneven = [(m.side, difference) for m, difference in sides if difference is not None]
    right = sum((side == "left") == (difference > 0) for side, difference in uneven)
    degrees = {int(m.unit): BANDS.index(m.band) for m in mentions if m.band is not None}
    off = [abs(degree - _band(face.units[unit])) for unit, degree in degrees.items() if unit in there]
    guess = engine.read(text.sections.text)
    return [
        1,
        _well_formed(text),
        text.asked is None or text.asked is text.concluded,
        guess.expression is text.concluded,
        text.concluded in guess.accepted,
        len(named & there),
        len(named),
        len(there),
        right,
        len(uneven),
        sum(off),
        len(off),
    ]


def _band(intensity: float) -> int:
    return BANDS.index(band(intensity))


def _well_formed(text: _Text) -> bool:
    """Three parts in order, in whole sentences, the last of which names the one expression that it concludes."""
    read = Sections.read(text.sections.text)
    return text.whole and read is not None and expressions_in(read.conclusion) == (text.concluded,)


def _controls(texts: Sequence[_Text], faces: Sequence[_Truth]) -> Floats:
    """(N, 9) counts of right, named and present action units when each face is given another's text.

    That of any other face; and of one whose text concludes the same, beside the own text of those that have such.
    Every other face's text counts alike, so that nothing depends on how they are shuffled.
    """
    named = np.array([[unit in _named(text.sections) for unit in _UNITS] for text in texts], float)  # (N, U)
    there = np.array([[face.units[unit] >= PRESENT for unit in _UNITS] for face in faces], float)  # (N, U)
    group = np.array([text.concluded for text in texts])
    own = np.stack([(named * there).sum(axis=1), named.sum(axis=1), there.sum(axis=1)], axis=1)
    counts = np.zeros((len(texts), 9))
    counts[:, :3] = _others(named, there)
    for each in np.unique(group):
        rows = np.flatnonzero(group == each)
        if len(rows) > 1:
            counts[rows, 3:6] = own[rows]
            counts[rows, 6:] = _others(named[rows], there[rows])
    return counts


def _others(named: Floats, there: Floats) -> Floats:
    """(N, 3) right, named and present action units, on average over the texts of all other faces."""
    others = (named.sum(axis=0) - named) / max(len(named) - 1, 1)  # (N, U)
    return np.stack([(others * there).sum(axis=1), others.sum(axis=1), there.sum(axis=1)], axis=1)


def _metrics(sums: Floats) -> Result:
    """(K,) or (K, R) sums -> each metric."""
    count = dict(zip(_COUNTED, sums, strict=True))

    def f1(kind: str) -> Any:
        return _ratio(2 * count[f"{kind}_right"], count[f"{kind}_said"] + count[f"{kind}_true"])

    metrics = {
        **{name: _ratio(count[name], count["texts"]) for name in _SHARES},
        "units_precision": _ratio(count["units_right"], count["units_said"]),
        "units_recall": _ratio(count["units_right"], count["units_true"]),
        "units_f1": f1("units"),
        "units_f1_shuffled": f1("any"),
        "units_f1_shuffled_in_class": f1("class"),
        "above_shuffled": f1("units") - f1("any"),
        "above_class": f1("own") - f1("class"),
        "side_accuracy": _ratio(count["sides_right"], count["sides"]),
        "band_error": _ratio(count["band_error"], count["bands"]),
    }
    parts = [metrics[name] for name in ("format", "units_f1", "consistent", "read_as")]
    return metrics | {"exp_cot_score": np.mean([*parts, 1 - metrics["band_error"] / 5], axis=0)}


def _ratio(part: Any, whole: Any) -> Any:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.divide(part, whole)


def _occlusion(halves: Sequence[tuple[Halves, Halves]], *, resamples: int, seed: int) -> Result:
    """By what share fewer action units of a half are named once it is blurred, and of the other half as well.

    halves: for each face and half, how many it names before and after: of that half, and of the other.
    """
    drops: Result = {half: {} for half in HALVES}
    for number, kind in enumerate(("blurred_half", "other_half")):
        for half in HALVES:
            tally = np.array([face[number][half] for face in halves], float)  # (N, 2)
            low, high = percentile_interval(_drop(bootstrap(tally, resamples, seed)))
            value = {"drop": _number(_drop(tally.sum(axis=0))), "low": _number(low), "high": _number(high)}
            before, after = tally.mean(axis=0).tolist()
            drops[half][kind] = value | {"before": before, "after": after}
    return drops


def _drop(counts: Floats) -> Any:
    return 1 - _ratio(counts[..., 1], counts[..., 0])
