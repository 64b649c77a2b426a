"""What a probability means: models before and after their calibration is fitted to the shares of people's votes.

python benchmarks/vote_shares.py MODEL [MODEL ...] --data KIND:PATH [--splits 20] [-o FILE.json]

MODEL is a name or an ONNX file. Readable faces are those whose largest vote is an expression, single votes removed,
without duplicates of other splits; accuracy is against strict majorities. "refitted": the temperature, without a shift
of the prior, fitted on one random half and scored on the other. Intervals are 95 %, from a bootstrap over faces.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien import datasets
from mien.core.align import crop
from mien.core.contract import Classifier, softmax
from mien.core.zoo import load
from mien.datasets import Sample
from mien.evaluation.calibration import halves, temperature_of_shares
from mien.evaluation.metrics import accuracy, confusion_tally, ece, mean_recall, reliability_tally
from mien.evaluation.protocols import majority, soft_votes
from mien.evaluation.vote_shares import shares
from mien.export.recalibrate import fitted, raw_logits
from publish import publish


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("models", nargs="+")
    arguments.add_argument("--data", required=True)
    arguments.add_argument("--splits", type=int, default=20)
    arguments.add_argument("-o", "--output", type=Path)
    given = arguments.parse_args()
    dataset = datasets.open(given.data)
    samples = [s for s in map(dataset.__getitem__, range(len(dataset))) if s.votes is not None and not s.duplicate]
    found = {Path(model).stem: measured(Classifier(load(model)), samples, given.splits) for model in given.models}
    publish({"data": Path(given.data).name, "splits": given.splits, "seed": 0} | found, given.output)


def measured(classify: Classifier, samples: Sequence[Sample], splits: int) -> dict[str, Any]:
    """One model as it ships, and refitted."""
    size = classify.contract.size
    votes = np.array([sample.votes for sample in samples])
    raw = raw_logits(classify, [Sample(crop(sample.image, size)) for sample in samples])
    meta = classify.contract.meta
    strength, temperature = float(meta["strength"]), float(meta["temperature"])
    shift = np.array([float(v) for v in meta["shift"].split(",")])
    targets = soft_votes(votes)
    rows = np.flatnonzero(targets.kept)
    again, temperatures = [], []
    for fit_on, score_on in halves(len(rows), splits):
        heat = temperature_of_shares(raw[rows[fit_on]], targets.values[rows[fit_on]])
        temperatures.append(heat)
        again.append(scored(raw[rows[score_on]] / heat, votes[rows[score_on]]))
    whole = fitted(classify, samples)
    return {
        "strength": strength,
        "temperature": temperature,
        "as_it_is": scored((raw + strength * shift) / temperature, votes),
        "intervals": shares((raw + strength * shift) / temperature, votes),
        "refitted": {key: float(np.mean([entry[key] for entry in again])) for key in again[0]},
        "refitted_temperature": [float(np.min(temperatures)), float(np.max(temperatures))],
        "fitted_on_all": {"strength": whole.strength, "temperature": whole.temperature},
    }


def scored(logits: NDArray[np.floating], votes: NDArray[np.integer]) -> dict[str, float]:
    """Cross-entropy with vote shares, sureness about divided faces, and accuracy, recall and ECE against majorities."""
    found = shares(logits, votes, resamples=2)
    clear = majority(votes)
    labels, answers = clear.values.argmax(axis=1)[clear.kept], softmax(logits)[clear.kept]
    confusion = confusion_tally(labels, answers).sum(axis=0)
    return {
        "cross_entropy": found["cross_entropy"]["value"],
        "cross_entropy_divided": found["cross_entropy_divided"]["value"],
        "sure_divided": found["sure_divided"]["value"],
        "accuracy": float(accuracy(confusion)),
        "mean_recall": float(mean_recall(confusion)),
        "ece": float(ece(reliability_tally(labels, answers).sum(axis=0))),
    }


if __name__ == "__main__":
    main()
