"""Read the contract that an ONNX file carries: labels, size, colour and normalization."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mien.core.rebuilt import Rebuilt
from mien.core.session import InferenceSession, RunOptions, open_session
from mien.core.view import LARGEST_MARGIN, RESIZES, SMALLEST_MARGIN, Resize, View
from mien.errors import InputError, ModelError
from mien.facs.vocabulary import Expression, expression

# The largest side of a face, and of an attention map: the sides of networks' pictures are 48 to 448.
LARGEST = 512
# A model may take so many seconds for the one face that it is tried on.
DEADLINE = 20.0
_FLOATS = ("tensor(float)", "tensor(float16)", "tensor(double)")


@dataclass(frozen=True)
class Contract:
    """What a model file says of itself.

    labels: the expression of each output, in order; eight or fewer.   size: the side of the square input, in pixels.
    mean, std: of the values after scaling to 0..1, in colour one for each of red, green and blue.
    name: what to call the model.   meta: everything else, such as the prior that was adjusted for.
    channels, margin, resize: see View.   output: the name of the output that holds the logits.
    """

    labels: tuple[Expression, ...]
    size: int
    mean: float | tuple[float, ...]
    std: float | tuple[float, ...]
    name: str
    meta: dict[str, str]
    channels: int = 1
    margin: float = 0.0
    resize: Resize = "linear"
    output: str = "logits"

    @property
    def view(self) -> View:
        """How faces are cut for the model."""
        return View(self.size, self.channels, self.margin, self.resize)

    @staticmethod
    def read(session: InferenceSession) -> "Contract":
        """Read the contract in a session's metadata; raise ModelError for an entry that is missing or unusable."""
        meta: dict[str, str] = dict(session.get_modelmeta().custom_metadata_map)
        missing = [key for key in ("labels", "size", "mean", "std") if key not in meta]
        if missing:
            raise ModelError(
                f"the model carries no {missing[0]!r} in its metadata, so its input and output cannot be trusted; "
                "write it with `mien export`"
            )
        try:
            labels = tuple(expression(word) for word in meta["labels"].split(","))
            channels = int(meta.get("channels", "1"))
            size, margin = int(meta["size"]), float(meta.get("margin", "0"))
            mean, std = (_numbers(meta[key], channels) for key in ("mean", "std"))
        except ValueError as error:
            raise ModelError(f"the model's metadata cannot be used: {_short(error)}") from error
        resize = meta.get("resize", RESIZES[0])
        good = 1 <= size <= LARGEST and np.isfinite(mean).all() and np.isfinite(std).all() and np.min(std) > 0
        if not good or len(set(labels)) < len(labels):
            raise ModelError(
                f"the model's metadata cannot be used: size must lie between 1 and {LARGEST}, mean be finite, std be "
                f"above 0 and every label occur once, but got size {size}, mean {mean}, std {std}, labels "
                f"{_short(meta['labels'])}"
            )
        if channels not in (1, 3) or resize not in RESIZES or not SMALLEST_MARGIN <= margin <= LARGEST_MARGIN:
            raise ModelError(
                f"the model's metadata cannot be used: channels must be 1 or 3, resize one of {', '.join(RESIZES)} and "
                f"margin lie between {SMALLEST_MARGIN:g} and {LARGEST_MARGIN:g}, but got channels {channels}, resize "
                f"{_short(resize)}, margin {margin:g}"
            )
        name, output = meta.get("name", "unnamed"), meta.get("output", "logits")
        return Contract(labels, size, mean, std, name, meta, channels, margin, resize, output)

    def to_meta(self) -> dict[str, str]:
        """The metadata entries that `read` understands."""
        return self.meta | {
            "name": self.name,
            "labels": ",".join(e.label for e in self.labels),
            "size": str(self.size),
            "mean": json.dumps(self.mean),
            "std": json.dumps(self.std),
            # All models of mien have these, so the contract leaves them out.
            **({} if self.channels == 1 else {"channels": str(self.channels)}),
            **({} if self.margin == 0 else {"margin": json.dumps(self.margin)}),
            **({} if self.resize == RESIZES[0] else {"resize": self.resize}),
            **({} if self.output == "logits" else {"output": self.output}),
        }


