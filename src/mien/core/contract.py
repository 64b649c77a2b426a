"""Open an ONNX file and read the contract it carries: labels, size and normalization."""

import json
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from mien.errors import InputError, ModelError
from mien.facs.vocabulary import Expression, expression

# ONNX Runtime says "warning" of harmless shape annotations; errors (3) still show.
_ERRORS_ONLY = 3


def open_session(model: bytes, threads: int = 1) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session on the CPU.

    One thread is fastest for nets this small; parallelism belongs across pictures.
    """
    if threads < 1:
        raise InputError(f"threads must be 1 or more, but got {threads}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Idle threads that spin steal the cores from the next session, which made two threads slower than one.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = _ERRORS_ONLY
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has a class of its own for each way to fail
        raise ModelError(f"not an ONNX model that ONNX Runtime {onnxruntime.__version__} can open: {error}") from error


@dataclass(frozen=True)
class Contract:
    """What a model file says of itself.

    labels: the expression of each output, in order.   size: the side of the square gray input, in pixels.
    mean, std: of the gray values after scaling to 0..1.   name: what to call the model.
    meta: everything else, such as the prior that was adjusted for.
    """

    labels: tuple[Expression, ...]
    size: int
    mean: float
    std: float
    name: str
    meta: dict[str, str]

    @staticmethod
    def read(session: onnxruntime.InferenceSession) -> "Contract":
        """The contract in a session's metadata; ModelError says which entry is missing or unusable."""
        meta: dict[str, str] = dict(session.get_modelmeta().custom_metadata_map)
        missing = [key for key in ("labels", "size", "mean", "std") if key not in meta]
        if missing:
            raise ModelError(
                f"the model carries no {missing[0]!r} in its metadata, so its input and output cannot be trusted; "
                "write it with `mien export`"
            )
        try:
            labels = tuple(expression(word) for word in meta["labels"].split(","))
            numbers = (int(meta["size"]), float(json.loads(meta["mean"])), float(json.loads(meta["std"])))
        except (ValueError, TypeError) as error:
            raise ModelError(f"the model's metadata cannot be used: {error}") from error
        if numbers[0] < 1 or not numbers[2] > 0 or len(set(labels)) < len(labels):
            raise ModelError(
                "the model's metadata cannot be used: size and std must be above 0 and every label occur once, but got "
                f"size {numbers[0]}, std {numbers[2]}, labels {meta['labels']}"
            )
        return Contract(labels, *numbers, meta.get("name", "unnamed"), meta)

    def to_meta(self) -> dict[str, str]:
        """The metadata entries that `read` understands."""
        return self.meta | {
            "name": self.name,
            "labels": ",".join(e.label for e in self.labels),
            "size": str(self.size),
            "mean": json.dumps(self.mean),
            "std": json.dumps(self.std),
        }


class Answers(NamedTuple):
    """What a model says of N crops; what it has no output for is None.

    logits: (N, 8) float32 in Expression order, -inf for a class that the model lacks.
    action_units: (N, 24), 21 intensities and 3 asymmetries.   landmarks: (N, 68, 2), shares of the crop's side.
    pose: (N, 3), yaw, pitch, roll in degrees.   attention: (N, h, w), 0 or more.
    """

    logits: NDArray[np.float32]
    action_units: NDArray[np.float32] | None = None
    landmarks: NDArray[np.float32] | None = None
    pose: NDArray[np.float32] | None = None
    attention: NDArray[np.float32] | None = None


# The shape of each output after the number of faces; None where any will do.
_SHAPES = {"action_units": (24,), "landmarks": (68, 2), "pose": (3,), "attention": (None, None)}


