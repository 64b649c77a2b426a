"""Experiments: arms that differ in one thing, several seeds each, and paired intervals of what they differ by.

Every arm and seed is a run in a folder of its own, folder/ARM-sSEED, that keeps a result like that of `mien evaluate`,
so an experiment goes on where it was stopped and may grow by arms and seeds. An ablation is an experiment whose arms
differ in their settings; a method's arms, questions and checks are in its ablation.py.
"""

import json
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from mien.core.align import crop
from mien.core.contract import softmax
from mien.datasets import Sample
from mien.errors import InputError
from mien.evaluation.compare import Predictions, answers_of, contrast, hashed, kept, means
from mien.evaluation.machine import conditions
from mien.evaluation.protocols import Selection, select
from mien.evaluation.result import Result
from mien.evaluation.scoring import scores
from mien.training.faces import FaceSettings, held_out, logits

log = logging.getLogger(__name__)
RESULT, TABLE = "result.json", "table.json"
# In the folder of an experiment: what all of its runs have in common.
GIVEN = "given.json"
Lessons = TypeVar("Lessons")
# For each arm and each of its seeds, the result of a finished run.
Results = Mapping[str, Mapping[int, Result]]


@dataclass(frozen=True)
class Arm:
    """One setting of an ablation.

    purpose: what it is there for.   changes: to the ablation's settings.   longer: times as many epochs.
    """

    purpose: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    longer: int = 1

    def settings(self, base: FaceSettings, seed: int) -> Any:
        """Return the settings of a run."""
        return replace(base, **self.changes, seed=seed, epochs=base.epochs * self.longer)


@dataclass(frozen=True)
class Question:
    """A difference between arms.

    weights: of the arms' mean metrics, such as 1 and -1.   metric: of mien.evaluation.compare.METRICS.
    shown: which answers count, those to the faces themselves ("answers") or to what a check made of them.
    against: subtract the same contrast on these answers, which makes it a question about a drop.
    """

    text: str
    weights: Mapping[str, float]
    metric: str = "accuracy"
    shown: str = "answers"
    against: str = ""


def run_arms(
    arms: Mapping[str, str],
    chosen: Sequence[str],
    seeds: Sequence[int],
    folder: Path,
    given: Mapping[str, Any],
    prepare: Callable[[str], Lessons],
    measure: Callable[[str, Lessons, int, Path], Result],
) -> None:
    """Measure each chosen arm with each seed, but for those that are finished.

    arms: what there is, and its purpose.   given: what all runs depend on, see `begin`; "valid" names the data to
    measure on.
    prepare: an arm to what it learns from; called for all before any learns, so that too few faces are reported before
    hours of training.   measure: an arm, what it learns from, a seed and the run's folder to a result with answers.
    """
    check_arms(arms, chosen)
    lessons = {arm: prepare(arm) for arm in chosen}
    begin(folder, given)
    for arm, seed in missing(folder, chosen, seeds):
        log.info("%s, seed %d: %s", arm, seed, arms[arm])
        started, place = time.monotonic(), folder / f"{arm}-s{seed}"
        # What the runs were measured on, by which `mien compare` knows them.
        data = {"data": given["valid"]} if "valid" in given else {}
        result = {"model": arm, "purpose": arms[arm], "seed": seed} | data | measure(arm, lessons[arm], seed, place)
        # Of what an interruption left of the run; its log has the seconds of every epoch.
        result |= {"seconds": time.monotonic() - started} | conditions()
        place.mkdir(parents=True, exist_ok=True)
        (place / RESULT).write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def check_arms(arms: Mapping[str, str], chosen: Sequence[str]) -> None:
    """Raise InputError for an arm that there is not."""
    unknown = [name for name in chosen if name not in arms]
    if unknown:
        raise InputError(f"there is no arm {unknown[0]!r}; the arms are {', '.join(arms)}")


def missing(folder: Path, arms: Sequence[str], seeds: Sequence[int]) -> list[tuple[str, int]]:
    """Return the arms and seeds that have no result in the folder yet, all arms of a seed before the next seed."""
    return [(arm, seed) for seed in seeds for arm in arms if not (folder / f"{arm}-s{seed}" / RESULT).is_file()]


