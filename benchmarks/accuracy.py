"""Every model that mien ships and that reads expressions, on the same labelled faces, and whether they differ.

python benchmarks/accuracy.py KIND:PATH [--models reader,vtff,...] [--cross-fit 20] [-o FOLDER]

Writes FOLDER/MODEL-DATA.json for each model, in the form of `mien evaluate`, and FOLDER/models-DATA.json, in that of
`mien compare`; `python docs/write_results.py` makes docs/results.md of them.
"""

import argparse
import json
from pathlib import Path

from mien import datasets
from mien.core.contract import Classifier
from mien.core.zoo import MODELS, load
from mien.evaluation.compare import compare
from mien.evaluation.scoring import evaluate
from publish import publish


def main() -> None:
    shipped = [name for name, entry in MODELS.items() if entry.reads]
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("data")
    arguments.add_argument("--models", default=",".join(shipped))
    arguments.add_argument("--cross-fit", type=int, default=20)
    arguments.add_argument("-o", "--output", type=Path)
    given = arguments.parse_args()
    dataset, name = datasets.open(given.data), Path(given.data.partition(":")[2]).stem.replace("_", "-")
    about = {"data": Path(given.data).name, "split": None}
    results = {}
    for model in given.models.split(","):
        scores = evaluate(Classifier(load(model), threads=2), dataset, cross_fit=given.cross_fit)
        results[model] = {"model": model} | about | scores
        publish(results[model], given.output and given.output / f"{Path(model).stem}-{name}.json")
    if len(results) > 1:
        # As a file holds them, so that what is compared is what is published.
        publish(
            compare(json.loads(json.dumps({k: [v] for k, v in results.items()}))),
            given.output and given.output / f"models-{name}.json",
        )


if __name__ == "__main__":
    main()
