"""Model files that lie, hang or eat the machine."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mien.core import trial
from mien.core.contract import Classifier
from mien.core.onnx_file import check
from mien.core.session import MOST_THREADS, open_session
from mien.core.zoo import load
from mien.errors import InputError, ModelError
from tests.core.test_contract import SIZE, contract, faces, model, with_outputs
from tests.helpers import running


def network(nodes: list, tensors: list, shape: list, kind: int = TensorProto.FLOAT, **meta: str) -> bytes:
    """A network from "faces" to "logits" of this shape, by these nodes."""
    graph = helper.make_graph(
        nodes,
        "hostile",
        [helper.make_tensor_value_info("faces", TensorProto.FLOAT, ["batch", 1, SIZE, SIZE])],
        [helper.make_tensor_value_info("logits", kind, shape)],
        tensors,
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(proto, contract().to_meta() | meta)
    return proto.SerializeToString()


def constant(name: str, value: object) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(value), name)


def loop(times: int) -> bytes:
    """Eight logits after so many turns of a loop that nothing can compute beforehand: it starts from the faces."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Sin", ["x"], ["y"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
        ],
    )
    nodes = [
        helper.make_node("ReduceMean", ["faces"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Add", ["mean", "rise"], ["start"]),
        helper.make_node("Loop", ["times", "yes", "start"], ["logits"], body=body),
    ]
    tensors = [constant("rise", np.zeros(8, np.float32)), constant("times", np.int64(times)), constant("yes", True)]
    return network(nodes, tensors, ["batch", 8])


def constant_of_shape(size: int) -> bytes:
    """Eight logits, and besides so many floats that are summed up."""
    nodes = [
        helper.make_node("ConstantOfShape", ["sizes"], ["many"]),
        helper.make_node("ReduceSum", ["many"], ["sum"], keepdims=0),
        helper.make_node("ReduceMean", ["faces"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Add", ["mean", "rise"], ["risen"]),
        helper.make_node("Add", ["risen", "sum"], ["logits"]),
    ]
    tensors = [constant("sizes", np.array([size])), constant("rise", np.zeros(8, np.float32))]
    return network(nodes, tensors, ["batch", 8])


def scalar() -> bytes:
    return network([helper.make_node("ReduceMean", ["faces"], ["logits"], keepdims=0)], [], [])


def strings() -> bytes:
    return network(
        [helper.make_node("Cast", ["faces"], ["logits"], to=TensorProto.STRING)], [], ["batch", 8], TensorProto.STRING
    )


def undeclared(cells: int) -> bytes:
    """Logits whose shape nobody declared: so many a face."""
    nodes = [
        helper.make_node("ReduceMean", ["faces"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Add", ["mean", "rise"], ["logits"]),
    ]
    proto = onnx.load_from_string(network(nodes, [constant("rise", np.zeros(cells, np.float32))], []))
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    return proto.SerializeToString()


def outside(tmp_path: Path) -> bytes:
    """The tiny model with its weights in another file, which exists."""
    proto = onnx.load_from_string(model(contract().to_meta()))
    onnx.save(proto, tmp_path / "tiny.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    return (tmp_path / "tiny.onnx").read_bytes()


# What a file says of itself


@pytest.mark.parametrize("side", ["1000000", "30000", "513", "0", "9" * 5000])
def test_a_side_that_no_face_has_is_refused(side):
    with pytest.raises(ModelError, match="metadata cannot be used"):
        Classifier(model(contract().to_meta() | {"size": side}))


@pytest.mark.parametrize("key", ["mean", "std"])
@pytest.mark.parametrize("value", ["[" * 100_000, "nan", "inf", "Infinity"])
def test_a_mean_that_is_no_number_is_refused_in_a_sentence(key, value):
    with pytest.raises(ModelError, match="metadata cannot be used") as caught:
        Classifier(model(contract().to_meta() | {key: value}))
    assert len(str(caught.value)) < 600


# What it answers


def test_an_attention_map_without_cells_is_refused():
    with pytest.raises(ModelError, match=r"'attention' has shape \[0, 3\] a face, but should have \(1 to 512, 1 to"):
        Classifier(with_outputs(attention=(0, 3)))


def test_a_dimension_of_nothing_that_no_one_declared_is_refused_when_tried():
    proto = onnx.load_from_string(with_outputs(attention=(0, 3)))
    proto.graph.output[1].type.tensor_type.shape.dim[1].dim_param = "h"
    with pytest.raises(ModelError, match="'attention' has shape"):
        Classifier(proto.SerializeToString())


def test_logits_that_are_one_number_are_refused():
    with pytest.raises(ModelError, match="'logits' has shape"):
        Classifier(scalar())


def test_logits_that_are_words_are_refused():
    with pytest.raises(ModelError, match=r"'logits' is tensor\(string\), but should be of floats"):
        Classifier(strings())


def test_logits_of_an_undeclared_shape_are_tried():
    assert Classifier(undeclared(8)).heads == frozenset()
    with pytest.raises(ModelError, match=r"'logits' has shape \[9\] a face, but should have \(8\), one logit for each"):
        Classifier(undeclared(9))


# What it reads


def test_weights_in_other_files_are_refused_and_the_files_not_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where ONNX Runtime would look for them
    with pytest.raises(ModelError, match=r"keeps weights in other files.*save it as one file"):
        Classifier(outside(tmp_path))


def test_weights_in_other_files_are_seen_wherever_a_tensor_can_be():
    tensor = TensorProto(name="t", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    inner = helper.make_graph([helper.make_node("Constant", [], ["t"], value=tensor)], "inner", [], [])
    sparse = onnx.SparseTensorProto(values=tensor)
    function = helper.make_function("own", "f", [], ["t"], list(inner.node), [helper.make_opsetid("", 17)])
    for graph in (
        helper.make_graph([], "initializer", [], [], [tensor]),
        helper.make_graph([], "sparse", [], [], sparse_initializer=[sparse]),
        helper.make_graph(list(inner.node), "attribute", [], []),
        helper.make_graph([helper.make_node("If", ["x"], ["y"], then_branch=inner)], "branch", [], []),
    ):
        with pytest.raises(ModelError, match="other files"):
            check(helper.make_model(graph).SerializeToString())
    with pytest.raises(ModelError, match="other files"):
        check(helper.make_model(helper.make_graph([], "g", [], []), functions=[function]).SerializeToString())


def test_graphs_nested_without_end_are_refused():
    message = b""
    for _ in range(1000):
        for field in (6, 5, 1):  # a graph in an attribute in a node
            message = bytes([field << 3 | 2]) + _varint(len(message)) + message
    with pytest.raises(ModelError, match="nested too deep"):
        check(b"\x3a" + _varint(len(message)) + message)


def _varint(number: int) -> bytes:
    low, high = number & 127, number >> 7
    return bytes([low | 128]) + _varint(high) if high else bytes([low])


@pytest.mark.parametrize("data", [b"\x3a", b"\x3a\xff", b"\x3a\x05ab", b"\x80" * 20, b"\x3b\x01", b"ORTM" * 10])
def test_bytes_that_are_no_protobuf_are_refused(data):
    with pytest.raises(ModelError, match="not an ONNX model that can be opened"):
        check(data)


# What it costs


def test_a_model_that_computes_for_ever_is_ended(monkeypatch):
    monkeypatch.setattr("mien.core.contract.DEADLINE", 0.5)
    with pytest.raises(ModelError, match=r"ended after 0\.5 seconds for one face"):
        Classifier(loop(2**60))


def test_a_file_that_hangs_is_refused_by_its_name(tmp_path, monkeypatch):
    (tmp_path / "loop.onnx").write_bytes(loop(2**60))
    monkeypatch.setattr(trial, "SECONDS", 5.0)
    with pytest.raises(ModelError, match=r"loop\.onnx: opening it .* takes longer than 5 seconds"):
        load(tmp_path / "loop.onnx")


def test_a_file_that_takes_all_memory_is_refused_by_its_name(tmp_path):
    pytest.importorskip("resource")
    (tmp_path / "eight.onnx").write_bytes(constant_of_shape(2 << 30))  # 8 GB
    with pytest.raises(ModelError, match=r"eight\.onnx: "):
        load(tmp_path / "eight.onnx")


def test_a_good_file_is_tried_once(tmp_path, monkeypatch):
    data = model(contract(name="tried once").to_meta())
    (tmp_path / "own.onnx").write_bytes(data)
    assert load(tmp_path / "own.onnx") == data
    monkeypatch.setattr(trial, "command", running("raise SystemExit(1)"))
    assert load(tmp_path / "own.onnx") == data


def test_what_a_trial_finds_is_said_in_its_own_words(tmp_path):
    (tmp_path / "words.onnx").write_bytes(strings())
    with pytest.raises(ModelError, match=r"words\.onnx: the model's output 'logits' is tensor\(string\)"):
        load(tmp_path / "words.onnx")


def test_a_trial_that_ends_without_a_word_is_a_refusal(tmp_path, monkeypatch):
    monkeypatch.setattr(trial, "command", running("import os; os.abort()"))
    (tmp_path / "own.onnx").write_bytes(model(contract(name="ends").to_meta()))
    with pytest.raises(ModelError, match=r"own\.onnx: ONNX Runtime does not survive it \(exit code -6\)"):
        load(tmp_path / "own.onnx")


def test_what_mien_ships_is_not_tried(monkeypatch):
    monkeypatch.setattr(trial, "attempt", lambda *_: pytest.fail("tried"))
    assert load("reader")


@pytest.mark.parametrize("threads", [0, -1, MOST_THREADS + 1, 10_000, 10**6])
def test_a_number_of_threads_that_cannot_be_is_refused(threads):
    with pytest.raises(InputError, match=f"threads must be 1 or more, and at most {MOST_THREADS}, but got {threads}"):
        open_session(model(contract().to_meta()), threads)


@pytest.mark.parametrize("error", [RuntimeError("broken"), MemoryError(), KeyError("x"), SystemError("C")])
def test_whatever_a_session_raises_is_a_model_error(error):
    class Session:
        def run(self, *_: object) -> None:
            raise error

    classifier = Classifier(model(contract().to_meta()))
    classifier._session = Session()
    with pytest.raises(ModelError, match="the model cannot be run"):
        classifier.logits(faces(0))