def begin(folder: Path, given: Mapping[str, Any]) -> None:
    """Keep in the folder what its runs are given; raise InputError when earlier runs were given something else.

    What one command names and another leaves out, such as generated faces, is no difference.
    """
    kept_in = folder / GIVEN
    if not kept_in.is_file() and any(folder.glob(f"*-s[0-9]*/{RESULT}")):
        raise InputError(f"{folder} has results, but no {GIVEN} that says what they came of; name another folder")
    before = json.loads(kept_in.read_text(encoding="utf-8")) if kept_in.is_file() else {}
    now = json.loads(json.dumps(given))
    other = sorted(key for key in before.keys() & now.keys() if before[key] != now[key])
    if other:
        raise InputError(
            f"{folder} was begun with other values of {', '.join(other)} (see {GIVEN}), so that new runs would not "
            "compare with those in it; give the same again, or name another folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    kept_in.write_text(json.dumps(before | now, indent=1) + "\n", encoding="utf-8")


def results_in(folder: Path, arms: Mapping[str, str]) -> Results:
    """Return the results of all finished runs in the folder, in the order of the arms; raise InputError for none."""
    results: dict[str, dict[int, Result]] = defaultdict(dict)
    for path in sorted(folder.glob(f"*-s[0-9]*/{RESULT}")):
        result = json.loads(path.read_text(encoding="utf-8"))
        results[result["model"]][result["seed"]] = result
    if not results:
        raise InputError(f"{folder} holds no finished run of an experiment")
    return {arm: dict(sorted(results[arm].items())) for arm in arms if arm in results}


def arm_row(arm: str, purpose: str, results: Mapping[int, Result], **options: int) -> Result:
    """Return an arm's mean metrics over its seeds, with intervals.   options: see mien.evaluation.compare.contrast."""
    about: Result = {"arm": arm, "purpose": purpose, "seeds": sorted(results)}
    return about | means([answers_of(result) for result in results.values()], **options)


def answered(question: Question, results: Results, **options: int) -> Result | None:
    """Return the answer to a question, over the seeds that all of its arms have; None where they share none.

    options: see mien.evaluation.compare.contrast.
    """
    if any(name not in results for name in question.weights):
        return None
    seeds = sorted(set.intersection(*(set(results[name]) for name in question.weights)))
    if not seeds:
        return None
    arms: dict[str, list[Predictions]] = {}
    weights = {}
    for key, sign in ((question.shown, 1.0), *([(question.against, -1.0)] if question.against else [])):
        for name, weight in question.weights.items():
            arms[f"{name} {key}"] = [answers_of({"answers": results[name][seed][key]}) for seed in seeds]
            weights[f"{name} {key}"] = sign * weight
    about = {"question": question.text, "weights": dict(question.weights), "metric": question.metric, "seeds": seeds}
    return about | contrast(arms, weights, question.metric, **options)


def evaluated(faces: Selection, answers: NDArray[np.floating]) -> Result:
    """Return the metrics of (N, 8) logits of faces, how the faces were chosen, and the answers themselves.

    All as `mien evaluate` has them.
    """
    sources = [sample.source for sample in faces.samples]
    about = {"protocol": faces.protocol, "dropped": faces.dropped}
    metrics = scores(faces.labels, softmax(answers)[None])
    return about | metrics | {"answers": kept(sources, faces.labels, answers.argmax(axis=1))}


# Of a trained network, its settings, the faces evaluated on and those trained on, to more entries of its result;
# entries with the form of `answers` can be asked for by questions.
Checks = Callable[[nn.Module, Any, Selection, Selection], Result]


def run(
    train: Callable[..., nn.Module],
    ablation: ModuleType,
    settings: FaceSettings,
    arms: Sequence[str],
    seeds: Sequence[int],
    dataset: Sequence[Sample],
    valid: Sequence[Sample],
    folder: Path,
) -> None:
    """Train and evaluate each arm of an ablation with each seed, but for those that are finished.

    train: of the method.   ablation: its module of that name.   settings: of all arms, before their changes.
    valid: faces to evaluate on, by the strict majority, without duplicates.
    Raise InputError when the folder holds runs with other settings or of other faces: no table may mix them.
    """
    known: Mapping[str, Arm] = ablation.ARMS
    check_arms(_purposes(ablation), arms)
    begin(folder, {key: value for key, value in asdict(settings).items() if key != "seed"})
    if not missing(folder, arms, seeds):
        return
    # The same faces in every arm, also of training, so that what is measured on them differs by the network alone.
    faces = held_out(valid, settings.size, channels=settings.channels)
    trained_on = select(dataset, prepare=lambda image: crop(image, settings.size, settings.channels))
    given = {
        "faces": hashed([s.source for s in faces.samples]),
        "trained_on_faces": hashed([s.source for s in trained_on.samples]),
    }

    def measure(arm: str, lessons: Arm, seed: int, place: Path) -> Result:
        own = lessons.settings(settings, seed)
        network = train(dataset, own, place, valid=valid, resume=True)
        result: Result = {"training": asdict(own)} | evaluated(faces, logits(network, faces))
        checks: Checks = ablation.checks
        return result | checks(network, own, faces, trained_on)

    run_arms(_purposes(ablation), arms, seeds, folder, given, lambda arm: known[arm], measure)


def table(ablation: ModuleType, folder: Path, *, resamples: int = 2000, seed: int = 0) -> Result:
    """Return what the finished runs of an ablation say: a row for each arm, and the answer to each question they can.

    The arms of a question count with the seeds that all of them have.
    """
    purposes = _purposes(ablation)
    results = results_in(folder, purposes)
    options = {"resamples": resamples, "seed": seed}
    rows = []
    for arm, runs in results.items():
        row = arm_row(arm, purposes[arm], runs, **options)
        rows.append(row | {"checks": ablation.summary(list(runs.values()))})
    answers = [answered(question, results, **options) for question in ablation.QUESTIONS]
    first = next(iter(next(iter(results.values())).values()))
    whole = {"protocol": first["protocol"], "n": first["n"], "epochs": first["training"]["epochs"], "arms": rows}
    whole |= {"questions": [answer for answer in answers if answer is not None], **options}
    return whole | {"sentences": ablation.sentences(whole)}


def _purposes(ablation: ModuleType) -> dict[str, str]:
    return {name: arm.purpose for name, arm in ablation.ARMS.items()}


def mean(values: Sequence[float]) -> float:
    """Return the mean, rounded for a file."""
    return round(float(np.mean(values)), 4)
