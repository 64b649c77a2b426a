"""A model in two small ONNX files that says what a script has it say, so that nothing needs to be trained.

Each word follows from the word before alone; where the script splits, a bright face goes one way and a dark one the
other. So every word of a script occurs in one place only.
"""

import hashlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mien.core.contract import Contract
from mien.facs.vocabulary import Expression
from mien.methods.expllm.small.conversation import QUESTIONS
from mien.methods.expllm.small.tokenizer import ASSISTANT, EOS, LABELS, PARTS, STOP, Tokenizer, split

# A smile that the conclusion names, and lowered brows.
BRIGHT = ("the lip corners are strongly pulled up .", "this makes a smile .", "it shows")
DARK = ("both brows look moderately lowered .", "that seems gloomy .", "probably we see")
SLOTS = 2


def words(*more: str) -> Tokenizer:
    return Tokenizer.learn([*BRIGHT, *DARK, *QUESTIONS.values(), "left right", *more])


def write_model(folder: Path, bright=BRIGHT, dark=DARK, labels=("happiness", "sadness"), more=(), **meta: str) -> Path:
    """A folder as `mien export expllm` writes it.

    bright, dark: what the three parts say, the last without its label.   labels: of bright and dark faces.
    more: (word, next) pairs that both say before anything else.   meta: to say in the language model's file.
    """
    known = words(*bright, *dark, *(word for pair in more for word in pair if not word.startswith("<")))
    # Of every word what follows, of every face; and what only a bright one adds, and a dark one takes away.
    both, apart = np.zeros((len(known), len(known)), np.float32), np.zeros((len(known), len(known)), np.float32)
    for rank, mark in enumerate((*PARTS[1:], EOS)):
        both[known[STOP], known[mark]] = 3 - rank
    for parts, label, sign in ((bright, labels[0], 1), (dark, labels[1], -1)):
        apart[known[ASSISTANT], known[f"<lab:{label}>"]] = 9 * sign
        for mark, text in zip(PARTS, parts, strict=True):
            said = split(text)
            apart[known[mark], known[said[0]]] = 9 * sign
            for one, then in pairwise(said):
                both[known[one], known[then]] += 9
        apart[known[split(parts[2])[-1]], known[f"<lab:{label}>"]] = 9 * sign
    for one, then in more:
        both[known[one], known[then]] = 99
    folder.mkdir(parents=True, exist_ok=True)
    listed = known.to_json().encode()
    said_of_it = {
        "shift": ",".join(["0"] * len(LABELS)), "strength": "0", "temperature": "1",
        "words_sha256": hashlib.sha256(listed).hexdigest(),
    }  # fmt: skip
    onnx.save(_encoder(), folder / "encoder.onnx")
    onnx.save(_language(both, apart, said_of_it | meta), folder / "language.onnx")
    (folder / "tokenizer.json").write_bytes(listed)
    return folder


def _encoder() -> onnx.ModelProto:
    """The mean brightness of a face, as each of its patches."""
    nodes = [
        helper.make_node("ReduceMean", ["faces", "axes"], ["mean"], keepdims=1),
        helper.make_node("Squeeze", ["mean", "last"], ["each"]),
        helper.make_node("Tile", ["each", "times"], ["patches"]),
    ]
    given = {"axes": [2, 3], "last": [3], "times": [1, SLOTS, 1]}
    graph = helper.make_graph(
        nodes, "encoder", [_value("faces", ["n", 1, 48, 48])], [_value("patches", ["n", SLOTS, 1])], _constants(given)
    )
    contract = Contract(tuple(Expression), 48, 0.5, 0.25, "scripted", {})
    return _model(graph, contract.to_meta())


def _language(both: np.ndarray, apart: np.ndarray, meta: dict[str, str]) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Gather", ["tokens", "last"], ["word"], axis=1),  # (1,)
        helper.make_node("Gather", ["both", "word"], ["shared"]),
        helper.make_node("Gather", ["apart", "word"], ["split"]),
        helper.make_node("ReduceMean", ["patches", "all"], ["mean"], keepdims=0),
        helper.make_node("Sign", ["mean"], ["sign"]),
        helper.make_node("Mul", ["split", "sign"], ["mine"]),
        helper.make_node("Add", ["shared", "mine"], ["logits"]),
        # The cache only counts.
        helper.make_node("Shape", ["tokens"], ["shape"]),
        helper.make_node("Gather", ["shape", "one"], ["count"]),
        helper.make_node("Concat", ["ones", "count", "unit"], ["new"], axis=0),
        helper.make_node("ConstantOfShape", ["new"], ["read"]),
        helper.make_node("Concat", ["past", "read"], ["present"], axis=2),
    ]
    given = {"last": -1, "all": [0, 1, 2], "one": [1], "ones": [2, 1], "unit": [1]}
    tables = [numpy_helper.from_array(both, "both"), numpy_helper.from_array(apart, "apart")]
    inputs = [
        helper.make_tensor_value_info("tokens", TensorProto.INT64, [1, "t"]),
        _value("patches", [1, SLOTS, 1]),
        _value("past", [2, 1, "c", 1]),
    ]
    outputs = [_value("logits", [1, len(both)]), _value("present", [2, 1, "all_of_them", 1])]
    return _model(helper.make_graph(nodes, "language", inputs, outputs, [*_constants(given), *tables]), meta)


def _value(name: str, shape: list) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _constants(given: dict[str, object]) -> list[onnx.TensorProto]:
    return [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in given.items()]


def _model(graph: onnx.GraphProto, meta: dict[str, str]) -> onnx.ModelProto:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, meta)
    onnx.checker.check_model(model)
    return model
