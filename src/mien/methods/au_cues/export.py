"""A finished run of the reader to an ONNX file: load it, calibrate it on faces it has not seen, write it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from mien.datasets import Sample
from mien.errors import InputError
from mien.evaluation.calibration import Calibration, fit
from mien.evaluation.protocols import select
from mien.export.to_onnx import Calibrated, to_onnx
from mien.methods.au_cues.loss import attention, in_place
from mien.methods.au_cues.model import Reader
from mien.methods.au_cues.train import MEAN, PRIORS, STD, Settings, answer, build, crop
from mien.session import Contract
from mien.vocabulary import ActionUnit, Expression


def load_run(run: Path) -> tuple[Reader, Settings]:
    """The trained network of a run's folder, in evaluation mode, and the run's settings.

    InputError when the run is not finished.
    """
    settings, weights = run / "settings.json", run / "model.safetensors"
    for file in (settings, weights):
        if not file.is_file():
            raise InputError(f"{file} is not there; a finished `mien train` run has it", "missing")
    values: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(settings.read_text()).items()
    }
    kept = Settings(**values | {"pretrained": False})  # all weights come from the run
    network = build(kept)
    network.load_state_dict(load_file(weights))
    return network.eval(), kept


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
    network, settings = load_run(run)
    priors = json.loads((run / PRIORS).read_text())
    # A class that no training face has was never drawn either: nothing to undo.
    ratios = [np.log(n / d) if d > 0 else 0 for n, d in zip(priors["natural"], priors["drawn"], strict=True)]
    shift = np.round(ratios, 6)  # as the file will state it
    calibration = Calibration(tuple(map(float, shift)))
    if calibrate is not None:
        faces = select(calibrate, duplicates=False, prepare=lambda image: crop(image, settings.size))
        if not faces.samples:
            raise InputError(f"no face is left to calibrate on; dropped: {faces.dropped}")
        logits = torch.cat([answers.logits for answers in answer(network, faces)]).numpy()
        calibration = fit(logits, faces.labels, shift, accuracy_cost)
    meta = {
        "shift": ",".join(f"{v:.6f}" for v in calibration.shift),
        "strength": repr(calibration.strength),
        "temperature": repr(calibration.temperature),
        "accuracy_cost": repr(accuracy_cost),
        "attention_weight": repr(settings.attention_weight),
    }
    if settings.heads:
        meta["action_units"] = ",".join(str(int(unit)) for unit in ActionUnit)
    contract = Contract(tuple(Expression), settings.size, MEAN, STD, output.stem, meta)
    added = torch.from_numpy(calibration.strength * shift)
    stage = settings.attention_stages[-1] if settings.attention_weight > 0 else None
    outputs = Outputs(network, stage, settings.size)
    return to_onnx(Calibrated(outputs, added, calibration.temperature), contract, output, half=half)


class Outputs(nn.Module):
    """A reader's answers as the outputs of its ONNX file, with the attention of one stage.

    stage: counted from 1, of the attention that was taught and is put in place; None for the last, as it is.
    size: the side of a face in pixels.
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, network: Reader, stage: int | None, size: int) -> None:
        super().__init__()
        self.network, self.index = network, -1 if stage is None else stage - 1
        with torch.no_grad():
            height, width = network.eval()(torch.zeros(1, 1, size, size)).features[self.index].shape[2:]
        self.register_buffer("rows", torch.eye(height) if stage is None else in_place(height, size))
        self.register_buffer("columns", torch.eye(width) if stage is None else in_place(width, size))

    def forward(self, faces: Tensor) -> dict[str, Tensor]:
        """(B, 1, S, S) -> logits (B, 8), attention (B, h, w) and, with heads, action units, landmarks and pose."""
        answers = self.network(faces)
        looks = self.rows @ _not_negative(attention(answers.features[self.index])) @ self.columns.T  # (B, h, w)
        outputs = {"logits": answers.logits, "attention": looks}
        heads = {"action_units": answers.action_units, "landmarks": answers.landmarks, "pose": answers.pose}
        return outputs | {name: values for name, values in heads.items() if values is not None}


def _not_negative(attention: Tensor) -> Tensor:
    # After a ReLU it is so already; the mean of a transformer's tokens need not be.
    return attention - attention.amin(dim=(1, 2), keepdim=True).clamp(max=0)
