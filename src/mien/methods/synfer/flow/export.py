"""A finished run of the generator to an ONNX file that carries its words, and to a network again."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from mien.core.contract import open_session
from mien.datasets import Sample
from mien.errors import InputError
from mien.export.runs import settings_of, with_weights
from mien.export.to_onnx import HALF_TOLERANCE, TOLERANCE, in_half_precision, refuse_above, traced
from mien.facs.units import VECTOR
from mien.facs.vocabulary import Expression
from mien.methods.synfer.flow.captions import LONGEST
from mien.methods.synfer.flow.model import Generator
from mien.methods.synfer.flow.sample import About, Conditions
from mien.methods.synfer.flow.train import ABOUT, Settings, build

# Of a largest difference.
_WHERE = "of an answer's largest value"


def load_run(run: Path) -> tuple[Generator, Settings]:
    """The trained generator of a run's folder, in evaluation mode, and the run's settings.

    InputError when the run is not finished.
    """
    settings = Settings(**settings_of(run))
    return with_weights(build(settings, len(about_of(run).words)), run), settings


def about_of(run: Path) -> About:
    """What the generator of a run says of itself."""
    if not (run / ABOUT).is_file():
        raise InputError(f"{run / ABOUT} is not there; `mien train synfer` writes it", "missing")
    return About.read(json.loads((run / ABOUT).read_text(encoding="utf-8")))


def export(
    run: Path,
    output: Path,
    *,
    calibrate: Sequence[Sample] | None = None,
    accuracy_cost: float = 0.003,
    half: bool = True,
) -> dict[str, float]:
    """Write the run's generator to an ONNX file; what it returns says how well the two agree (see `write`).

    calibrate, accuracy_cost: are for classifiers; InputError when faces to calibrate on are given.
    """
    if calibrate is not None:
        raise InputError("a generator gives no probabilities, so there is nothing to calibrate; leave --calibrate out")
    network, settings = load_run(run)
    about = about_of(run)
    example = probes(settings.size, len(about.words), seed=0)
    meta = {"name": output.stem} | about.to_meta()
    inputs = ("x", "t", *Conditions._fields)
    return write(Flowing(network), tuple(example), inputs, meta, output, half=half)


class Flowing(nn.Module):
    """A generator with its answers by name, as the outputs of its ONNX file."""

    def __init__(self, network: Generator) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, x: Tensor, t: Tensor, label: Tensor, words: Tensor, units: Tensor, known: Tensor
    ) -> dict[str, Tensor]:
        """As model.Generator."""
        return self.network(x, t, label, words, units, known)._asdict()  # type: ignore[no-any-return]


def probes(size: int, words: int, seed: int, count: int = 16) -> list[Tensor]:
    """Inputs of so many faces, some told everything, some nothing, some a part."""
    draw = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=draw)

    told = (torch.arange(count) % 4)[:, None]
    lengths = torch.randint(0, LONGEST + 1, (count, 1), generator=draw) * (told > 0)
    numbers = torch.randint(1, words + 1, (count, LONGEST), generator=draw)
    label = uniform(len(Expression)).softmax(dim=1) * (told > 1)
    known = (uniform(VECTOR) < told / 3).float()
    x = torch.randn(count, 1, size, size, generator=draw)
    return [x, uniform(), label, numbers * (torch.arange(LONGEST) < lengths), 2 * uniform(VECTOR) - 1, known]


def write(
    network: nn.Module,
    example: tuple[Tensor, ...],
    inputs: Sequence[str],
    meta: Mapping[str, str],
    path: Path,
    *,
    half: bool,
) -> dict[str, float]:
    """Write a network, from so many tensors to a dict of tensors, to an ONNX file with these metadata.

    Returns {"parity": ..., "half": ...}: the largest differences of any output on the example, as shares of its largest
    value, between the network and its graph, and its graph with weights rounded to half precision.
    Raises ExportError, and writes nothing, when one is above TOLERANCE or HALF_TOLERANCE.
    """
    network = network.eval()
    with torch.no_grad():
        wanted = network(*example)
    batch = torch.export.Dim("batch", min=1, max=4096)
    graph = traced(network, example, inputs, list(wanted), tuple({0: batch} for _ in example), meta)
    differences = {"parity": _difference(graph, example, inputs, wanted)}
    refuse_above(TOLERANCE, differences["parity"], "the ONNX graph and the PyTorch network", _WHERE)
    if half:
        graph = in_half_precision(graph)
        differences["half"] = _difference(graph, example, inputs, wanted)
        refuse_above(HALF_TOLERANCE, differences["half"], "the half-precision file and the PyTorch network", _WHERE)
    onnx.checker.check_model(graph)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(graph.SerializeToString())
    return differences


def _difference(
    graph: onnx.ModelProto, example: tuple[Tensor, ...], inputs: Sequence[str], wanted: Mapping[str, Tensor]
) -> float:
    session = open_session(graph.SerializeToString())
    given = session.run(list(wanted), {n: part.numpy() for n, part in zip(inputs, example, strict=True)})
    largest = 0.0
    for answer, value in zip(given, wanted.values(), strict=True):
        largest = max(largest, float(np.abs(answer - value.numpy()).max() / max(float(value.abs().max()), 1e-6)))
    return largest
