"""An ablation: runs that differ in one setting, several seeds each, and the questions that they answer.

A method's arms, questions and checks are in its ablation.py. Every run leaves a result like that of `mien evaluate`
beside its weights, so that an ablation goes on where it was stopped and may grow by arms and seeds.
"""

import json
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from torch import nn

from mien.core.align import crop
from mien.core.contract import softmax
from mien.datasets import Sample
from mien.errors import InputError
from mien.evaluation.compare import METRICS, Predictions, answers_of, contrast, hashed, kept, without_answer
from mien.evaluation.machine import conditions
from mien.evaluation.protocols import Selection, select
from mien.evaluation.scoring import scores
from mien.training.faces import FaceSettings, held_out, logits

log = logging.getLogger(__name__)
RESULT = "result.json"


@dataclass(frozen=True)
class Arm:
    """One setting of an ablation.

    purpose: what it is there for.   changes: to the ablation's settings.   longer: times as many epochs.
    """

    purpose: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    longer: int = 1

    def settings(self, base: FaceSettings, seed: int) -> Any:
        """The settings of a run."""
        return replace(base, **self.changes, seed=seed, epochs=base.epochs * self.longer)


@dataclass(frozen=True)
class Question:
    """A difference between arms that somebody may ask for.

    weights: of the arms' mean metrics, such as 1 and -1.   metric: of mien.evaluation.compare.METRICS.
    shown: what the answers were given to, the faces themselves ("answers") or what a check made of them.
    against: the same weights of these answers are taken off, so that a drop is asked for.
    """

    text: str
    weights: Mapping[str, float]
    metric: str = "accuracy"
    shown: str = "answers"
    against: str = ""


# Of a trained network, its settings, the faces evaluated on and those trained on, to more entries of its result;
# entries with the form of `answers` can be asked for by questions.
Checks = Callable[[nn.Module, Any, Selection, Selection], dict[str, Any]]


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
    """Train and evaluate each arm with each seed, in folder/ARM-sSEED, but for those that are finished.

    train: of the method.   ablation: its module of that name.   settings: of all arms, before their changes.
    valid: faces to evaluate on, by the strict majority, without duplicates.
    InputError when the folder holds runs with other settings or of other faces, which no table may mix with these.
    """
    known = ablation.ARMS
    unknown = [name for name in arms if name not in known]
    if unknown:
        raise InputError(f"there is no arm {unknown[0]!r}; the arms are {', '.join(known)}")
    finished = _finished(folder)
    for result in finished:
        _check_settings(result, known[result["model"]].settings(settings, result["training"]["seed"]), folder)
    there = {(result["model"], result["training"]["seed"]) for result in finished}
    missing = [(arm, seed) for seed in seeds for arm in arms if (arm, seed) not in there]
    if not missing:
        return
    # The same faces in every arm, also of training, so that what is measured on them differs by the network alone.
    faces = held_out(valid, settings.size)
    trained_on = select(dataset, prepare=lambda image: crop(image, settings.size))
    sources = [s.source for s in faces.samples]
    measured, learned = hashed(sources), hashed([s.source for s in trained_on.samples])
    for result in finished:
        if (result["answers"]["faces"], result["trained_on_faces"]) != (measured, learned):
            raise InputError(f"{folder} holds runs of other faces; name another folder")
    for arm, seed in missing:
        log.info("%s, seed %d: %s", arm, seed, known[arm].purpose)
        started, own, place = time.monotonic(), known[arm].settings(settings, seed), folder / f"{arm}-s{seed}"
        network = train(dataset, own, place, valid=valid, resume=True)
        answered = logits(network, faces)
        result = {"model": arm, "purpose": known[arm].purpose, "training": asdict(own)}
        result |= {"protocol": faces.protocol, "dropped": faces.dropped, "trained_on_faces": learned}
        result |= scores(faces.labels, softmax(answered)[None])
        result["answers"] = kept(sources, faces.labels, answered.argmax(axis=1))
        result |= ablation.checks(network, own, faces, trained_on)
        # Of what an interruption left of the run; log.jsonl has the seconds of every epoch.
        result |= {"seconds": time.monotonic() - started} | conditions()
        (place / RESULT).write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _finished(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob(f"*-s*/{RESULT}"))]


def _check_settings(result: Mapping[str, Any], own: Any, folder: Path) -> None:
    before, now = result["training"], json.loads(json.dumps(asdict(own)))
    if other := sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key)):
        run = f"{result['model']} with seed {before['seed']}"
        raise InputError(f"{folder} holds {run} with other settings ({', '.join(other)}); name another folder")


def table(ablation: ModuleType, folder: Path, *, resamples: int = 2000, seed: int = 0) -> dict[str, Any]:
    """What the finished runs in a folder say: a row for each arm, and the answer to each question they can answer.

    The arms of a question count with the seeds that all of them have.
    """
    runs: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
    for result in _finished(folder):
        runs[result["model"]][result["training"]["seed"]] = result
    if not runs:
        raise InputError(f"{folder} holds no finished run of an ablation")
    options = {"resamples": resamples, "seed": seed}
    arms = []
    for name in sorted(runs, key=list(ablation.ARMS).index):
        given = {name: [answers_of(result) for result in runs[name].values()]}
        row: dict[str, Any] = {"arm": name, "purpose": ablation.ARMS[name].purpose, "seeds": sorted(runs[name])}
        for metric in METRICS:
            row[metric] = without_answer(contrast(given, {name: 1.0}, metric, **options))
        row["checks"] = ablation.summary([runs[name][s] for s in row["seeds"]])
        arms.append(row)
    asked = [_answered(question, runs, options) for question in ablation.QUESTIONS if _can(question, runs)]
    first = next(iter(next(iter(runs.values())).values()))
    about = {"protocol": first["protocol"], "n": first["n"], "epochs": first["training"]["epochs"]}
    found = about | {"arms": arms, "questions": asked, **options}
    return found | {"sentences": ablation.sentences(found)}


def _can(question: Question, runs: Mapping[str, Mapping[int, Any]]) -> bool:
    return all(name in runs for name in question.weights) and bool(_shared(question, runs))


def _shared(question: Question, runs: Mapping[str, Mapping[int, Any]]) -> list[int]:
    return sorted(set.intersection(*(set(runs[name]) for name in question.weights)))


def _answered(question: Question, runs: Mapping[str, Mapping[int, Any]], options: Mapping[str, int]) -> dict[str, Any]:
    seeds = _shared(question, runs)
    arms: dict[str, list[Predictions]] = {}
    weights = {}
    for key, sign in ((question.shown, 1.0), *([(question.against, -1.0)] if question.against else [])):
        for name, weight in question.weights.items():
            arms[f"{name} {key}"] = [answers_of({"answers": runs[name][seed][key]}) for seed in seeds]
            weights[f"{name} {key}"] = sign * weight
    about = {"question": question.text, "weights": dict(question.weights), "metric": question.metric, "seeds": seeds}
    return about | contrast(arms, weights, question.metric, **options)


def mean(values: Sequence[float]) -> float:
    """Rounded for a file."""
    return round(float(np.mean(values)), 4)