class Classifier:
    """A model file as a function: gray crops to logits over the eight expressions, and whatever else it answers.

    heads: what else that is, of the fields of Answers.
    """

    def __init__(self, model: bytes, threads: int = 1) -> None:
        self._session = open_session(model, threads)
        self.contract = Contract.read(self._session)
        self._input, self._single = _input(self._session, self.contract.size)
        outputs = {output.name: output.shape for output in self._session.get_outputs()}
        if "logits" not in outputs:
            raise ModelError(f"the model has no output named 'logits'; it has {', '.join(outputs)}")
        if isinstance(wide := outputs["logits"][-1], int) and wide != len(self.contract.labels):
            raise ModelError(f"the model answers {wide} logits, but names {len(self.contract.labels)} labels")
        self._others = [name for name in Answers._fields if name in outputs and name != "logits"]
        self.heads = frozenset(self._others)
        for name in self._others:
            given, wanted = outputs[name][1:], _SHAPES[name]
            if len(given) != len(wanted) or any(w and g != w for g, w in zip(given, wanted, strict=True)):
                raise ModelError(f"the model's output {name!r} has shape {given} a face, but should have {wanted}")

    def logits(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, S, S) uint8 gray crops -> (N, 8) float32 logits in Expression order; -inf for a class the model lacks."""
        return self._answers(crops, []).logits

    def answers(self, crops: NDArray[np.uint8]) -> Answers:
        """All that the model says of (N, S, S) uint8 gray crops, in one pass."""
        return self._answers(crops, self._others)

    def _answers(self, crops: NDArray[np.uint8], others: list[str]) -> Answers:
        contract = self.contract
        if crops.dtype != np.uint8 or crops.shape[1:] != (contract.size, contract.size):
            raise InputError(
                f"expected gray crops, uint8 of shape (N, {contract.size}, {contract.size}), "
                f"but got {crops.dtype} {crops.shape}"
            )
        scaled = (crops[:, None].astype(np.float32) / 255 - contract.mean) / contract.std
        logits = np.full((len(crops), len(Expression)), -np.inf, np.float32)
        step = 1 if self._single else max(1, len(crops))
        parts = [self._run(scaled[i : i + step].astype(np.float32), others) for i in range(0, len(crops), step)]
        if not parts:
            return Answers(logits)
        whole = [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]
        logits[:, [int(e) for e in contract.labels]] = whole[0]
        return Answers(logits, **dict(zip(others, whole[1:], strict=True)))

    def _run(self, faces: NDArray[np.float32], others: list[str]) -> list[NDArray[np.float32]]:
        try:
            answers: list[NDArray[np.float32]] = self._session.run(["logits", *others], {self._input: faces})
        except Exception as error:  # ONNX Runtime has a class of its own for each way to fail
            raise ModelError(f"the model cannot be run: {error}") from error
        answer = answers[0]
        if answer.shape != (len(faces), len(self.contract.labels)) or not np.isfinite(answer).all():
            raise ModelError(
                f"the model should answer {len(faces)} x {len(self.contract.labels)} finite logits, but gave "
                f"{' x '.join(map(str, answer.shape))}, {np.isfinite(answer).sum()} of them finite"
            )
        for name, values in zip(others, answers[1:], strict=True):
            if len(values) != len(faces) or not np.isfinite(values).all():
                raise ModelError(
                    f"the model's output {name!r} has {len(values)} rows, {np.isfinite(values).sum()} of "
                    f"{values.size} numbers finite; wanted were {len(faces)} rows of finite numbers"
                )
        return answers


def _input(session: onnxruntime.InferenceSession, size: int) -> tuple[str, bool]:
    """The name of the one input, and whether it takes a single face at a time; ModelError when it is no gray face."""
    inputs = session.get_inputs()
    shape = inputs[0].shape if len(inputs) == 1 else []
    wanted = (1, 1, size, size)
    fits = len(shape) == 4 and all(not isinstance(n, int) or n == w for n, w in zip(shape, wanted, strict=True))
    if not fits or inputs[0].type != "tensor(float)":
        given = ", ".join(f"{i.name}: {i.type} {i.shape}" for i in inputs)
        raise ModelError(f"the model should take float faces of shape (N, 1, {size}, {size}), but it takes {given}")
    return inputs[0].name, isinstance(shape[0], int)


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float32]:
    """(N, 8) logits -> (N, 8) float32 probabilities; every row sums to 1."""
    wide = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return np.asarray(wide / wide.sum(axis=-1, keepdims=True), np.float32)
