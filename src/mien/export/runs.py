"""The folder of a finished training run to its network, and to an ONNX file calibrated on faces it has not seen."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from mien.core.contract import Contract
from mien.datasets import Sample
from mien.errors import InputError
from mien.evaluation.calibration import Calibration, fit
from mien.export.to_onnx import Calibrated, to_onnx
from mien.facs.vocabulary import Expression
from mien.training.faces import MEAN, PRIORS, STD, FaceSettings, held_out, logits
from mien.training.run import SETTINGS

Network = TypeVar("Network", bound=nn.Module)


def settings_of(run: Path) -> dict[str, Any]:
    """The settings that a run was trained with; InputError when the run is not finished."""
    for name in (SETTINGS, "model.safetensors"):
        if not (run / name).is_file():
            raise InputError(f"{run / name} is not there; a finished `mien train` run has it", "missing")
    values = json.loads((run / SETTINGS).read_text())
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}


def with_weights(network: Network, run: Path) -> Network:
    """The network with the weights that a run ended with, in evaluation mode."""
    network.load_state_dict(load_file(run / "model.safetensors"))
    return network.eval()


def export_run(
    run: Path,
    network: nn.Module,
    settings: FaceSettings,
    outputs: nn.Module,
    output: Path,
    *,
    calibrate: Sequence[Sample] | None = None,
    accuracy_cost: float = 0.003,
    half: bool = True,
    meta: Mapping[str, str] | None = None,
) -> dict[str, float]:
    """Write a run's network to an ONNX file; returns how far file and network differ (see to_onnx).

    outputs: the network as the file answers, faces to a dict with "logits".   meta: more to say in the file.
    calibrate: faces, not those trained on, to fit the strength of the prior and the temperature on; duplicates of other
    splits are left out. Left out altogether, the prior of the training faces is restored in full and nothing is fitted.
    accuracy_cost: see mien.evaluation.calibration.   half: store weights in half precision.
    """
    calibration, said = calibrated(run, network, settings.size, calibrate, accuracy_cost)
    contract = Contract(tuple(Expression), settings.size, MEAN, STD, output.stem, said | dict(meta or {}))
    added = torch.from_numpy(calibration.strength * np.array(calibration.shift))
    return to_onnx(Calibrated(outputs, added, calibration.temperature), contract, output, half=half)


def calibrated(
    run: Path, network: nn.Module, size: int, calibrate: Sequence[Sample] | None, accuracy_cost: float
) -> tuple[Calibration, dict[str, str]]:
    """The calibration of a run's network, fitted as export_run says, and what a file says of it."""
    kept = json.loads((run / PRIORS).read_text())
    # A class that no training face has was never drawn either: nothing to undo.
    ratios = [np.log(n / d) if d > 0 else 0 for n, d in zip(kept["natural"], kept["drawn"], strict=True)]
    shift = np.round(ratios, 6)  # as the file will state it
    calibration = Calibration(tuple(map(float, shift)))
    if calibrate is not None:
        faces = held_out(calibrate, size, "calibrate on")
        calibration = fit(logits(network, faces), faces.labels, shift, accuracy_cost)
    return calibration, {
        "shift": ",".join(f"{v:.6f}" for v in calibration.shift),
        "strength": repr(calibration.strength),
        "temperature": repr(calibration.temperature),
        "accuracy_cost": repr(accuracy_cost),
    }
