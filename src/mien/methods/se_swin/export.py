"""Export a finished run of SE-Swin to ONNX, with its class-activation map."""

from pathlib import Path
from typing import Unpack

from mien.export.runs import ExportOptions, Looking, export_run
from mien.methods.se_swin.model import SeSwin
from mien.methods.se_swin.train import Settings, build
from mien.training.run import Run, Trained


def load(folder: Path) -> Trained[SeSwin, Settings, None]:
    """Return the trained network of a run's folder; raise InputError when the run is not finished."""
    return Run(folder).open(Settings, build, start="")  # all weights come from the run


def export(folder: Path, output: Path, **options: Unpack[ExportOptions]) -> dict[str, float]:
    """Write the run's network to an ONNX file; see mien.export.runs.export_run."""
    trained = load(folder)
    return export_run(trained, output, Looking(trained.network), **options)
