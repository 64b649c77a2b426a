"""Export a finished run of the generator to ONNX with its vocabulary, and load it as a network."""

from pathlib import Path
from typing import Unpack

import torch
from torch import Tensor, nn

from mien.errors import InputError
from mien.export.plain import write
from mien.export.runs import ExportOptions
from mien.facs.units import VECTOR
from mien.facs.vocabulary import Expression
from mien.methods.synfer.flow.captions import LONGEST
from mien.methods.synfer.flow.model import Generator
from mien.methods.synfer.flow.sample import About, Conditions
from mien.methods.synfer.flow.train import ABOUT, Settings, build
from mien.training.run import Run, Trained


def load(folder: Path) -> Trained[Generator, Settings, About]:
    """Return the trained generator of a run's folder and its description.

    Raise InputError if the run is not finished.
    """
    about = about_of(folder)
    trained = Run(folder).open(Settings, lambda settings: build(settings, len(about.words)))
    return Trained(trained.network, trained.settings, trained.run, about)


def about_of(folder: Path) -> About:
    """Return the description of a run's generator."""
    return About.read(Run(folder).read_json(ABOUT))


def export(folder: Path, output: Path, **options: Unpack[ExportOptions]) -> dict[str, float]:
    """Write the run's generator to an ONNX file; return the differences, see mien.export.plain.write.

    Raise InputError if faces for calibration are given.
    """
    if options.get("calibrate") is not None:
        raise InputError("a generator gives no probabilities, so there is nothing to calibrate; leave --calibrate out")
    trained = load(folder)
    example = probes(trained.settings.size, len(trained.rest.words), seed=0)
    meta = {"name": output.stem} | trained.rest.to_meta()
    inputs = ("x", "t", *Conditions._fields)
    return write(Flowing(trained.network), tuple(example), inputs, meta, output, half=options.get("half", True))


class Flowing(nn.Module):
    """A generator with named outputs, as in its ONNX file."""

    def __init__(self, network: Generator) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, x: Tensor, t: Tensor, label: Tensor, words: Tensor, units: Tensor, known: Tensor
    ) -> dict[str, Tensor]:
        """As model.Generator."""
        return self.network(x, t, label, words, units, known)._asdict()  # type: ignore[no-any-return]


def probes(size: int, words: int, seed: int, count: int = 16) -> list[Tensor]:
    """Return `count` random inputs with all, no or some conditions."""
    draw = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=draw)

    kinds = (torch.arange(count) % 4)[:, None]
    lengths = torch.randint(0, LONGEST + 1, (count, 1), generator=draw) * (kinds > 0)
    numbers = torch.randint(1, words + 1, (count, LONGEST), generator=draw)
    label = uniform(len(Expression)).softmax(dim=1) * (kinds > 1)
    known = (uniform(VECTOR) < kinds / 3).float()
    x = torch.randn(count, 1, size, size, generator=draw)
    return [x, uniform(), label, numbers * (torch.arange(LONGEST) < lengths), 2 * uniform(VECTOR) - 1, known]
