import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import mien
from mien.core.contract import Contract
from mien.core.reader import Reader
from mien.facs.vocabulary import Expression
from tests.helpers import ASTRONAUT, noise


def expressions_alone(path, size: int):
    """A model that takes every face for afraid, and says no more."""
    fear = np.eye(8, dtype=np.float32)[Expression.FEAR] * 9
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["faces"], ["mean"], axes=[2, 3], keepdims=0),
            helper.make_node("Mul", ["mean", "nothing"], ["none"]),
            helper.make_node("Add", ["none", "fear"], ["logits"]),
        ],
        "afraid",
        [helper.make_tensor_value_info("faces", TensorProto.FLOAT, ["batch", 1, size, size])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 8])],
        [numpy_helper.from_array(fear, "fear"), numpy_helper.from_array(np.zeros(1, np.float32), "nothing")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, Contract(tuple(Expression), size, 0.5, 0.25, "afraid", {}).to_meta())
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("size", [48, 64])
def test_of_a_model_that_reads_expressions_alone_the_default_reader_says_the_rest(tmp_path, size):
    path = expressions_alone(tmp_path / "afraid.onnx", size)
    whole, alone = mien.analyze(ASTRONAUT).faces[0], mien.analyze(ASTRONAUT, model=path).faces[0]
    assert alone.expression.top is Expression.FEAR
    assert alone.landmark_source == "reader"
    away = np.abs(alone.landmarks - whole.landmarks).max()
    assert away < 0.03 * (whole.face.box[2] - whole.face.box[0])
    assert alone.action_units[12] == pytest.approx(whole.action_units[12], abs=0.1)
    assert alone.attention is None


def test_a_reader_that_says_all_is_asked_alone():
    crops = noise(3, 48, 48)
    both = Reader()(crops)
    again = Reader("reader")(crops)
    for one, other in zip(both, again, strict=True):
        np.testing.assert_array_equal(one.landmarks, other.landmarks)
        assert one.attention is not None