def _numbers(text: str, channels: int) -> float | tuple[float, ...]:
    """A mean or std: a number, or as many as there are channels."""
    if channels == 1 or not text.lstrip().startswith("["):
        return float(text)
    values = json.loads(text)
    if len(values) != channels:
        raise ValueError(f"{text} has {len(values)} numbers for {channels} channels")
    return tuple(map(float, values))


# The entry of a contract with the SHA-256 of the file that had the same network first, under another calibration.
NETWORK = "network_of"


def network_of(model: bytes, contract: Contract) -> str:
    """The SHA-256 of the file in which a network came first: this one, or that which it was recalibrated from."""
    return contract.meta.get(NETWORK) or hashlib.sha256(model).hexdigest()


class Answers(NamedTuple):
    """What a model says of N crops; what it has no output for is None.

    logits: (N, 8) float32 in Expression order, -inf for a class that the model lacks.
    action_units: (N, 24), 21 intensities and 3 asymmetries.   landmarks: (N, 68, 2), shares of the crop's side.
    pose: (N, 3), yaw, pitch, roll in degrees.   attention: (N, h, w), 0 or more.
    readability: (N,), the share of people who could read the face, 0 to 1.
    """

    logits: NDArray[np.float32]
    action_units: NDArray[np.float32] | None = None
    landmarks: NDArray[np.float32] | None = None
    pose: NDArray[np.float32] | None = None
    attention: NDArray[np.float32] | None = None
    readability: NDArray[np.float32] | None = None


# The shape of each output after the number of faces; None where any will do, up to LARGEST.
_SHAPES: dict[str, tuple[int | None, ...]] = {
    "action_units": (24,),
    "landmarks": (68, 2),
    "pose": (3,),
    "attention": (None, None),
    "readability": (),
}


class Classifier(Rebuilt):
    """A model file as a function: crops to logits over the eight expressions, and whatever else it answers.

    heads: what else that is, of the fields of Answers.
    trial: run the model once on opening it, and raise ModelError where its answers are not of the shape and type that
    the contract says, or do not come in time. What mien.core.zoo.load returns needs none.
    """

    def __init__(self, model: bytes, threads: int = 1, *, trial: bool = True) -> None:
        self._session = open_session(model, threads)
        self._options: RunOptions | None = None
        self.contract = Contract.read(self._session)
        self._input, self._single = _input(self._session, self.contract)
        outputs = {output.name: output for output in self._session.get_outputs()}
        logits = self.contract.output
        if logits not in outputs:
            raise ModelError(f"the model has no output named {logits!r}; it has {_short(', '.join(outputs))}")
        outputs["logits"] = outputs[logits]
        self._shapes = {"logits": (len(self.contract.labels),)} | {k: v for k, v in _SHAPES.items() if k in outputs}
        self._others = [name for name in Answers._fields if name in self._shapes and name != "logits"]
        self.heads = frozenset(self._others)
        if self.contract.margin and self.heads & {"landmarks", "attention"}:
            raise ModelError(
                "the model answers landmarks or attention, which need a face without margin; it asks for one"
            )
        for name, wanted in self._shapes.items():
            if outputs[name].type not in _FLOATS:
                raise ModelError(f"the model's output {name!r} is {outputs[name].type}, but should be of floats")
            # One whose rank nobody declared has none, like a number: the trial shows which of the two it is.
            if (given := outputs[name].shape) and not _fits(given[1:], wanted):
                raise _misshapen(name, given[1:], wanted)
        if trial:
            self._try()

    def _try(self) -> None:
        from threading import Timer

        self._options = options = RunOptions()
        timer = Timer(DEADLINE, setattr, (options, "terminate", True))
        timer.start()
        try:
            self.answers(np.zeros((1, *self.contract.view.shape), np.uint8))
        except ModelError as error:
            late = f" (ended after {DEADLINE:g} seconds for one face)" if options.terminate else ""
            raise ModelError(f"{error}{late}") from error
        finally:
            timer.cancel()
            self._options = None

    def logits(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, *view.shape) uint8 crops -> (N, 8) float32 logits in Expression order; -inf for a class the model lacks.

        view: of the contract; (S, S) for a gray model, (S, S, 3) for one of colour.
        """
        return self._answers(crops, []).logits

    def answers(self, crops: NDArray[np.uint8]) -> Answers:
        """All that the model says of (N, *view.shape) uint8 crops, in one pass."""
        return self._answers(crops, self._others)

    def _answers(self, crops: NDArray[np.uint8], others: list[str]) -> Answers:
        contract = self.contract
        view = contract.view
        if crops.dtype != np.uint8 or crops.shape[1:] != view.shape:
            raise InputError(
                f"expected {'gray' if view.channels == 1 else 'RGB'} crops, uint8 of shape "
                f"(N, {', '.join(map(str, view.shape))}), but got {crops.dtype} {crops.shape}"
            )
        own = view.own(crops)
        planes = own[:, None] if view.channels == 1 else own.transpose(0, 3, 1, 2)
        mean, std = (np.reshape(np.asarray(values, np.float32), (-1, 1, 1)) for values in (contract.mean, contract.std))
        scaled = (planes.astype(np.float32) / 255 - mean) / std
        logits = np.full((len(crops), len(Expression)), -np.inf, np.float32)
        step = 1 if self._single else max(1, len(crops))
        parts = [self._run(scaled[i : i + step].astype(np.float32), others) for i in range(0, len(crops), step)]
        if not parts:
            return Answers(logits)
        whole = [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]
        logits[:, [int(e) for e in contract.labels]] = whole[0]
        return Answers(logits, **dict(zip(others, whole[1:], strict=True)))

    def _run(self, faces: NDArray[np.float32], others: list[str]) -> list[NDArray[np.float32]]:
        names = ["logits", *others]
        try:
            answers = self._outputs(faces, others)
        except Exception as error:  # ONNX Runtime has a class of its own for each way to fail
            raise ModelError(f"the model cannot be run: {error}") from error
        for name, values in zip(names, answers, strict=True):
            if not (isinstance(values, np.ndarray) and values.ndim and _fits(values.shape[1:], self._shapes[name])):
                raise _misshapen(name, list(np.shape(values)[1:]), self._shapes[name])
            if len(values) != len(faces) or not np.isfinite(values).all():
                raise ModelError(
                    f"the model's output {name!r} has {len(values)} rows, {np.isfinite(values).sum()} of "
                    f"{values.size} numbers finite; wanted were {len(faces)} rows of finite numbers"
                )
        return [np.asarray(values, np.float32) for values in answers]

    def _outputs(self, faces: NDArray[np.float32], others: list[str]) -> list[NDArray[np.float32]]:
        """The network's logits, then its other outputs, of normalized faces (N, channels, size, size)."""
        outputs: list[NDArray[np.float32]] = self._session.run(
            [self.contract.output, *others], {self._input: faces}, self._options
        )
        return outputs


