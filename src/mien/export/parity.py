"""Compare the answers of PyTorch and of the ONNX file about the same faces."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mien.core.contract import Classifier, softmax
from mien.training.faces import planes


def largest_difference(network: nn.Module, model: bytes, crops: NDArray[np.uint8]) -> float:
    """Return the largest difference of any probability or other answer.

    crops: (N, S, S) uint8 gray, or (N, S, S, 3) in colour.
    network: normalized (N, C, S, S) faces to the outputs of the file by name, in evaluation mode. Degrees of pose count
    as shares of a right angle, so all answers are at most about 1; attention as a share of its largest value.
    """
    classify = Classifier(model)
    contract = classify.contract
    mean, std = torch.as_tensor(contract.mean), torch.as_tensor(contract.std)
    faces = (planes(crops).float() / 255 - mean) / std
    with torch.no_grad():
        wanted = {name: values.numpy() for name, values in network(faces).items()}
    given = classify.answers(crops)._asdict()
    given["logits"] = given["logits"][:, [int(e) for e in contract.labels]]
    return max(_difference(name, wanted[name], given[name]) for name in wanted)


def _difference(name: str, wanted: NDArray[np.float32], given: NDArray[np.float32]) -> float:
    if name == "logits":
        wanted, given = softmax(wanted), softmax(given)
    unit = {"pose": 90.0, "attention": float(np.abs(wanted).max()) or 1.0}.get(name, 1.0)
    return float(np.abs(wanted - given).max()) / unit
