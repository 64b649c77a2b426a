"""Join two model files into one whose word comes from both networks; all its other answers are the first one's.

`python -m mien.export.joined FIRST SECOND -o FILE.onnx` averages their logits: the normalized geometric mean of their
probabilities (Hinton, 2002, a product of experts). The second network sees the mirror image of each face, so that what
either makes of a side of the face cancels in part. Fit the calibration with `mien.export.recalibrate` afterwards.
"""

import argparse
from pathlib import Path

import numpy as np
import onnx
from onnx import compose, helper, numpy_helper

from mien.core.contract import NETWORK, Classifier, Contract, network_of
from mien.core.zoo import load
from mien.errors import ExportError, InputError

# Kernels of the second network with so many values are stored in eight bits, with a scale for each output channel.
_LARGE = 1 << 16
# What both must say alike, for one picture of a face goes into both.
_ALIKE = ("labels", "size", "channels", "mean", "std", "margin", "resize")


def joined(first: bytes, second: bytes, share: float = 0.5) -> onnx.ModelProto:
    """Return the model of both; it keeps the first one's name, and states share and SHA-256 of the second's file.

    share: weight of the second one's logits, above 0 and below 1.
    Raise InputError for another share or if the two read faces of different kinds, ExportError if their graphs were
    made for different operator sets.
    """
    if not 0 < share < 1:
        raise InputError(f"the second network's share must lie between 0 and 1, but got {share:g}")
    contracts = [Classifier(content).contract for content in (first, second)]
    _refuse_unlike(*contracts)
    model, other = (onnx.load_model_from_string(content) for content in (first, second))
    if _operators(model) != _operators(other):
        raise ExportError(f"the two graphs use different operators: {_operators(model)} and {_operators(other)}")
    # Names that no file has which was joined with another before: of the second network, and of what joins the two.
    whose = network_of(second, contracts[1])[:12]
    prefix, ours = f"{whose}/", f"{whose}.joined/"
    other = compose.add_prefix(other, prefix)
    old, entry = other.graph.input[0].name, model.graph.input[0].name
    for node in other.graph.node:
        node.input[:] = [ours + "mirrored" if name == old else name for name in node.input]
    for node in model.graph.node:
        node.output[:] = [ours + "first" if name == "logits" else name for name in node.output]
        node.input[:] = [ours + "first" if name == "logits" else name for name in node.input]
    _mirror(model, entry, ours)
    needed = _needed(other, prefix + "logits")
    model.graph.node.extend(node for node in other.graph.node if set(node.output) & needed)
    model.graph.initializer.extend(weight for weight in other.graph.initializer if weight.name in needed)
    _store_in_eight_bits(model, prefix)
    _end(model, share, prefix + "logits", ours)
    meta = {entry.key: entry.value for entry in model.metadata_props}
    meta |= {"strength": "0.0", "temperature": "1.0", NETWORK: network_of(first, contracts[0])}
    helper.set_model_props(model, meta | {"joined": f"{share:g} {network_of(second, contracts[1])}"})
    onnx.checker.check_model(model)
    return model


def _refuse_unlike(first: Contract, second: Contract) -> None:
    for name in _ALIKE:
        one, two = getattr(first, name), getattr(second, name)
        if one != two:
            raise InputError(f"the two models read faces of different {name}: {one} and {two}")


def _operators(model: onnx.ModelProto) -> dict[str, int]:
    return {entry.domain: entry.version for entry in model.opset_import}


def _needed(model: onnx.ModelProto, output: str) -> set[str]:
    """The names of all values that an output is computed from, and its own."""
    made_by = {name: node for node in model.graph.node for name in node.output}
    needed: set[str] = set()
    waiting = [output]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting.extend(made_by[name].input if name in made_by else ())
    return needed


def _mirror(model: onnx.ModelProto, entry: str, ours: str) -> None:
    values = {"starts": -1, "ends": np.iinfo(np.int64).min, "axes": 3, "steps": -1}
    names = [f"{ours}mirrored.{name}" for name in values]
    arrays = zip(values.values(), names, strict=True)
    model.graph.initializer.extend(numpy_helper.from_array(np.array([value], np.int64), name) for value, name in arrays)
    model.graph.node.append(helper.make_node("Slice", [entry, *names], [ours + "mirrored"]))


def _store_in_eight_bits(model: onnx.ModelProto, prefix: str) -> None:
    """Store the second network's large kernels as whole numbers; the runtime folds what restores them on loading."""
    made_by = {output: node for node in model.graph.node for output in node.output}
    weights = {weight.name: weight for weight in model.graph.initializer}
    kernels = {node.input[1] for node in model.graph.node if node.op_type == "Conv" and node.name.startswith(prefix)}
    restoring = []
    for name in sorted(kernels):
        cast = made_by.get(name)  # of half precision
        stored = weights.get(name if cast is None else cast.input[0])
        if stored is None or np.prod(stored.dims) < _LARGE:
            continue
        values = numpy_helper.to_array(stored).astype(np.float32)
        scale = np.abs(values).reshape(len(values), -1).max(axis=1).reshape(-1, 1, 1, 1) / 127 + 1e-12
        whole, factor, levels = (f"{name}.{part}" for part in ("eight_bits", "scale", "levels"))
        model.graph.initializer.remove(stored)
        if cast is not None:
            model.graph.node.remove(cast)
        model.graph.initializer.append(numpy_helper.from_array(np.round(values / scale).astype(np.int8), whole))
        model.graph.initializer.append(numpy_helper.from_array(scale.astype(np.float32), factor))
        restoring.append(helper.make_node("Cast", [whole], [levels], to=onnx.TensorProto.FLOAT))
        restoring.append(helper.make_node("Mul", [levels, factor], [name]))
    nodes = [*restoring, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _end(model: onnx.ModelProto, share: float, second: str, ours: str) -> None:
    """Average the logits; then shift and divide them as `mien.export.to_onnx.Calibrated` does, here by nothing.

    second: name of the second network's logits.   ours: what the names of the new values begin with.
    """
    values = {
        "first.share": np.array(1 - share),
        "second.share": np.array(share),
        "shift": np.zeros(8),
        "temperature": np.array(1.0),
    }
    weights = (numpy_helper.from_array(value.astype(np.float32), ours + name) for name, value in values.items())
    model.graph.initializer.extend(weights)
    for kind, one, two, result in (
        ("Mul", ours + "first", "first.share", ours + "first.part"),
        ("Mul", second, "second.share", ours + "second.part"),
        ("Add", ours + "first.part", "second.part", ours + "both"),
        ("Add", ours + "both", "shift", ours + "shifted"),
        ("Div", ours + "shifted", "temperature", "logits"),
    ):
        model.graph.node.append(helper.make_node(kind, [one, ours + two], [result]))


def main() -> None:
    """Join two model files that read the same faces, and write them as one."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("first", help="Name in mien.core.zoo.MODELS or an ONNX file; it answers everything.")
    parser.add_argument("second", help="The same; it answers the expression too.")
    parser.add_argument("--share", type=float, default=0.5, help="Weight of the second one's logits.")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    given.output.write_bytes(joined(load(given.first), load(given.second), given.share).SerializeToString())


if __name__ == "__main__":
    main()
