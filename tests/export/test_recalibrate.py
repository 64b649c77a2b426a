import numpy as np
import onnx
import pytest

from mien.core.contract import NETWORK, Classifier, network_of
from mien.core.zoo import load
from mien.datasets import Sample
from mien.errors import ExportError
from mien.evaluation.calibration import Calibration
from mien.export.recalibrate import fitted, raw_logits, recalibrated
from tests.helpers import drawn_face


def faces(count: int = 12) -> list[Sample]:
    votes = np.random.default_rng(0).multinomial(10, [0.5, 0.3, 0.2] + [0] * 7, count).astype(np.uint8)
    return [Sample(np.stack([drawn_face(i % 2 == 0, i)] * 3, axis=-1), votes=v) for i, v in enumerate(votes)]


def crops(count: int = 4) -> list[Sample]:
    return [Sample(drawn_face(i % 2 == 0, i)) for i in range(count)]


def test_a_model_with_another_calibration_answers_the_same_logits_shifted_and_divided_otherwise():
    content = load("reader")
    wanted = Calibration(tuple(np.linspace(-1, 1, 8)), 0.5, 2.0)
    model = recalibrated(onnx.load_model_from_string(content), wanted, {"more": "said"})
    before, after = Classifier(content), Classifier(model.SerializeToString())
    expected = wanted(raw_logits(before, crops()))
    answered = after.answers(np.stack([face.image for face in crops()]))
    assert np.allclose(answered.logits, expected, atol=1e-4)
    assert np.array_equal(answered.action_units, before.answers(np.stack([f.image for f in crops()])).action_units)
    meta = after.contract.meta
    assert (meta["probabilities"], meta["temperature"], meta["more"]) == ("vote shares", "2.0", "said")
    assert "accuracy_cost" not in meta


def test_the_calibration_is_fitted_to_the_votes_of_readable_faces():
    found = fitted(Classifier(load("reader")), faces())
    assert found.strength in (0, 0.25, 0.5, 0.75, 1)
    assert 0.3 <= found.temperature <= 3


def test_a_graph_that_ends_otherwise_is_refused():
    content = onnx.load_model_from_string(load("reader"))
    (last,) = [node for node in content.graph.node if "logits" in node.output]
    last.op_type = "Mul"
    with pytest.raises(ExportError, match="mien export did not write it"):
        recalibrated(content, Calibration((0.0,) * 8), {})


def test_a_recalibrated_file_still_says_whose_network_it_is():
    content = load("reader")
    first = network_of(content, Classifier(content).contract)
    model = recalibrated(onnx.load_model_from_string(content), Calibration((0.0,) * 8), {NETWORK: first})
    again = model.SerializeToString()
    assert network_of(again, Classifier(again).contract) == first
