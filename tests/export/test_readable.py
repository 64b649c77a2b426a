import numpy as np
import onnx
import pytest
from onnx import helper

from mien.core.contract import Classifier
from mien.core.zoo import load
from mien.datasets import Sample
from mien.errors import ExportError, InputError
from mien.export.readable import features, fitted, lessons, with_head
from tests.helpers import drawn_face


def without_head() -> onnx.ModelProto:
    """VTFF, which answers no readability."""
    return onnx.load_model_from_string(load("vtff"))


def samples(count: int) -> list[Sample]:
    """Drawn faces that everybody reads, and noise that nobody does, in turn."""
    rng = np.random.default_rng(0)
    pictures = [drawn_face(i % 4 == 0, i) if i % 2 == 0 else rng.integers(0, 256, (48, 48)) for i in range(count)]
    votes = [np.eye(10, dtype=np.uint8)[1 if i % 2 == 0 else 9] * 10 for i in range(count)]
    return [
        Sample(np.stack([picture] * 3, axis=-1).astype(np.uint8), votes=row)
        for picture, row in zip(pictures, votes, strict=True)
    ]


def test_a_head_learns_who_can_be_read_and_changes_no_other_answer():
    model, data = without_head(), samples(80)
    crops, shares, counts = lessons(data, 48)
    assert len(crops) == len(shares) == len(counts) == 160
    weights, bias = fitted(features(model, crops), shares, counts)
    before = Classifier(model.SerializeToString())
    after = Classifier(with_head(model, weights, bias).SerializeToString())
    shown = np.stack([sample.image[..., 0] for sample in samples(8)])
    given, told = before.answers(shown), after.answers(shown)
    assert np.array_equal(given.logits, told.logits)
    assert np.array_equal(given.attention, told.attention)
    assert given.readability is None
    assert told.readability.shape == (8,)
    assert told.readability[::2].min() > 0.8 > 0.2 > told.readability[1::2].max()


def test_a_regression_finds_the_weights_that_made_the_shares():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(4000, 3))
    shares = 1 / (1 + np.exp(-(values @ [2.0, -1.0, 0.5] + 0.7)))
    weights, bias = fitted(values, shares, np.ones(4000))
    np.testing.assert_allclose([*weights, bias], [2.0, -1.0, 0.5, 0.7], atol=0.02)


def test_a_worn_face_is_worth_a_tenth_and_no_more_readable_than_the_face_it_was():
    _, shares, counts = lessons(samples(20), 48)
    assert set(counts[:20]) == {1.0}
    assert set(counts[20:]) == {0.1}
    assert (shares[20:] <= shares[:20]).all()


def test_a_model_that_answers_readability_or_has_no_last_layer_is_refused():
    model = without_head()
    twice = with_head(model, np.zeros(128), 0.0)
    with pytest.raises(ExportError, match="already"):
        with_head(twice, np.zeros(128), 0.0)
    node = helper.make_node("Identity", ["faces"], ["logits"])
    with pytest.raises(ExportError, match="not made by a linear layer"):
        features(helper.make_model(helper.make_graph([node], "other", [], [])), np.zeros((1, 48, 48), np.uint8))


def test_faces_without_votes_are_refused():
    with pytest.raises(InputError, match="learned from votes"):
        lessons([Sample(np.zeros((48, 48, 3), np.uint8))], 48)
