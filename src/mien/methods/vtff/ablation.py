"""Arms of VTFF's ablation, its questions, and measurements besides accuracy.

All arms train alike, without mixup and class balance, and use the weights of the last epoch: only the network differs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mien.evaluation.compare import kept
from mien.evaluation.protocols import Selection
from mien.evaluation.result import Result
from mien.facs.vocabulary import Expression
from mien.methods.vtff.model import Vtff
from mien.methods.vtff.train import PRESETS, Settings
from mien.training.experiment import Arm, Question, mean
from mien.training.faces import answer, tensor

# Settings shared by all arms, by preset; the first is the default.
SETTINGS = {
    name: replace(
        PRESETS[name], epochs=10, degrees=10.0, scale=0.0, shift=4 / 48, contrast=0.0, brightness=0.0, soften_share=0.0,
        erase_share=0.25, mixup_share=0.0, rebalance=0.0, average=0.0,
    )
    for name in ("tiny", "small", "medium")
}  # fmt: skip
ARMS = {
    "A0": Arm("the image alone", {"branches": "image"}),
    "A1": Arm("patterns alone", {"branches": "lbp"}),
    "A2": Arm("two image branches, to control for size", {"branches": "image+image"}),
    "A3": Arm("image and patterns, summed", {"fusion": "sum"}),
    "A4": Arm("image and patterns, concatenated", {"fusion": "concat"}),
    "A5": Arm("the method: attentional selective fusion"),
    "A6": Arm("global attention alone", {"context": "global"}),
    "A7": Arm("local attention alone", {"context": "local"}),
    "A8": Arm("the method without transformer", {"depth": 0}),
    "A9-t1": Arm("the gate t1", {"gate": "t1"}),
    "A9-t2": Arm("the gate t2", {"gate": "t2"}),
    "A10": Arm("one learned weight instead of attention", {"fusion": "scalar"}),
}
QUESTIONS = (
    Question("Do patterns add to the image?", {"A5": 1, "A0": -1}),
    Question("Do they add more than a second image branch?", {"A5": 1, "A2": -1}),
    Question("Does a second image branch add to the image?", {"A2": 1, "A0": -1}),
    Question("Is attentional fusion better than the sum?", {"A5": 1, "A3": -1}),
    Question("Is attentional fusion better than concatenation?", {"A5": 1, "A4": -1}),
    Question("Is it better than one learned weight?", {"A5": 1, "A10": -1}),
    Question("Is it better than global attention alone?", {"A5": 1, "A6": -1}),
    Question("Is it better than local attention alone?", {"A5": 1, "A7": -1}),
    Question("Does the transformer add to the fused map?", {"A5": 1, "A8": -1}),
    Question("Is the image better than patterns?", {"A0": 1, "A1": -1}),
    *(
        Question(f"Does {name} take more of the method than of {what}?", {arm: 1, "A5": -1}, "accuracy", shown,
                 "answers")
        for shown, name in (("occluded", "a covered square"), ("blurred", "blur"))
        for arm, what in (("A0", "the image alone"), ("A3", "the sum"))
    ),
)  # fmt: skip
# Side of a black square on each face, and standard deviation of a blur, both in pixels of 48.
SQUARE, BLUR = 16, 1.0
# A gate that varies less over faces and positions counts as a sum with fixed weights.
STUCK = 0.02


def checks(network: Vtff, settings: Settings, faces: Selection, trained_on: Selection) -> Result:
    """Return answers about occluded and blurred faces, and statistics of the gate.

    gate: mean and standard deviation of the first branch's weight: over all, of the channels' means, of the positions'
    means, and within channels; and its mean for each expression.
    """
    crops, sources = tensor(faces), [sample.source for sample in faces.samples]
    row: Result = {}
    for name, changed in (("occluded", occluded(crops)), ("blurred", blurred(crops))):
        predicted = torch.cat([answers.logits.argmax(dim=1) for answers in answer(network, changed)]).numpy()
        row[name] = kept(sources, faces.labels, predicted)
    gates = [answers.gate for answers in answer(network, crops)]
    if gates[0] is not None:
        row["gate"] = _gate(torch.cat([gate for gate in gates if gate is not None]), faces.labels)
    return row


def occluded(crops: Tensor) -> Tensor:
    """(N, 1, S, S) uint8 with a black square on each face, at the same place for every network."""
    rng, result = np.random.default_rng(0), crops.clone()
    side = crops.shape[-1] * SQUARE // 48
    for face in result:
        y, x = rng.integers(0, crops.shape[-1] - side + 1, 2)
        face[:, y : y + side, x : x + side] = 0
    return result


def blurred(crops: Tensor) -> Tensor:
    """(N, 1, S, S) uint8 after a Gaussian blur."""
    sigma = crops.shape[-1] * BLUR / 48
    return torch.from_numpy(np.stack([cv2.GaussianBlur(face[0], (0, 0), sigma) for face in crops.numpy()]))[:, None]


def _gate(gate: Tensor, labels: NDArray[np.int64]) -> Result:
    of = {Expression(c).label: mean(gate[torch.from_numpy(labels == c)].flatten().tolist()) for c in np.unique(labels)}
    return {
        "mean": round(float(gate.mean()), 4),
        "std": round(float(gate.std()), 4),
        "std_of_channels": round(float(gate.mean(dim=(0, 2, 3)).std()), 4),
        "std_of_places": round(float(gate.mean(dim=(0, 1)).std()), 4),
        "std_within_channels": round(float(gate.transpose(0, 1).flatten(1).std(dim=1).mean()), 4),
        "of_expressions": of,
    }


def summary(results: Sequence[Mapping[str, Any]]) -> Result:
    """Return the checks of an arm, averaged over its seeds: accuracy when occluded and blurred, and the gate."""
    row: Result = {}
    for name in ("occluded", "blurred"):
        row[name] = mean([_accuracy(result[name]) for result in results])
    gates = [result["gate"] for result in results if "gate" in result]
    if gates:
        row |= {f"gate_{key}": mean([gate[key] for gate in gates]) for key in gates[0] if key != "of_expressions"}
        row["gate_is_stuck"] = row["gate_std_within_channels"] < STUCK
    return row


def _accuracy(answers: Mapping[str, str]) -> float:
    return float(np.mean([a == b for a, b in zip(answers["labels"], answers["answers"], strict=True)]))


def sentences(table: Mapping[str, Any]) -> dict[str, str]:
    """Return the paper's claims, fixed before the runs, with the answer of the runs to each."""
    asked = {entry["question"]: entry for entry in table["questions"]}
    patterns, control, total, joined = (asked.get(question.text) for question in _claimed())
    claims: dict[str, str] = {}
    if patterns and control:
        holds = patterns["value"] > 0 and patterns["low"] > -0.003 and control["value"] >= 0
        sure = patterns["low"] > 0 and control["low"] > 0
        wide = patterns["high"] > 0 and control["high"] >= 0
        claims["image and patterns beat the image"] = (
            "confirmed" if sure else "accepted" if holds else "undecided" if wide else "no"
        )
    if total and joined:
        least = min(total, joined, key=lambda entry: float(entry["value"]))
        claims["attentional fusion beats simple fusion"] = {"higher": "confirmed", "lower": "no"}.get(
            least["answer"], least["answer"]
        )
    return claims


def _claimed() -> list[Question]:
    return [QUESTIONS[i] for i in (0, 1, 3, 4)]
