"""A finished run of the reader to an ONNX file: load it, calibrate it on faces it has not seen, write it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from mien.datasets import Sample
from mien.errors import InputError
from mien.evaluation.calibration import Calibration, fit
from mien.evaluation.protocols import select
from mien.export.to_onnx import Calibrated, to_onnx
from mien.methods.au_cues.model import Reader
from mien.methods.au_cues.train import MEAN, PRIORS, SIZE, STD, Settings, build, crop, normalize, tensor
from mien.session import Contract
from mien.vocabulary import Expression


def load_run(run: Path) -> Reader:
    """The trained network of a run's folder, in evaluation mode; InputError when the run is not finished."""
    settings, weights = run / "settings.json", run / "model.safetensors"
    for file in (settings, weights):
        if not file.is_file():
            raise InputError(f"{file} is not there; a finished `mien train` run has it", "missing")
    values: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(settings.read_text()).items()
    }
    network = build(Settings(**values))
    network.load_state_dict(load_file(weights))
    return network.eval()


def export(
    run: Path,
    output: Path,
    *,
    calibrate: Sequence[Sample] | None = None,
    accuracy_cost: float = 0.003,
    half: bool = True,
) -> dict[str, float]:
    """Write the run's network to an ONNX file; returns how far file and network differ (see to_onnx).

    calibrate: faces, not those trained on, to fit the strength of the prior and the temperature on; duplicates of other
    splits are left out. Left out altogether, the prior of the training faces is restored in full and nothing is fitted.
    """
    network = load_run(run)
    priors = json.loads((run / PRIORS).read_text())
    # A class that no training face has was never drawn either: nothing to undo.
    ratios = [np.log(n / d) if d > 0 else 0 for n, d in zip(priors["natural"], priors["drawn"], strict=True)]
    shift = np.round(ratios, 6)  # as the file will state it
    calibration = Calibration(tuple(map(float, shift)))
    if calibrate is not None:
        faces = select(calibrate, duplicates=False, prepare=crop)
        if not faces.samples:
            raise InputError(f"no face is left to calibrate on; dropped: {faces.dropped}")
        with torch.no_grad():
            logits = torch.cat([network(normalize(part)) for part in torch.split(tensor(faces), 256)]).numpy()
        calibration = fit(logits, faces.labels, shift, accuracy_cost)
    meta = {
        "shift": ",".join(f"{v:.6f}" for v in calibration.shift),
        "strength": repr(calibration.strength),
        "temperature": repr(calibration.temperature),
        "accuracy_cost": repr(accuracy_cost),
    }
    contract = Contract(tuple(Expression), SIZE, MEAN, STD, output.stem, meta)
    added = torch.from_numpy(calibration.strength * shift)
    return to_onnx(Calibrated(network, added, calibration.temperature), contract, output, half=half)
