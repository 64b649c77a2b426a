"""Does letting the vision side learn decide how well a model answers questions about faces?

python benchmarks/unfreeze.py KIND:PATH LABELS.parquet --valid KIND:PATH --runs FOLDER [--seeds 0,1,2] [-o FILE.json]

AlDahoul, Tan, Kasireddy and Zaki (2024) tuned PaliGemma with its vision tower frozen, frozen at twice the resolution,
and learning too: +0.3 points for the resolution, +6.8 for learning. Here the same is asked of the small model of
methods/expllm, which is shown a face and asked for the expression:

    random, frozen       an encoder that has learned nothing; projector and language model learn
    units, frozen        an encoder that has learned action units of LABELS (mien pseudo-label), and no expression
    units, frozen, 64    the same with faces of 64 pixels in place of 48
    units, tuned         the second, and the encoder learns on

A run that was stopped goes on. Intervals: bootstrap over faces of the mean over seeds.
"""

import argparse
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mien import datasets
from mien.datasets import Sample, pseudo_labels
from mien.evaluation.compare import Predictions, contrast, kept
from mien.facs.units import VECTOR
from mien.facs.vocabulary import ASYMMETRIES
from mien.methods.expllm.small.conversation import QUESTIONS
from mien.methods.expllm.small.heads import Labeller
from mien.methods.expllm.small.loss import unit_loss
from mien.methods.expllm.small.model import ExpLlm, FaceEncoder, FaceEncoderConfig, small
from mien.methods.expllm.small.tokenizer import Tokenizer
from mien.training import action_units
from mien.training.faces import FaceSettings, faces_of, fit_faces, held_out, logits
from publish import publish

RESAMPLES = 2000


@dataclass(frozen=True)
class Settings(FaceSettings):
    """Of both steps, seeing and answering."""

    epochs: int = 6
    learning_rate: float = 1e-3
    average: float = 0.99
    mixup_share: float = 0.0
    clip: float = 1.0
    precision: str = "32-true"


@dataclass(frozen=True)
class Arm:
    """size: of a face in pixels.   units: the encoder has learned action units.   tuned: it learns on."""

    name: str
    size: int = 48
    units: bool = True
    tuned: bool = False


