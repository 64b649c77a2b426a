"""Refit the calibration of a model file written by `mien export`; the network stays the same.

`python -m mien.export.recalibrate MODEL --data KIND:PATH -o FILE.onnx` fits it to vote shares on all readable faces of
data that the model did not learn from: a probability then estimates the share of people who would choose a word.
"""

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from mien import datasets
from mien.core.align import crop
from mien.core.contract import NETWORK, Classifier, network_of
from mien.core.zoo import load
from mien.datasets import Sample
from mien.errors import ExportError, InputError
from mien.evaluation.calibration import Calibration, fit_shares, temperature_of_shares
from mien.evaluation.protocols import readable_faces
from mien.evaluation.seen import ENTRY, packed
from mien.export.script import arguments

_PART = 64


def raw_logits(classify: Classifier, faces: Sequence[Sample]) -> NDArray[np.float64]:
    """(N, 8) answers of a model about crops, before its calibration.

    Raise InputError if its contract does not state shift, strength and temperature.
    """
    meta = classify.contract.meta
    missing = [key for key in ("shift", "strength", "temperature") if key not in meta]
    if missing:
        raise InputError(f"the model does not state its {missing[0]}, so its calibration cannot be fitted again")
    crops = np.stack([face.image for face in faces])
    parts = [classify.logits(crops[i : i + _PART]) for i in range(0, len(crops), _PART)]
    shift = np.array([float(v) for v in meta["shift"].split(",")])
    whole = np.concatenate(parts).astype(np.float64)
    return np.asarray(whole * float(meta["temperature"]) - float(meta["strength"]) * shift)


def fitted(classify: Classifier, dataset: Sequence[Sample], *, shifted: bool = True) -> Calibration:
    """Return the calibration of a model to vote shares, fitted on the readable faces without duplicates of other
    splits.

    shifted: allow a shift of the prior if it wins on every fold; it may cost recall of rare classes.
    """
    size = classify.contract.size
    faces = readable_faces(dataset, lambda image: crop(image, size))
    shift = np.array([float(v) for v in classify.contract.meta.get("shift", "").split(",") if v])
    raw = raw_logits(classify, faces.samples)
    if not shifted:
        return Calibration(tuple(map(float, shift)), 0.0, temperature_of_shares(raw, faces.targets))
    return fit_shares(raw, faces.targets, shift)


def recalibrated(model: onnx.ModelProto, calibration: Calibration, about: dict[str, str]) -> onnx.ModelProto:
    """Return the model with this calibration in its graph and metadata.

    about: further entries of its metadata. Raise ExportError if the graph does not end as `mien export` writes it.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    made_by = {output: node for node in result.graph.node for output in node.output}
    weights = {weight.name: weight for weight in result.graph.initializer}
    divide = made_by.get("logits")
    add = made_by.get(divide.input[0]) if divide is not None and divide.op_type == "Div" else None
    if divide is None or add is None or add.op_type != "Add" or not {add.input[1], divide.input[1]} <= set(weights):
        raise ExportError("the model's logits are not shifted and then divided, so mien export did not write it")
    added = calibration.strength * np.array(calibration.shift)
    for name, value in ((add.input[1], added), (divide.input[1], np.array(calibration.temperature))):
        old = numpy_helper.to_array(weights[name])
        weights[name].CopyFrom(numpy_helper.from_array(value.astype(old.dtype).reshape(old.shape), name))
    meta = {entry.key: entry.value for entry in model.metadata_props if entry.key != "accuracy_cost"}
    meta |= {"strength": repr(calibration.strength), "temperature": repr(calibration.temperature)}
    helper.set_model_props(result, meta | {"probabilities": "vote shares"} | about)
    onnx.checker.check_model(result)
    return result


def main() -> None:
    """Fit the calibration of a model file to vote shares and write it to another file."""
    parser = arguments(main.__doc__)
    parser.add_argument("--no-shift", action="store_true", help="Keep the learned prior.")
    given = parser.parse_args()
    dataset, content = datasets.open(given.data), load(given.model)
    classify = Classifier(content)
    calibration = fitted(classify, dataset, shifted=not given.no_shift)
    seen = packed(dataset[i].image for i in range(len(dataset)))
    about = {ENTRY: seen, NETWORK: network_of(content, classify.contract)}
    model = recalibrated(onnx.load_model_from_string(content), calibration, about)
    given.output.write_bytes(model.SerializeToString())
    print(f"strength {calibration.strength:g}, temperature {calibration.temperature:.3f}")


if __name__ == "__main__":
    main()
