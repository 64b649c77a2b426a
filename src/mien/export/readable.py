"""Give a finished model file a head for readability; all its other answers stay as they are, to the bit.

`python -m mien.export.readable MODEL --data ferplus:FILE [--hold-out 0.1] -o FILE.onnx` fits a logistic regression on
what the model's last layer reads of each face: how many people could read it, from the votes for "unknown" and "not a
face" and from faces made unreadable. Its held-out faces are not used.

Letters: N faces, C features of a face.
"""

from collections.abc import Sequence

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mien import datasets
from mien.core.align import crop
from mien.core.contract import Contract
from mien.core.session import open_session
from mien.core.zoo import load
from mien.datasets import Sample
from mien.datasets.hold_out import hold_out
from mien.errors import ExportError, InputError
from mien.export.script import arguments
from mien.progress import shown
from mien.training.readability import readable_share, worn

_OUTPUT = "readability"
# Weight of a worn view beside a face as it is. Weighed alike, faces that people could not read are told from others
# with an area under the curve of .87, weighed so with .90 (four folds of the training faces), worn ones with 1.00.
_WORN = 0.1
# Weight decay of the regression, and steps of Newton's method.
_DECAY, _STEPS = 1.0, 12
_PART = 64
Floats = NDArray[np.float64]


def features_name(model: onnx.ModelProto) -> str:
    """Return the name of the (N, C) features that the last layer reads; raise ExportError if there is no such layer."""
    made_by = {output: node for node in model.graph.node for output in node.output}
    name = "logits"
    while (node := made_by.get(name)) is not None and node.op_type in ("Div", "Add"):
        name = node.input[0]
    if node is None or node.op_type not in ("Gemm", "MatMul"):
        raise ExportError("the model's logits are not made by a linear layer, so mien export did not write it")
    return str(node.input[0])


def features(model: onnx.ModelProto, crops: NDArray[np.uint8], threads: int = 2) -> Floats:
    """(N, C) of (N, S, S) uint8 crops."""
    name, copy = features_name(model), onnx.ModelProto()
    copy.CopyFrom(model)
    copy.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    session = open_session(copy.SerializeToString(), threads)
    contract, entry = Contract.read(session), session.get_inputs()[0].name
    parts = []
    for start in shown(range(0, len(crops), _PART), "reading faces", -(-len(crops) // _PART)):
        faces = (crops[start : start + _PART, None].astype(np.float32) / 255 - contract.mean) / contract.std
        parts.append(session.run([name], {entry: faces.astype(np.float32)})[0])
    return np.concatenate(parts).astype(np.float64)


def fitted(values: Floats, shares: Floats, counts: Floats) -> tuple[Floats, float]:
    """Weights (C,) and bias of a logistic regression of shares on features.

    values: (N, C).   shares: (N,) from 0 to 1.   counts: (N,) how much each face weighs.
    """
    mean, spread = values.mean(axis=0), values.std(axis=0) + 1e-6
    rows = np.column_stack([(values - mean) / spread, np.ones(len(values))])
    decay = np.full(rows.shape[1], _DECAY)
    decay[-1] = 0
    weights = np.zeros(rows.shape[1])
    for _ in range(_STEPS):
        given = 1 / (1 + np.exp(-rows @ weights))
        slope = rows.T @ (counts * (given - shares)) + decay * weights
        curve = (rows * (counts * given * (1 - given))[:, None]).T @ rows + np.diag(decay + 1e-9)
        weights -= np.linalg.solve(curve, slope)
    scaled = weights[:-1] / spread
    return scaled, float(weights[-1] - mean @ scaled)


def lessons(dataset: Sequence[Sample], size: int, seed: int = 0) -> tuple[NDArray[np.uint8], Floats, Floats]:
    """Crops, as they are and then worn, what share of people could read each, and what each weighs.

    Raise InputError without votes.
    """
    samples = [sample for sample in map(dataset.__getitem__, range(len(dataset))) if sample.votes is not None]
    if not samples:
        raise InputError("readability is learned from votes, and no face of the data has any")
    crops = np.stack([crop(sample.image, size) for sample in samples])
    shares = readable_share(np.stack([sample.votes for sample in samples if sample.votes is not None]))
    torch.manual_seed(seed)
    views, factor = worn(torch.from_numpy(crops)[:, None].float() / 255)
    levels = (views[:, 0] * 255).round().clamp(0, 255).to(torch.uint8).numpy()
    counts = np.repeat([1.0, _WORN], len(crops))
    return np.concatenate([crops, levels]), np.concatenate([shares, shares * factor.numpy()]), counts


def with_head(model: onnx.ModelProto, weights: Floats, bias: float) -> onnx.ModelProto:
    """Return the model with a further output, readability (N,); raise ExportError if it has one."""
    if any(output.name == _OUTPUT for output in model.graph.output):
        raise ExportError("the model answers readability already")
    result = onnx.ModelProto()
    result.CopyFrom(model)
    matrix, sum_, one, flat = (f"{_OUTPUT}.{part}" for part in ("weight", "bias", "share", "shape"))
    result.graph.initializer.extend(
        [
            numpy_helper.from_array(weights.astype(np.float32)[:, None], matrix),
            numpy_helper.from_array(np.array([bias], np.float32), sum_),
            numpy_helper.from_array(np.array([-1], np.int64), flat),
        ]
    )
    result.graph.node.extend(
        [
            helper.make_node("Gemm", [features_name(model), matrix, sum_], [f"{one}.logit"]),
            helper.make_node("Sigmoid", [f"{one}.logit"], [one]),
            helper.make_node("Reshape", [one, flat], [_OUTPUT]),
        ]
    )
    batch = model.graph.output[0].type.tensor_type.shape.dim[0].dim_param or "batch"
    result.graph.output.append(helper.make_tensor_value_info(_OUTPUT, TensorProto.FLOAT, [batch]))
    onnx.checker.check_model(result)
    return result


def main() -> None:
    """Fit readability to votes and worn faces and write the model with it to another file."""
    parser = arguments(main.__doc__)
    parser.add_argument("--hold-out", type=float, default=0.1, help="Share of the faces that are not used.")
    given = parser.parse_args()
    model = onnx.load_model_from_string(load(given.model))
    part = hold_out(datasets.open(given.data), given.hold_out).train
    size = int(next(entry.value for entry in model.metadata_props if entry.key == "size"))
    crops, shares, counts = lessons(part, size)
    weights, bias = fitted(features(model, crops), shares, counts)
    given.output.write_bytes(with_head(model, weights, bias).SerializeToString())
    print(f"fitted on {len(crops)} faces, half of them worn; wrote {given.output}")


if __name__ == "__main__":
    main()
