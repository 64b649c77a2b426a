"""A generator and a head of FERAnno made by hand: their files do what a formula says, so that answers are known.

The toy's flow ends at a face of bars: an expression fills the left half with a shade of its own, each action unit that
is told lightens a row of its own on the right by its intensity, words lighten the last row. A little noise stays.
"""

import hashlib
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from mien.core.contract import Classifier, network_of
from mien.core.zoo import load
from mien.facs.units import VECTOR
from mien.facs.vocabulary import Expression
from mien.methods.feranno.labeler import KIND
from mien.methods.synfer.flow.captions import LONGEST
from mien.methods.synfer.flow.sample import About

SIDE = 48
WORDS = ("a", "brows", "dropped", "eyebrows", "face", "jaw", "left", "lifted", "look", "lowered", "right", "surprised")
# The share of the way to its face that the flow has left when it ends at the last of many steps.
PULL = 0.9
# A row a unit on the right half, from the top; words have the last.
ROW = SIDE // (VECTOR + 1)


def about() -> About:
    """Two rows of action units for each expression: 0.2 and 0.8 of every one."""
    bank = {e: np.full((2, VECTOR), 0.2, np.float32) + np.array([[0], [0.6]], np.float32) for e in Expression}
    return About(SIDE, WORDS, bank, np.array([0.5, 0.5, 0, 0, 0, 0, 0, 0], np.float32))


def patterns() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(8, 2304), (24, 2304) and (1, 2304): what label, units and words add to the face."""
    label = np.zeros((8, SIDE, SIDE), np.float32)
    label[:, :, : SIDE // 2] = np.linspace(-0.8, 0.8, 8)[:, None, None]
    units = np.zeros((VECTOR, SIDE, SIDE), np.float32)
    for k in range(VECTOR):
        units[k, ROW * k : ROW * (k + 1), SIDE // 2 :] = 1
    words = np.zeros((1, SIDE, SIDE), np.float32)
    words[:, ROW * VECTOR :, SIDE // 2 :] = 1
    return tuple(part.reshape(len(part), -1) for part in (label, units, words))


def generator(path: Path) -> Path:
    """velocity = PULL (x - face) / t, features the mean of each cell of 8 x 8 pixels, maps t times these."""
    label, units, words = (numpy_helper.from_array(p, n) for p, n in zip(patterns(), ("A", "B", "C"), strict=True))
    constants = {
        "image": np.array([-1, 1, SIDE, SIDE], np.int64),
        "one": np.array([-1, 1, 1, 1], np.int64),
        "least": np.array(0.01, np.float32),
        "pull": np.array(PULL, np.float32),
        "length": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("MatMul", ["label", "A"], ["of_label"]),
        helper.make_node("Mul", ["units", "known"], ["told"]),
        helper.make_node("MatMul", ["told", "B"], ["of_units"]),
        helper.make_node("Sign", ["words"], ["there"]),
        helper.make_node("Cast", ["there"], ["counted"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["counted", "length"], ["share"]),
        helper.make_node("MatMul", ["share", "C"], ["of_words"]),
        helper.make_node("Sum", ["of_label", "of_units", "of_words"], ["flat"]),
        helper.make_node("Reshape", ["flat", "image"], ["face"]),
        helper.make_node("Reshape", ["t", "one"], ["time"]),
        helper.make_node("Max", ["time", "least"], ["divisor"]),
        helper.make_node("Sub", ["x", "face"], ["way"]),
        helper.make_node("Div", ["way", "divisor"], ["steady"]),
        helper.make_node("Mul", ["steady", "pull"], ["velocity"]),
        helper.make_node("AveragePool", ["x"], ["features"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Mul", ["features", "time"], ["maps"]),
    ]
    inputs = {
        "x": (1, SIDE, SIDE), "t": (), "label": (8,), "words": (LONGEST,), "units": (VECTOR,), "known": (VECTOR,)
    }  # fmt: skip
    outputs = {"velocity": (1, SIDE, SIDE), "features": (1, 6, 6), "maps": (1, 6, 6)}
    weights = [label, units, words, *(numpy_helper.from_array(v, n) for n, v in constants.items())]
    return _write(nodes, inputs, outputs, weights, about().to_meta() | {"name": "toy"}, path)


def head(path: Path, generator: Path) -> Path:
    """Surer of surprise the lighter the left third of a face, and of neutral the darker; no other answer."""
    weights = np.zeros((36, 8), np.float32)
    weights.reshape(6, 6, 8)[:, :2, Expression.SURPRISE] = 1
    weights.reshape(6, 6, 8)[:, :2, Expression.NEUTRAL] = -1
    bias = np.full(8, -50, np.float32)
    bias[[Expression.SURPRISE, Expression.NEUTRAL]] = 0
    nodes = [
        helper.make_node("Flatten", ["features"], ["flat"]),
        helper.make_node("Gemm", ["flat", "W", "b"], ["of_features"]),
        helper.make_node("Flatten", ["maps"], ["unused"]),
        helper.make_node("Gemm", ["unused", "nothing", "b0"], ["of_maps"]),
        helper.make_node("Add", ["of_features", "of_maps"], ["logits"]),
    ]
    named = {"W": weights, "b": bias, "nothing": np.zeros((36, 8), np.float32), "b0": np.zeros(8, np.float32)}
    meta = {
        "kind": KIND,
        "generator": hashlib.sha256(generator.read_bytes()).hexdigest(),
        "units": network_of(load("reader"), Classifier(load("reader")).contract),
    }
    tensors = [numpy_helper.from_array(v, n) for n, v in named.items()]
    return _write(nodes, {"features": (1, 6, 6), "maps": (1, 6, 6)}, {"logits": (8,)}, tensors, meta, path)


def _write(nodes, inputs, outputs, weights, meta, path: Path) -> Path:
    def value(name, shape):
        kind = TensorProto.INT64 if name == "words" else TensorProto.FLOAT
        return helper.make_tensor_value_info(name, kind, ["n", *shape])

    graph = helper.make_graph(
        nodes, "toy", [value(*item) for item in inputs.items()], [value(*item) for item in outputs.items()], weights
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, meta)
    path.write_bytes(model.SerializeToString())
    return path
