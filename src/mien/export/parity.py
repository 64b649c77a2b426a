"""The same faces through PyTorch and through the ONNX file: how far apart are the probabilities?"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mien.session import Classifier, softmax


def largest_difference(network: nn.Module, model: bytes, crops: NDArray[np.uint8]) -> float:
    """The largest difference of any probability, over (N, S, S) uint8 gray crops.

    network: normalized (N, 1, S, S) faces to (N, K) logits, in evaluation mode; K as the contract of the file says.
    """
    classify = Classifier(model)
    contract = classify.contract
    faces = (torch.from_numpy(crops)[:, None].float() / 255 - contract.mean) / contract.std
    with torch.no_grad():
        wanted = softmax(network(faces).numpy())
    given = softmax(classify.logits(crops))[:, [int(e) for e in contract.labels]]
    return float(np.abs(wanted - given).max())
