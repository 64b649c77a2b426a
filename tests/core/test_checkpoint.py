import json
import shutil

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import mien
from mien.core.checkpoint import contract_of
from mien.core.models import digest, open_classifier
from mien.core.onnx_file import metadata, with_metadata
from mien.errors import InputError, ModelError
from mien.facs.vocabulary import Expression
from tests.core.test_contract import SIZE, contract, model
from tests.helpers import ASTRONAUT, noise

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
# As in FER2013, without contempt and in another order.
SEVEN = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
EXPRESSIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")


def save_vit(folder, labels=SEVEN, **processor):
    """A tiny random ViT, and the processor's settings as transformers writes them."""
    torch.manual_seed(0)
    names = dict(enumerate(labels))
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, image_size=32, patch_size=8,
        id2label=names, label2id={v: k for k, v in names.items()},
    )  # fmt: skip
    transformers.ViTForImageClassification(config).save_pretrained(folder)
    settings = {
        "do_resize": True, "size": {"height": 32, "width": 32}, "resample": 2, "do_rescale": True,
        "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.5, 0.4, 0.2],
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(settings | processor))
    return folder


def save_resnet(folder):
    """A tiny random ResNet, of which the processor takes the middle 28 of 32 pixels."""
    torch.manual_seed(1)
    names = dict(enumerate(SEVEN))
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", id2label=names,
        label2id={v: k for k, v in names.items()},
    )  # fmt: skip
    transformers.ResNetForImageClassification(config).save_pretrained(folder)
    settings = {
        "do_resize": True, "size": {"shortest_edge": 28}, "crop_pct": 0.875, "resample": 3, "do_rescale": True,
        "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": [0.5] * 3, "image_std": [0.25] * 3,
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return folder


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    return save_vit(tmp_path_factory.mktemp("vit"))


@pytest.fixture(scope="module")
def resnet(tmp_path_factory):
    return save_resnet(tmp_path_factory.mktemp("resnet"))


def test_a_checkpoint_answers_as_transformers_does(vit):
    faces = noise(3, 32, 32, 3)
    network = transformers.ViTForImageClassification.from_pretrained(vit).eval()
    scaled = (torch.from_numpy(faces).float() / 255 - torch.tensor([0.5, 0.4, 0.3])) / torch.tensor([0.5, 0.4, 0.2])
    with torch.no_grad():
        expected = network(pixel_values=scaled.permute(0, 3, 1, 2)).logits.numpy()
    logits = open_classifier(vit).logits(faces)
    places = [Expression[name.upper()] for name in EXPRESSIONS]
    np.testing.assert_allclose(logits[:, places], expected, atol=1e-5)
    assert (logits[:, Expression.CONTEMPT] == -np.inf).all()


def test_the_middle_of_a_face_is_taken_as_the_processor_takes_it(resnet):
    classify = open_classifier(resnet)
    assert classify.contract.view.shape == (32, 32, 3)
    assert classify.contract.resize == "cubic"
    faces = noise(2, 32, 32, 3)
    changed = faces.copy()
    changed[:, :2] = 0  # beyond the middle 28
    np.testing.assert_array_equal(classify.logits(faces), classify.logits(changed))


@pytest.mark.parametrize("saved", ["vit", "resnet"])
def test_a_checkpoint_reads_pictures_and_the_default_reader_says_the_rest(saved, request):
    folder = request.getfixturevalue(saved)
    report = mien.analyze(ASTRONAUT, model=folder)
    (face,) = report.faces
    (usual,) = mien.analyze(ASTRONAUT).faces
    assert report.model == str(folder)
    assert face.expression["contempt"] == 0
    np.testing.assert_allclose(face.landmarks, usual.landmarks, atol=4)
    assert face.action_units[12] == pytest.approx(usual.action_units[12], abs=0.1)


def test_a_model_is_known_by_its_weights_and_labels(vit, tmp_path):
    same = shutil.copytree(vit, tmp_path / "same")
    assert digest(same) != digest(save_vit(tmp_path / "other", labels=[*SEVEN[1:], SEVEN[0]]))
    config = json.loads((same / "config.json").read_text())
    assert digest(same) == digest(shutil.copytree(same, tmp_path / "again"))
    assert config["id2label"]["0"] == "angry"


def test_labels_that_name_no_expression_are_refused_by_name(tmp_path):
    with pytest.raises(ModelError, match=r"'ahegao' name no expression.*id2label"):
        open_classifier(save_vit(tmp_path, labels=[*SEVEN, "ahegao"]))


def test_labels_that_name_an_expression_twice_are_refused(tmp_path):
    with pytest.raises(ModelError, match="an expression twice"):
        open_classifier(save_vit(tmp_path, labels=["happy", "joy"]))


def test_what_a_checkpoint_lacks_is_said_in_a_sentence(vit, tmp_path):
    without = shutil.copytree(vit, tmp_path / "processor")
    (without / "preprocessor_config.json").unlink()
    with pytest.raises(ModelError, match=r"no preprocessor_config\.json"):
        open_classifier(without)
    without = shutil.copytree(vit, tmp_path / "weights")
    (without / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="safetensors"):
        open_classifier(without)
    with pytest.raises(ModelError, match="hf:OWNER/NAME"):
        open_classifier(tmp_path / "nothing")


def test_weights_in_a_pickle_are_not_read(vit, tmp_path):
    pickled = shutil.copytree(vit, tmp_path / "pickled")
    (pickled / "model.safetensors").unlink()
    torch.save(transformers.ViTForImageClassification.from_pretrained(vit).state_dict(), pickled / "pytorch_model.bin")
    with pytest.raises(ModelError, match="safetensors"):
        open_classifier(pickled)


def test_a_network_of_other_channels_is_refused():
    config = {"id2label": {"0": "happy"}, "num_channels": 4}
    with pytest.raises(ModelError, match="4 channels"):
        contract_of(config, {"size": 32}, "odd")


def test_faces_that_are_not_square_are_refused():
    with pytest.raises(ModelError, match="square"):
        contract_of({"id2label": {"0": "happy"}}, {"size": {"height": 32, "width": 24}}, "odd")


def test_unscaled_pictures_are_scaled_as_the_processor_says():
    settings = {"size": 32, "do_rescale": False, "image_mean": [127.5] * 3, "image_std": [255.0] * 3}
    made = contract_of({"id2label": {"0": "happy"}}, settings, "odd")
    assert made.mean == (0.5,) * 3
    assert made.std == (1.0,) * 3


def test_gray_crops_for_a_network_of_colour_are_refused(vit):
    with pytest.raises(InputError, match=r"expected RGB crops, uint8 of shape \(N, 32, 32, 3\)"):
        open_classifier(vit).logits(np.zeros((1, 32, 32), np.uint8))


# An ONNX file of somebody else's: no contract, an output of another name.
SIDE = {"labels": SEVEN, "size": SIZE, "mean": 0.5, "std": 0.25, "output": "output"}


def color_model():
    """A network whose first logits are red, green and blue, averaged after normalization; the others are 0."""
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["faces"], ["mean"], axes=[2, 3], keepdims=0),
            helper.make_node("MatMul", ["mean", "spread"], ["output"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("faces", TensorProto.FLOAT, ["batch", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", 7])],
        [numpy_helper.from_array(np.eye(3, 7, dtype=np.float32), "spread")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def bare(folder, contract=None, color=False):
    (folder / "lab.onnx").write_bytes(color_model() if color else model({}, 7, "output"))
    if contract is not None:
        (folder / "contract.json").write_text(json.dumps(contract))
    return folder / "lab.onnx"


def test_a_contract_beside_a_model_says_what_one_inside_says(tmp_path):
    classify = open_classifier(bare(tmp_path, SIDE))
    assert classify.contract.name == "lab"
    logits = classify.logits(np.full((1, SIZE, SIZE), 255, np.uint8))
    places = [Expression[name.upper()] for name in EXPRESSIONS]
    np.testing.assert_allclose(logits[0, places], (1 - 0.5) / 0.25 + np.arange(7), rtol=1e-6)
    assert digest(tmp_path / "lab.onnx") != digest(bare(tmp_path, SIDE | {"mean": 0.4}))


def test_a_contract_beside_a_model_of_colour_has_a_mean_for_each_channel(tmp_path):
    beside = SIDE | {"channels": 3, "mean": [0.1, 0.2, 0.3], "std": [1, 1, 1], "margin": 0.25}
    classify = open_classifier(bare(tmp_path, beside, color=True))
    assert classify.contract.margin == 0.25
    (logits,) = classify.logits(np.full((1, SIZE, SIZE, 3), [255, 0, 51], np.uint8))
    np.testing.assert_allclose(
        logits[[Expression.ANGER, Expression.DISGUST, Expression.FEAR, Expression.HAPPINESS]],
        [0.9, -0.2, -0.1, 0],
        atol=1e-6,
    )


@pytest.mark.parametrize(
    ("contract", "told"),
    [
        (None, "carries no 'labels'"),
        (SIDE | {"labels": ["happy", "hunger"]}, "hunger"),
        (SIDE | {"channels": 3}, r"shape \(N, 3, 4, 4\), but it takes"),
        (SIDE | {"channels": 2}, "channels must be 1 or 3"),
        (SIDE | {"output": "scores"}, "no output named 'scores'"),
        (SIDE | {"colour": "rgb"}, "holds 'colour'; it may say labels"),
        ({"labels": SEVEN}, "says no size, mean, std"),
        (SIDE | {"mean": [0.1, 0.2]}, "metadata cannot be used"),
        ([1, 2], "no JSON object"),
    ],
)
def test_a_contract_that_cannot_be_used_is_a_sentence(tmp_path, contract, told):
    with pytest.raises(ModelError, match=told):
        open_classifier(bare(tmp_path, contract))


def test_a_contract_inside_a_model_comes_before_one_beside_it(tmp_path):
    (tmp_path / "own.onnx").write_bytes(model(contract().to_meta()))
    (tmp_path / "contract.json").write_text("nonsense")
    assert open_classifier(tmp_path / "own.onnx").contract.name == "tiny"


def test_entries_added_to_a_model_are_those_that_onnx_reads():
    entries = {"labels": "happy,sad", "long": "x" * 300}
    added = with_metadata(model({"first": "1"}), entries)
    assert metadata(added) == {"first": "1"} | entries
    assert {p.key: p.value for p in onnx.load_from_string(added).metadata_props} == {"first": "1"} | entries
    assert metadata(b"no model") == {}
