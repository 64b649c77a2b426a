"""Export a finished run of FERAnno's head to ONNX."""

from pathlib import Path
from typing import Unpack

import torch
from torch import Tensor, nn

from mien.errors import InputError
from mien.export.plain import write
from mien.export.runs import ExportOptions
from mien.facs.vocabulary import Expression
from mien.methods.feranno.labeler import KIND
from mien.methods.feranno.model import Head
from mien.methods.feranno.train import SEEN_WITH, Settings
from mien.training.run import Run, Trained


def load(folder: Path) -> Trained[Head, Settings, None]:
    """Return the trained head of a run's folder; raise InputError when the run is not finished."""
    run = Run(folder)
    features, maps = _inputs(run)
    return run.open(Settings, lambda s: Head(features, maps, channels=s.channels, heads=s.heads, dropout=s.dropout))


def _inputs(run: Run) -> tuple[int, int]:
    """Return the number of features and maps that the run's head reads."""
    shapes = run.shapes()
    return shapes["features.scale.weight"][0], shapes["maps.scale.weight"][0]


def export(folder: Path, output: Path, **options: Unpack[ExportOptions]) -> dict[str, float]:
    """Write the run's head to an ONNX file; return the differences, see mien.export.plain.write.

    Raise InputError if faces for calibration are given.
    """
    if options.get("calibrate") is not None:
        raise InputError("FERAnno learns the shares of votes, so there is nothing to calibrate; leave --calibrate out")
    trained = load(folder)
    draw = torch.Generator().manual_seed(0)
    example = tuple(torch.randn(16, count, 6, 6, generator=draw) for count in _inputs(trained.run))
    labels = ",".join(e.label for e in Expression)
    meta = {"name": output.stem, "kind": KIND, "labels": labels} | trained.run.read_json(SEEN_WITH)
    return write(Named(trained.network), example, ("features", "maps"), meta, output, half=options.get("half", True))


class Named(nn.Module):
    """A head with named outputs, as in its ONNX file."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: Tensor, maps: Tensor) -> dict[str, Tensor]:
        """(B, F, 6, 6) and (B, M, 6, 6) -> logits (B, 8)."""
        return {"logits": self.head(features, maps).logits}
