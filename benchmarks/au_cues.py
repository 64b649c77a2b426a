"""Does teaching attention where action units are do what its paper says? Runs that differ in lambda, side by side.

python benchmarks/au_cues.py KIND:PATH LABELS.parquet RUN [RUN ...] [-o FILE.json]

Each RUN is a finished folder of `mien train au-cues`; runs are grouped by attention weight, kind of map and heads, and
compared with those of weight 0, without heads and of the same seeds, face by face. They were not trained on these
faces; LABELS have their landmarks. The four sentences are the acceptance points that were fixed before the runs; where
an interval is too wide for a sentence, the answer is "undecided".
"""

import argparse
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien import datasets
from mien.datasets import pseudo_labels
from mien.evaluation.intervals import bootstrap, percentile_interval
from mien.methods.au_cues.attention import measure
from mien.methods.au_cues.export import load
from mien.training.faces import held_out, logits
from publish import publish

Key = tuple[float, str]
RESAMPLES = 2000
# Accuracy may fall by so many points; cosines must rise by so much; fixed by the method sheet.
LOSS, ATTENTION_RISE, CAM_RISE = 0.5, 0.15, 0.05


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("data")
    arguments.add_argument("labels", type=Path)
    arguments.add_argument("runs", nargs="+", type=Path)
    arguments.add_argument("-o", "--output", type=Path)
    given = arguments.parse_args()
    dataset, labels = datasets.open(given.data), pseudo_labels.read(given.labels)
    arms: dict[Key, dict[int, dict[str, Any]]] = defaultdict(dict)
    for run in given.runs:
        trained = load(run)
        network, settings = trained.network, trained.settings
        # What blurring pixels costs is no part of the sentences, and takes most of the time: see `mien attention`.
        found = measure(network, settings, dataset, labels, removed=(), resamples=RESAMPLES)
        faces = held_out(dataset, settings.size)
        found["right"] = logits(network, faces).argmax(axis=1) == faces.labels
        found["recall"] = [float(found["right"][faces.labels == c].mean()) for c in np.unique(faces.labels)]
        kind = settings.attention_map if settings.attention_weight else "none"
        kind += " and heads" if settings.heads else ""
        arms[(settings.attention_weight, kind)][settings.seed] = found
        print(run, f"{100 * found['right'].mean():.2f} %", flush=True)
    base = arms[(0.0, "none")]
    result: dict[str, Any] = {
        "data": Path(given.data).name,
        "n": len(next(iter(base.values()))["right"]),
        "arms": [arm(key, runs, base) for key, runs in sorted(arms.items())],
        "baselines": baselines(next(iter(base.values()))),
        "intervals": f"95 %, bootstrap over faces of the mean over seeds, {RESAMPLES} resamples, seed 0",
    }
    result["sentences"] = sentences(result["arms"], result["baselines"])
    publish(result, given.output)


def arm(key: Key, runs: dict[int, dict[str, Any]], base: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """The means over seeds of one setting, each seed's value, and the difference from weight 0 with the same seeds."""
    seeds = sorted(runs)
    looks = {name: [score(runs[s], name) for s in seeds] for name in ("attention", "cam_of_label", "cam_of_prediction")}
    tells = [runs[s]["agreement"]["attention"]["all"]["discriminativeness"]["value"] for s in seeds]
    shared = [s for s in seeds if s in base]
    return {
        "attention_weight": key[0],
        "attention_map": key[1],
        "seeds": seeds,
        "accuracy": {"value": mean([runs[s]["right"].mean() for s in seeds], 100)}
        | {"by_seed": [round(100 * float(runs[s]["right"].mean()), 2) for s in seeds]},
        "mean_recall": mean([np.mean(runs[s]["recall"]) for s in seeds], 100),
        "difference": paired([runs[s]["right"] for s in shared], [base[s]["right"] for s in shared]),
        **{f"{name}_cosine": {"value": mean(v), "by_seed": np.round(v, 3).tolist()} for name, v in looks.items()},
        "attention_cosine_when_wrong": mean(
            [runs[s]["agreement"]["attention"]["wrong"]["cosine"]["value"] for s in seeds]
        ),
        "discriminativeness": {"value": mean(tells), "by_seed": np.round(tells, 3).tolist()},
    }


def score(found: dict[str, Any], look: str) -> float:
    return float(found["agreement"][look]["all"]["cosine"]["value"])


def paired(right: list[NDArray[np.bool_]], base: list[NDArray[np.bool_]]) -> dict[str, float]:
    """Points of accuracy, mean over seeds, and its interval over faces."""
    each = 100 * (np.mean(right, axis=0) - np.mean(base, axis=0))  # (N,)
    low, high = percentile_interval(bootstrap(each, RESAMPLES, 0) / len(each))
    return {"value": round(float(each.mean()), 2), "low": round(float(low), 2), "high": round(float(high), 2)}


def baselines(found: dict[str, Any]) -> dict[str, float]:
    """What looks score that know nothing of the expression."""
    names = ("uniform", "gaussian", "generic_map", "mean_of_six_maps")
    return {name: round(score(found, name), 3) for name in names}


def mean(values: list[Any], factor: float = 1) -> float:
    return round(float(factor * np.mean(values)), 3)


def sentences(arms: list[dict[str, Any]], known: dict[str, float]) -> list[dict[str, Any]]:
    """The acceptance points for each weight above 0 with the map of the face's own expression."""
    by = {(a["attention_weight"], a["attention_map"]): a for a in arms}
    base = by[(0.0, "none")]
    said = []
    for (weight, kind), own in by.items():
        if kind != "class":
            continue
        attention = own["attention_cosine"]["value"]
        cam_rise = own["cam_of_label_cosine"]["value"] - base["cam_of_label_cosine"]["value"]
        said.append(
            {
                "attention_weight": weight,
                f"1 attention cosine rises by {ATTENTION_RISE} and ends above the mean of maps": yes(
                    attention - base["attention_cosine"]["value"] >= ATTENTION_RISE
                    and attention > known["mean_of_six_maps"]
                ),
                f"2 CAM cosine rises by {CAM_RISE}": yes(cam_rise >= CAM_RISE),
                f"3 accuracy falls by no more than {LOSS} points": verdict(own["difference"]),
                "4 maps of other expressions do worse in accuracy or discriminativeness": worse(
                    by.get((weight, "shuffled")), own
                ),
            }
        )
    return said


def verdict(difference: dict[str, float]) -> str:
    if difference["low"] >= -LOSS:
        return "yes"
    return "no" if difference["high"] < -LOSS else "undecided"


def worse(shuffled: dict[str, Any] | None, own: dict[str, Any]) -> str:
    """Whether the control tells expressions apart less often by its attention, or is right less often, seed by seed."""
    if shuffled is None:
        return "not run"
    at = [own["seeds"].index(seed) for seed in shuffled["seeds"] if seed in own["seeds"]]
    less = [
        np.mean(shuffled[key][field]) < np.mean(np.array(own[key][field])[at])
        for key, field in (("accuracy", "by_seed"), ("discriminativeness", "by_seed"))
    ]
    return yes(any(less))


def yes(answer: bool) -> str:
    return "yes" if answer else "no"


if __name__ == "__main__":
    main()
