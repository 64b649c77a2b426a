"""Export any network from named tensors to named tensors, checked against the ONNX file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from mien.core.session import open_session
from mien.export.to_onnx import HALF_TOLERANCE, TOLERANCE, in_half_precision, refuse_above, traced

# Of a largest difference.
_WHERE = "of an answer's largest value"


def write(
    network: nn.Module,
    example: tuple[Tensor, ...],
    inputs: Sequence[str],
    meta: Mapping[str, str],
    path: Path,
    *,
    half: bool,
) -> dict[str, float]:
    """Write a network from tensors to a dict of tensors to an ONNX file with these metadata.

    Return {"parity": ..., "half": ...}: the largest difference of any output on the example, as a share of its largest
    value, between the network and its graph, and between that graph and its half-precision weights. Raise ExportError,
    and write nothing, if one is above TOLERANCE or HALF_TOLERANCE.
    """
    network = network.eval()
    with torch.no_grad():
        wanted = network(*example)
    batch = torch.export.Dim("batch", min=1, max=4096)
    graph = traced(network, example, inputs, list(wanted), tuple({0: batch} for _ in example), meta)
    differences = {"parity": _difference(graph, example, inputs, wanted)}
    refuse_above(TOLERANCE, differences["parity"], "the ONNX graph and the PyTorch network", _WHERE)
    if half:
        graph = in_half_precision(graph)
        differences["half"] = _difference(graph, example, inputs, wanted)
        refuse_above(HALF_TOLERANCE, differences["half"], "the half-precision file and the PyTorch network", _WHERE)
    onnx.checker.check_model(graph)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(graph.SerializeToString())
    return differences


def _difference(
    graph: onnx.ModelProto, example: tuple[Tensor, ...], inputs: Sequence[str], wanted: Mapping[str, Tensor]
) -> float:
    session = open_session(graph.SerializeToString())
    given = session.run(list(wanted), {n: part.numpy() for n, part in zip(inputs, example, strict=True)})
    largest = 0.0
    for answer, value in zip(given, wanted.values(), strict=True):
        largest = max(largest, float(np.abs(answer - value.numpy()).max() / max(float(value.abs().max()), 1e-6)))
    return largest