def _fits(given: Sequence[object], wanted: tuple[int | None, ...]) -> bool:
    """Whether a shape, without its first dimension, is the one wanted; a dimension that only has a name may be."""
    return len(given) == len(wanted) and all(
        not isinstance(g, int) or (g == w if w else 1 <= g <= LARGEST) for g, w in zip(given, wanted, strict=True)
    )


def _misshapen(name: str, given: Sequence[object], wanted: tuple[int | None, ...]) -> ModelError:
    sizes = ", ".join(f"1 to {LARGEST}" if w is None else str(w) for w in wanted)
    labels = ", one logit for each of its labels" if name == "logits" else ""
    return ModelError(f"the model's output {name!r} has shape {given} a face, but should have ({sizes}){labels}")


def _short(text: object) -> str:
    """What a file says of itself, no longer than fits into a message."""
    words = str(text)
    return words if len(words) <= 200 else f"{words[:200]}..."


def _input(session: InferenceSession, contract: Contract) -> tuple[str, bool]:
    """Return the input's name and whether it takes one face at a time; raise ModelError if it takes no face."""
    inputs = session.get_inputs()
    shape = inputs[0].shape if len(inputs) == 1 else []
    wanted = (1, contract.channels, contract.size, contract.size)
    fits = len(shape) == 4 and all(not isinstance(n, int) or n == w for n, w in zip(shape, wanted, strict=True))
    if not fits or inputs[0].type != "tensor(float)":
        given = ", ".join(f"{i.name}: {i.type} {i.shape}" for i in inputs)
        raise ModelError(
            f"the model should take float faces of shape (N, {', '.join(map(str, wanted[1:]))}), but it takes {given}"
        )
    return inputs[0].name, isinstance(shape[0], int)


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float32]:
    """(N, 8) logits -> (N, 8) float32 probabilities; every row sums to 1."""
    wide = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return np.asarray(wide / wide.sum(axis=-1, keepdims=True), np.float32)