ARMS = (
    Arm("random, frozen", units=False),
    Arm("units, frozen"),
    Arm("units, frozen, 64", size=64),
    Arm("units, tuned", tuned=True),
)
# What each step of the ladder is worth.
STEPS = {
    "learning action units": ("units, frozen", "random, frozen"),
    "64 pixels": ("units, frozen, 64", "units, frozen"),
    "unfreezing": ("units, tuned", "units, frozen"),
    "unfreezing more than 64 pixels": ("units, tuned", "units, frozen, 64"),
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("data")
    arguments.add_argument("labels", type=Path)
    arguments.add_argument("--valid", required=True)
    arguments.add_argument("--runs", type=Path, required=True)
    arguments.add_argument("--seeds", default="0,1,2")
    arguments.add_argument("--faces", type=int, default=0, help="train on so many, drawn; 0 for all")
    arguments.add_argument("--see-epochs", type=int, default=12)
    arguments.add_argument("--epochs", type=int, default=6)
    arguments.add_argument("-o", "--output", type=Path)
    given = arguments.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    dataset, valid = datasets.open(given.data), datasets.open(given.valid)
    labels = pseudo_labels.read(given.labels)
    if given.faces:
        rows = np.random.default_rng(0).permutation(len(dataset))[: given.faces]
        dataset = [dataset[int(i)] for i in rows]
    seeds = [int(seed) for seed in given.seeds.split(",")]
    answers: dict[str, list[Predictions]] = {arm.name: [] for arm in ARMS}
    for seed in seeds:
        encoders = {
            size: seen(dataset, labels, Settings(epochs=given.see_epochs, size=size, seed=seed), given.runs)
            for size in sorted({arm.size for arm in ARMS})
        }
        for arm in ARMS:
            settings = Settings(epochs=given.epochs, size=arm.size, seed=seed)
            answers[arm.name].append(answered(arm, encoders[arm.size], dataset, valid, settings, given.runs))
    publish(result(answers, seeds, given), given.output)


def encoder(size: int) -> FaceEncoderConfig:
    return FaceEncoderConfig(size, widths=(16, 32, 64, 96), side=6, layers=2, heads=4)


class Units(nn.Module):
    """The encoder with one layer over all its patches; one over their mean knew but medians after 940 steps.

    mean: (24,) of each action unit over the faces, which it answers at first.
    """

    def __init__(self, encoder: FaceEncoder, mean: Tensor) -> None:
        super().__init__()
        self.encoder = encoder
        self.answer = nn.Linear(encoder.config.side**2 * encoder.config.hidden_size, VECTOR)
        sides = len(ASYMMETRIES)
        nn.init.normal_(self.answer.weight, std=1e-3)
        start = [mean[:-sides].clamp(0.01, 0.99).logit(), mean[-sides:].clamp(-0.99, 0.99).atanh()]
        self.answer.bias = nn.Parameter(torch.cat(start))

    def forward(self, faces: Tensor) -> Tensor:
        """(B, 1, S, S), normalized -> (B, 24)."""
        return action_units.bounded(self.answer(self.encoder(faces).last_hidden_state.flatten(1)))


def seen(dataset: Sequence[Sample], labels: pseudo_labels.PseudoLabels, settings: Settings, runs: Path) -> FaceEncoder:
    """An encoder that learned the action units of the teacher, and nothing of what annotators voted."""
    faces = faces_of(dataset, settings.size)
    rows = labels.rows(faces.samples)
    found = torch.from_numpy(labels.found[rows])
    units = torch.from_numpy(np.nan_to_num(labels.action_units[rows]))
    spread = action_units.spread(units, found)
    torch.manual_seed(settings.seed)
    watcher = fit_faces(
        Units(FaceEncoder(encoder(settings.size)), units[found].mean(dim=0)),
        faces,
        settings,
        runs / f"{settings.seed}-units-{settings.size}",
        loss=lambda network, shown, taught: unit_loss(network(shown.images), shown, taught, spread),
        lessons=(units, found),
        resume=True,
    )
    tower: FaceEncoder = watcher.encoder
    return tower


def answered(
    arm: Arm, tower: FaceEncoder, dataset: Sequence[Sample], valid: Sequence[Sample], settings: Settings, runs: Path
) -> Predictions:
    """What the arm answers about the valid faces, after it has learned to."""
    tokenizer = Tokenizer.learn(QUESTIONS.values())
    torch.manual_seed(settings.seed)
    model: ExpLlm = small(
        encoder(arm.size), tokenizer, hidden_size=128, intermediate_size=352, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=128,
    )  # fmt: skip
    if arm.units:
        model.tower.load_state_dict(tower.state_dict())
    model.tower.requires_grad_(arm.tuned)
    folder = runs / f"{settings.seed}-{arm.name.replace(', ', '-')}"
    faces = faces_of(dataset, arm.size)
    network = fit_faces(Labeller(model, tokenizer), faces, settings, folder, valid=valid, resume=True)
    checks = held_out(valid, arm.size)
    said = kept([s.source for s in checks.samples], checks.labels, logits(network, checks).argmax(axis=1))
    return Predictions(said["faces"], checks.labels, np.array(list(map(int, said["answers"])), np.int64))


def result(answers: dict[str, list[Predictions]], seeds: list[int], given: argparse.Namespace) -> dict[str, Any]:
    options = {"resamples": RESAMPLES, "seed": 0}

    def scores(weights: dict[str, float], signed: bool) -> dict[str, Any]:
        found = {metric: contrast(answers, weights, metric, **options) for metric in ("accuracy", "macro_f1")}
        return found if signed else {m: {k: v for k, v in f.items() if k != "answer"} for m, f in found.items()}

    arms = [{"arm": arm.name} | scores({arm.name: 1.0}, signed=False) for arm in ARMS]
    steps = [{"name": name} | scores({more: 1.0, less: -1.0}, signed=True) for name, (more, less) in STEPS.items()]
    return {
        "measure": "what letting the vision side learn is worth to a small model that answers questions about faces",
        "data": Path(given.data).name,
        "valid": Path(given.valid).name,
        "n": len(answers[ARMS[0].name][0].labels),
        "seeds": seeds,
        "trained_on": given.faces or "all",
        "epochs": {"action units": given.see_epochs, "answers": given.epochs},
        "arms": arms,
        "steps": steps,
        "intervals": f"95 %, bootstrap over faces of the mean over seeds, {RESAMPLES} resamples, seed 0",
    }


if __name__ == "__main__":
    main()
