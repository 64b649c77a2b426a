import dataclasses

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mien.core.contract import Classifier, Contract, softmax
from mien.core.session import open_session
from mien.errors import InputError, ModelError
from mien.facs.vocabulary import Expression

SIZE = 4
SEVEN = tuple(e for e in Expression if e is not Expression.CONTEMPT)


def contract(**changes: object) -> Contract:
    return dataclasses.replace(Contract(tuple(Expression), SIZE, 0.5, 0.25, "tiny", {}), **changes)


def model(
    meta: dict[str, str], classes: int = 8, output: str = "logits", shape: tuple[object, ...] = ("batch", 1, SIZE, SIZE)
) -> bytes:
    """A network whose k-th logit is the face's mean, after normalization, plus k."""
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["faces"], ["mean"], axes=[2, 3], keepdims=0),
            helper.make_node("Add", ["mean", "rise"], [output]),
        ],
        "tiny",
        [helper.make_tensor_value_info("faces", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [shape[0], classes])],
        [numpy_helper.from_array(np.arange(classes, dtype=np.float32), "rise")],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(proto, meta)
    onnx.checker.check_model(proto)
    return proto.SerializeToString()


def faces(value: int, count: int = 1) -> np.ndarray:
    return np.full((count, SIZE, SIZE), value, np.uint8)


def test_a_contract_survives_the_file():
    written = contract(meta={"prior": "0.5"})
    read = Contract.read(open_session(model(written.to_meta())))
    assert dataclasses.replace(read, meta={}) == dataclasses.replace(written, meta={})
    assert read.meta["prior"] == "0.5"


@pytest.mark.parametrize("key", ["labels", "size", "mean", "std"])
def test_a_missing_contract_entry_is_named(key):
    meta = contract().to_meta()
    del meta[key]
    with pytest.raises(ModelError, match=f"carries no '{key}'.*mien export"):
        Classifier(model(meta))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("labels", "happiness,hunger", "hunger"),
        ("labels", "happy,joy", "happy,joy"),
        ("size", "large", "large"),
        ("size", "0", "size 0"),
        ("mean", "half", ""),
        ("std", "[0.2]", ""),
        ("std", "0", "std 0"),
    ],
)
def test_a_contract_entry_that_cannot_be_used_is_refused(key, value, said):
    with pytest.raises(ModelError, match=f"metadata cannot be used.*{said}"):
        Classifier(model(contract().to_meta() | {key: value}))


def test_a_model_without_a_name_is_called_unnamed():
    meta = contract().to_meta()
    del meta["name"]
    assert Classifier(model(meta)).contract.name == "unnamed"


def test_a_model_without_logits_is_refused_and_its_outputs_are_named():
    with pytest.raises(ModelError, match="no output named 'logits'; it has scores"):
        Classifier(model(contract().to_meta(), output="scores"))


@pytest.mark.parametrize("classes", [1, 7])
def test_a_model_that_answers_another_number_of_classes_than_it_names_is_refused(classes):
    with pytest.raises(ModelError, match=rf"'logits' has shape \[{classes}\] .*\(8\), one logit for each"):
        Classifier(model(contract().to_meta(), classes=classes))


@pytest.mark.parametrize("data", [b"", b"no model", model(contract().to_meta())[:-40]])
def test_a_damaged_file_is_refused(data):
    with pytest.raises(ModelError, match="not an ONNX model"):
        Classifier(data)


def test_faces_are_scaled_to_one_and_normalized_as_the_contract_says():
    logits = Classifier(model(contract().to_meta())).logits(np.concatenate([faces(0), faces(255)]))
    np.testing.assert_allclose(logits[0], -2 + np.arange(8), atol=1e-6)  # (0 - 0.5) / 0.25
    np.testing.assert_allclose(logits[1], 2 + np.arange(8), atol=1e-6)
    assert logits.dtype == np.float32


def test_logits_come_in_expression_order_whatever_the_order_in_the_file():
    backwards = contract(labels=tuple(Expression)[::-1])
    logits = Classifier(model(backwards.to_meta())).logits(faces(0))
    np.testing.assert_allclose(logits[0], -2 + np.arange(8)[::-1], atol=1e-6)


