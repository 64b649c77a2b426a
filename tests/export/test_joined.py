import numpy as np
import onnx
import pytest
from onnx import TensorProto

from mien.core.contract import Classifier, network_of
from mien.core.zoo import load
from mien.errors import ExportError, InputError
from mien.evaluation.calibration import Calibration
from mien.export.joined import joined
from mien.export.recalibrate import recalibrated
from tests.helpers import drawn_face


def crops(count: int = 4) -> np.ndarray:
    return np.stack([drawn_face(i % 2 == 0, i) for i in range(count)])


def test_the_word_comes_from_both_and_everything_else_from_the_first():
    first, second = Classifier(load("reader")), Classifier(load("vtff"))
    both = Classifier(joined(load("reader"), load("vtff"), 0.25).SerializeToString())
    one, answered = first.answers(crops()), both.answers(crops())
    mirrored = second.logits(np.ascontiguousarray(crops()[:, :, ::-1]))
    # Eight bits for large kernels move a logit by less than a tenth.
    assert np.allclose(answered.logits, 0.75 * one.logits + 0.25 * mirrored, atol=0.1)
    assert not np.allclose(answered.logits, one.logits, atol=0.1)
    for name in ("action_units", "landmarks", "pose", "attention", "readability"):
        assert np.array_equal(getattr(answered, name), getattr(one, name)), name


def test_a_joined_file_says_what_it_was_made_of_and_can_be_calibrated():
    model = joined(load("reader"), load("se-swin"))
    first, second = (Classifier(load(name)).contract for name in ("reader", "se-swin"))
    both = Classifier(recalibrated(model, Calibration((0.0,) * 8, 0.0, 2.0), {}).SerializeToString())
    assert both.contract.meta["joined"] == f"0.5 {network_of(load('se-swin'), second)}"
    # Its units are still those that FERAnno learned with.
    assert network_of(b"", both.contract) == network_of(load("reader"), first)
    before = Classifier(model.SerializeToString())
    assert np.allclose(both.logits(crops()), before.logits(crops()) / 2, atol=1e-5)


def bytes_of(model: onnx.ModelProto) -> int:
    """What its kernels of eight bits take."""
    return sum(int(np.prod(weight.dims)) for weight in model.graph.initializer if weight.data_type == TensorProto.INT8)


def test_large_kernels_of_the_second_network_take_a_byte_a_value(monkeypatch):
    small = joined(load("vtff"), load("reader"))
    monkeypatch.setattr("mien.export.joined._LARGE", 1 << 40)
    large = joined(load("vtff"), load("reader"))
    values = bytes_of(small) - bytes_of(large)
    assert values > 1_000_000
    small, large = small.SerializeToString(), large.SerializeToString()
    assert len(large) - len(small) == pytest.approx(values, rel=0.05)  # two bytes a value before
    one, two = (Classifier(model).logits(crops()) for model in (small, large))
    assert np.allclose(one, two, atol=0.1)
    assert not np.array_equal(one, two)


def test_only_what_the_second_network_needs_for_its_word_is_kept():
    model = joined(load("vtff"), load("reader"))
    names = [output for node in model.graph.node for output in node.output]
    assert sum(name.endswith("logits") for name in names) > 1
    assert not any(name.endswith(("landmarks", "action_units")) for name in names)


def test_networks_that_read_other_faces_are_refused():
    other = onnx.load_model_from_string(load("vtff"))
    next(entry for entry in other.metadata_props if entry.key == "std").value = "0.5"
    with pytest.raises(InputError, match=r"different std: 0\.255 and 0\.5"):
        joined(load("reader"), other.SerializeToString())


def test_graphs_of_different_operators_are_refused():
    other = onnx.load_model_from_string(load("vtff"))
    other.opset_import[0].version += 1
    with pytest.raises(ExportError, match="different operators"):
        joined(load("reader"), other.SerializeToString())


@pytest.mark.parametrize("share", [0, 1, -0.5, float("nan")])
def test_a_share_that_leaves_one_of_them_out_is_refused(share):
    with pytest.raises(InputError, match="between 0 and 1"):
        joined(load("reader"), load("vtff"), share)
