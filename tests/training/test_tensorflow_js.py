import json

import numpy as np
import pytest

from mien.errors import InputError
from mien.training.mobilenet import _BLOCKS, _STEM
from mien.training.tensorflow_js import mobilenet, read


def folded(seed: int = 0) -> dict[str, np.ndarray]:
    """Weights named as in a MobileNetV1 with folded normalization."""
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> np.ndarray:
        return (rng.normal(size=shape) / np.sqrt(np.prod(shape[:3]))).astype(np.float32)

    weights, inputs = {"conv1/convolution/merged_input": draw(3, 3, 3, _STEM)}, _STEM
    weights["conv1_bn/batchnorm_1/sub"] = draw(_STEM)
    for k, (width, _) in enumerate(_BLOCKS, 1):
        weights[f"conv_dw_{k}/depthwise_kernel"] = draw(3, 3, inputs, 1) * np.float32(np.sqrt(inputs))
        weights[f"conv_dw_{k}_bn/batchnorm_1/mul"] = 1 + draw(inputs)
        weights[f"conv_dw_{k}_bn/batchnorm_1/sub"] = draw(inputs)
        weights[f"conv_pw_{k}/convolution/merged_input"] = draw(1, 1, inputs, width)
        weights[f"conv_pw_{k}_bn/batchnorm_1/sub"] = draw(width)
        inputs = width
    return weights


def manifest(tmp_path, entries, data: bytes):
    (tmp_path / "model.bin").write_bytes(data)
    path = tmp_path / "model.json"
    path.write_text(json.dumps({"weightsManifest": [{"paths": ["model.bin"], "weights": entries}]}))
    return path


def test_weights_are_read_in_the_precision_they_are_stored_in(tmp_path):
    plain, half = np.array([[1.5, -2], [0, 3]], "<f4"), np.array([0.25, -1], "<f2")
    levels = np.array([0, 255], np.uint8)
    entries = [
        {"name": "plain", "shape": [2, 2], "dtype": "float32"},
        {"name": "half", "shape": [2], "dtype": "float32", "quantization": {"dtype": "float16"}},
        {
            "name": "levels",
            "shape": [2],
            "dtype": "float32",
            "quantization": {"dtype": "uint8", "scale": 0.1, "min": -1.0},
        },
    ]
    found = read(manifest(tmp_path, entries, plain.tobytes() + half.tobytes() + levels.tobytes()))
    assert np.array_equal(found["plain"], plain)
    assert found["half"].tolist() == [0.25, -1]
    assert np.allclose(found["levels"], [-1, 24.5])


def test_a_file_that_ends_too_early_or_is_missing_is_refused(tmp_path):
    path = manifest(tmp_path, [{"name": "w", "shape": [4], "dtype": "float32"}], b"\0" * 8)
    with pytest.raises(InputError, match="end before w"):
        read(path)
    (tmp_path / "model.bin").unlink()
    with pytest.raises(InputError, match="no such file"):
        read(path)


def test_a_depthwise_kernel_takes_up_the_factor_beside_it():
    weights = folded()
    state = mobilenet(weights)
    kernel, factor = weights["conv_dw_1/depthwise_kernel"], weights["conv_dw_1_bn/batchnorm_1/mul"]
    assert np.allclose(state["layers.1.0.0.weight"][5, 0], kernel[:, :, 5, 0] * factor[5])
    assert np.array_equal(
        state["layers.1.1.0.weight"][:, :, 0, 0], weights["conv_pw_1/convolution/merged_input"][0, 0].T
    )


def test_what_is_no_mobilenet_is_refused():
    with pytest.raises(InputError, match="no MobileNetV1"):
        mobilenet({"conv1/convolution/merged_input": np.zeros((3, 3, 3, 32), np.float32)})