def test_a_model_with_seven_labels_gives_contempt_no_probability():
    logits = Classifier(model(contract(labels=SEVEN).to_meta(), classes=7)).logits(faces(128, 3))
    assert (logits[:, Expression.CONTEMPT] == -np.inf).all()
    probabilities = softmax(logits)
    assert (probabilities[:, Expression.CONTEMPT] == 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("crops", [faces(0).astype(np.float32), np.zeros((1, SIZE, SIZE + 1), np.uint8), faces(0)[0]])
def test_crops_of_another_type_or_size_are_refused(crops):
    with pytest.raises(InputError, match=rf"expected gray crops, uint8 of shape \(N, {SIZE}, {SIZE}\)"):
        Classifier(model(contract().to_meta())).logits(crops)


def test_softmax_of_a_hand_worked_case():
    np.testing.assert_allclose(softmax(np.log([[1.0, 2.0, 5.0]])), [[0.125, 0.25, 0.625]], atol=1e-7)


def test_softmax_sums_to_one_for_logits_of_any_size_and_ignores_a_common_shift():
    logits = np.random.default_rng(0).normal(0, 300, (50, 8))
    np.testing.assert_allclose(softmax(logits).sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(softmax(logits + 1e4), softmax(logits), atol=1e-6)


def test_softmax_gives_masked_classes_exactly_nothing():
    probabilities = softmax(np.array([[0.0, -np.inf, 0.0, -np.inf]]))
    assert probabilities.tolist() == [[0.5, 0, 0.5, 0]]
    assert probabilities.dtype == np.float32


@pytest.mark.parametrize(
    "shape", [("batch", 3, SIZE, SIZE), ("batch", 1, 224, 224), (8, 1, SIZE, SIZE), ("batch", SIZE)]
)
def test_a_model_that_does_not_take_gray_faces_of_its_size_is_refused_at_the_door(shape):
    # Only the declared input is looked at: such a model is never run.
    graph = helper.make_graph(
        [helper.make_node("Identity", ["faces"], ["logits"])],
        "other",
        [helper.make_tensor_value_info("faces", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(proto, contract().to_meta())
    with pytest.raises(ModelError, match=r"shape \(N, 1, 4, 4\), but it takes faces"):
        Classifier(proto.SerializeToString())


def test_a_model_with_a_fixed_batch_of_one_reads_several_faces_one_by_one():
    free = Classifier(model(contract().to_meta()))
    single = Classifier(model(contract().to_meta(), shape=(1, 1, SIZE, SIZE)))
    crops = np.arange(3, dtype=np.uint8)[:, None, None] * np.full((SIZE, SIZE), 60, np.uint8)
    np.testing.assert_array_equal(single.logits(crops), free.logits(crops))
    assert len(set(free.logits(crops)[:, 0])) == 3


@pytest.mark.filterwarnings("ignore:overflow")
def test_logits_that_are_no_numbers_are_an_error_not_an_answer():
    meta = contract().to_meta() | {"mean": "1e39"}  # infinite in single precision
    with pytest.raises(ModelError, match="finite"):
        Classifier(model(meta)).logits(faces(200))


def with_outputs(**shapes: tuple[int, ...]) -> bytes:
    """The tiny model with more outputs: as many ones as each shape says, times the face's mean."""
    proto = onnx.load_from_string(model(contract().to_meta()))
    for name, shape in shapes.items():
        proto.graph.initializer.append(numpy_helper.from_array(np.ones((1, *shape), np.float32), f"{name}.ones"))
        proto.graph.initializer.append(numpy_helper.from_array(np.array([-1, *[1] * len(shape)]), f"{name}.shape"))
        proto.graph.node.append(helper.make_node("Reshape", ["mean", f"{name}.shape"], [f"{name}.mean"]))
        proto.graph.node.append(helper.make_node("Mul", [f"{name}.mean", f"{name}.ones"], [name]))
        proto.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape]))
    onnx.checker.check_model(proto)
    return proto.SerializeToString()


ALL = {"attention": (3, 5), "pose": (3,), "landmarks": (68, 2), "action_units": (24,)}


def test_a_model_answers_all_that_it_has_outputs_for_whatever_their_order():
    answers = Classifier(with_outputs(**ALL)).answers(np.concatenate([faces(255), faces(0, 2)]))
    assert answers.logits.shape == (3, 8)
    for name, shape in ALL.items():
        values = getattr(answers, name)
        assert values.shape == (3, *shape)
        assert (values[0] == 2).all()  # (1 - 0.5) / 0.25
        assert (values[1:] == -2).all()


def test_what_a_model_has_no_output_for_is_none():
    answers = Classifier(with_outputs(pose=(3,))).answers(faces(0))
    assert [name for name in answers._fields if getattr(answers, name) is not None] == ["logits", "pose"]


def test_no_faces_have_no_answers_but_logits_of_the_right_shape():
    assert Classifier(with_outputs(**ALL)).answers(faces(0, 0)).logits.shape == (0, 8)


@pytest.mark.parametrize("shapes", [{"landmarks": (68, 3)}, {"landmarks": (136,)}, {"action_units": (21,)}])
def test_an_output_of_another_shape_is_refused_by_name(shapes):
    (name,) = shapes
    with pytest.raises(ModelError, match=f"output '{name}' has shape .* but should have"):
        Classifier(with_outputs(**shapes))
