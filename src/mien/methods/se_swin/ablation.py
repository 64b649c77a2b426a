"""Arms of SE-Swin's ablation, its questions, and measurements besides accuracy.

All arms train alike, without mixup and class balance, and use the weights of the last epoch: only the gate and the step
differ.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from mien.evaluation.protocols import Selection
from mien.evaluation.result import Result
from mien.facs.vocabulary import Expression
from mien.methods.se_swin.model import SeSwin
from mien.methods.se_swin.sam import climbed
from mien.methods.se_swin.train import PRESETS, Settings
from mien.training.experiment import Arm, Question, mean
from mien.training.faces import answer, logits, normalize, tensor

# Settings shared by all arms, by preset; the first is the default.
SETTINGS = {
    name: replace(
        PRESETS[name], epochs=15, warmup=3.0, batch_size=128, contrast=0.0, brightness=0.0, rebalance=0.0,
        average=0.0,
    )
    for name in ("tiny", "small")
}  # fmt: skip
ARMS = {
    "B0": Arm("plain Swin", {"se": "none", "rho": 0.0}),
    "B1": Arm("the gate alone", {"se": "head", "rho": 0.0}),
    "B2": Arm("sharpness-aware steps alone", {"se": "none"}),
    "B3": Arm("the method: gate and sharpness-aware steps", {"se": "head"}),
    "B4": Arm("plain Swin, twice as long, to control for compute", {"se": "none", "rho": 0.0}, longer=2),
    "B5": Arm("a gate after each stage, sharpness-aware steps", {"se": "stages"}),
    "B6": Arm("a gate that does not look at the face, sharpness-aware steps", {"se": "constant"}),
}
QUESTIONS = tuple(
    Question(f"{text} ({metric})", weights, metric)
    for metric in ("macro_f1", "macro_f1_n50", "accuracy")
    for text, weights in (
        ("Is the method better than plain Swin?", {"B3": 1.0, "B0": -1.0}),
        ("What does the gate add, mean with and without sharpness-aware steps?",
         {"B1": 0.5, "B3": 0.5, "B0": -0.5, "B2": -0.5}),
        ("What do sharpness-aware steps add, mean with and without the gate?",
         {"B2": 0.5, "B3": 0.5, "B0": -0.5, "B1": -0.5}),
        ("Do gate and steps add more together than each alone?", {"B3": 1.0, "B2": -1.0, "B1": -1.0, "B0": 1.0}),
        ("Is the method better than plain Swin for as much compute?", {"B3": 1.0, "B4": -1.0}),
        ("Are gates after every stage better than one at the head?", {"B5": 1.0, "B3": -1.0}),
        ("Does it matter that the gate looks at the face?", {"B3": 1.0, "B6": -1.0}),
    )
)  # fmt: skip
# Number of training faces for sharpness and training accuracy, and the radius of sharpness.
SHARPNESS_FACES, TRAINED_FACES, RADIUS = 1024, 4096, 0.05
# Largest loss of macro F1 against twice the epochs for which the gain is not just compute.
COMPUTE = 0.003
# A gate whose factors vary less over faces counts as constant.
STUCK = 0.02


def checks(network: SeSwin, settings: Settings, faces: Selection, trained_on: Selection) -> Result:
    """Return sharpness, training accuracy, its gap to that on the faces, and statistics of the gate.

    sharpness: rise of the loss on training faces after a step of RADIUS up its gradient. gate: mean over channels of
    the standard deviation over faces; correlation of the profiles of expressions.
    """
    known = _first(trained_on, TRAINED_FACES)
    right = float((logits(network, known).argmax(axis=1) == known.labels).mean())
    here = float((logits(network, faces).argmax(axis=1) == faces.labels).mean())
    row: Result = {
        "sharpness": sharpness(network, _first(trained_on, SHARPNESS_FACES)),
        "trained_accuracy": right,
        "gap": right - here,
    }
    gates = [answers.gate for answers in answer(network, tensor(faces))]
    if gates[0] is not None:
        gate = torch.cat([part for part in gates if part is not None]).detach()  # (N, C)
        profiles = torch.stack([gate[torch.from_numpy(faces.labels == c)].mean(dim=0) for c in np.unique(faces.labels)])
        spread = profiles.std(dim=0) / gate.std(dim=0).clamp(min=1e-6)
        row["gate"] = {
            "std_over_faces": float(gate.std(dim=0).mean()),
            "std_of_expressions_of_it": float(spread.mean()),
            "mean": {
                Expression(c).label: mean(p.tolist()) for c, p in zip(np.unique(faces.labels), profiles, strict=True)
            },
        }
    return row


def sharpness(network: SeSwin, faces: Selection) -> float:
    """L(w + RADIUS g / |g|) - L(w), cross-entropy without augmentation; the network is unchanged."""
    images, targets = normalize(tensor(faces)), torch.from_numpy(faces.targets)
    network.eval()
    network.zero_grad()
    loss = F.cross_entropy(network(images).logits, targets)
    loss.backward()  # type: ignore[no-untyped-call]
    with climbed(network, RADIUS), torch.no_grad():
        higher = F.cross_entropy(network(images).logits, targets)
    network.zero_grad()
    return float(higher - loss.detach())


def _first(faces: Selection, count: int) -> Selection:
    """Return this many faces, evenly spaced."""
    rows = np.unique(np.linspace(0, len(faces.samples) - 1, min(count, len(faces.samples))).astype(int))
    return replace(faces, samples=[faces.samples[i] for i in rows], targets=faces.targets[rows])


def summary(results: Sequence[Mapping[str, Any]]) -> Result:
    """Return the checks of an arm: sharpness and gap for each seed, the rest averaged over seeds."""
    row: Result = {name: [round(result[name], 4) for result in results] for name in ("sharpness", "gap")}
    row["trained_accuracy"] = mean([result["trained_accuracy"] for result in results])
    gates = [result["gate"] for result in results if "gate" in result]
    if gates:
        row |= {f"gate_{key}": mean([g[key] for g in gates]) for key in gates[0] if key != "mean"}
        row["gate_is_stuck"] = row["gate_std_over_faces"] < STUCK
    return row


def sentences(table: Mapping[str, Any]) -> dict[str, str]:
    """Return the paper's claims, fixed before the runs, with the answer of the runs to each."""
    asked = {entry["question"]: entry for entry in table["questions"]}
    arms = {row["arm"]: row for row in table["arms"]}
    claims: dict[str, str] = {}
    words = {"higher": "confirmed", "lower": "no"}
    for i, sentence in enumerate(("gate and steps beat plain Swin", "the gate helps", "sharpness-aware steps help")):
        if entry := asked.get(QUESTIONS[i].text):
            claims[sentence] = words.get(entry["answer"], entry["answer"])
    if entry := asked.get(QUESTIONS[4].text):
        claims["it is no effect of compute"] = "yes" if entry["value"] >= -COMPUTE else "no"
    for steps, plain in (("B2", "B0"), ("B3", "B1")):
        if {steps, plain} <= arms.keys() and (sharper := _differences(arms[steps], arms[plain], "sharpness")):
            every = all(difference < 0 for difference in sharper)
            claims[f"sharpness is lower in {steps} than in {plain} with every seed"] = "yes" if every else "no"
            smaller = mean(_differences(arms[steps], arms[plain], "gap")) < 0
            claims[f"the gap between training and valid is smaller in {steps} than in {plain}"] = (
                "yes" if smaller else "no"
            )
    return claims


def _differences(one: Mapping[str, Any], other: Mapping[str, Any], check: str) -> list[float]:
    """Differences over the seeds that both arms have."""
    of = [dict(zip(row["seeds"], row["checks"][check], strict=True)) for row in (one, other)]
    return [of[0][seed] - of[1][seed] for seed in of[0] if seed in of[1]]
