"""Export a trained network to ONNX: calibrated, checked against the network, stored in half precision."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from mien.core.contract import Contract
from mien.errors import ExportError
from mien.export.parity import largest_difference

# Largest allowed difference of any answer (see parity) between the network and its ONNX graph, and between that graph
# and the file with half-precision weights.
TOLERANCE = 1e-4
HALF_TOLERANCE = 1e-2
# Smaller tensors, such as biases, stay in single precision.
_SMALL = 1024


class Calibrated(nn.Module):
    """A network whose logits are shifted per class and divided by a temperature.

    network: faces to a dict of outputs, one of them "logits". shift: (K,), added to the logits.   temperature: above 1
    lowers the confidence.
    """

    shift: Tensor

    def __init__(self, network: nn.Module, shift: Tensor, temperature: float) -> None:
        super().__init__()
        self.network, self.temperature = network, temperature
        self.register_buffer("shift", shift.float())

    def forward(self, faces: Tensor) -> dict[str, Tensor]:
        """(B, 1, S, S) -> the outputs, with calibrated logits (B, K)."""
        outputs: dict[str, Tensor] = self.network(faces)
        return outputs | {"logits": (outputs["logits"] + self.shift) / self.temperature}


def to_onnx(
    network: nn.Module, contract: Contract, path: Path, *, half: bool = True, seed: int = 0
) -> dict[str, float]:
    """Write the network and its contract to an ONNX file; return how far both differ.

    network: normalized (N, C, S, S) faces to a dict of outputs by name, as in mien.core.contract.Answers, with
    "logits", (N, K), among them. half: store weights in half precision; computation stays in single precision.
    Return {"parity": ..., "half": ...}: the largest differences of any answer over 64 pictures of random patches. Raise
    ExportError, and write nothing, if the graph differs from the network by more than TOLERANCE, or half precision
    changes an answer by more than HALF_TOLERANCE.
    """
    network = network.eval()
    graph = _graph(network, contract)
    faces = _probes(contract.view.shape, seed)
    differences = {"parity": largest_difference(network, graph.SerializeToString(), faces)}
    refuse_above(TOLERANCE, differences["parity"], "the ONNX graph and the PyTorch network")
    if half:
        graph = in_half_precision(graph)
        differences["half"] = largest_difference(network, graph.SerializeToString(), faces)
        refuse_above(HALF_TOLERANCE, differences["half"], "the half-precision file and the PyTorch network")
    onnx.checker.check_model(graph)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(graph.SerializeToString())
    return differences


def in_half_precision(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with its large weights stored as float16, each followed by a Cast that the runtime folds."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    casts = []
    for weight in result.graph.initializer:
        if weight.data_type != TensorProto.FLOAT or np.prod(weight.dims) < _SMALL:
            continue
        name = weight.name
        rounded = numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float16), f"{name}.half")
        weight.CopyFrom(rounded)
        casts.append(helper.make_node("Cast", [rounded.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *result.graph.node]
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    return result


def _probes(shape: tuple[int, ...], seed: int, count: int = 64) -> NDArray[np.uint8]:
    """(count, *shape) pictures of random patches of various sizes; pixel noise all looks alike to a network.

    shape: (size, size), or (size, size, 3) in colour.
    """
    rng = np.random.default_rng(seed)
    pictures = []
    for _ in range(count):
        patch = int(rng.integers(4, 17))
        coarse = rng.integers(0, 256, (-(-shape[0] // patch), -(-shape[1] // patch), *shape[2:]))
        pictures.append(coarse.repeat(patch, axis=0).repeat(patch, axis=1)[: shape[0], : shape[1]])
    return np.array(pictures).astype(np.uint8)


def traced(
    network: nn.Module,
    example: tuple[Tensor, ...],
    inputs: Sequence[str],
    outputs: Sequence[str],
    shapes: Any,
    meta: Mapping[str, str],
) -> onnx.ModelProto:
    """Return the ONNX graph of a network in evaluation mode, with metadata, without traces of the machine.

    inputs, outputs: their names.   shapes: dynamic dimensions, as dynamic_shapes of torch.onnx.export.
    """
    with warnings.catch_warnings():
        # Several inputs share the name of the batch on purpose.
        warnings.filterwarnings("ignore", "# The axis name", UserWarning)
        program = torch.onnx.export(
            network.eval(),
            example,
            dynamo=True,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=shapes,
            verbose=False,
        )
    if program is None:
        raise ExportError("PyTorch's exporter wrote no graph")
    model = program.model_proto
    # Remove stack traces and source paths of the exporting machine.
    for node in [*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.value_info]:
        del node.metadata_props[:]
        node.doc_string = ""
    model.doc_string = model.graph.doc_string = ""
    del model.graph.metadata_props[:]
    helper.set_model_props(model, dict(meta))
    return model


def _graph(network: nn.Module, contract: Contract) -> onnx.ModelProto:
    example = (torch.zeros(2, contract.channels, contract.size, contract.size),)
    with torch.no_grad():
        names = list(network(*example))
    batch = torch.export.Dim("batch", min=1, max=4096)
    return traced(network, example, ["faces"], names, ({0: batch},), contract.to_meta())


def refuse_above(tolerance: float, difference: float, what: str, where: str = "in an answer") -> None:
    """Raise ExportError, naming what differs, if a difference is above the tolerance or not a number."""
    if not difference <= tolerance:
        raise ExportError(
            f"{what} differ by {difference:.2g} {where}; allowed are {tolerance:g}, so nothing was written"
        )
