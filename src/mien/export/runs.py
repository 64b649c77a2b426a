"""Export a finished training run, calibrated on faces it was not trained on."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor, nn

from mien.core.align import crop
from mien.core.contract import Contract
from mien.datasets import Sample
from mien.evaluation.calibration import Calibration, fit, fit_shares
from mien.evaluation.protocols import readable_faces
from mien.evaluation.seen import ENTRY, packed
from mien.export.to_onnx import Calibrated, to_onnx
from mien.facs.vocabulary import Expression
from mien.training.faces import MEAN, STD, FaceSettings, held_out, logits
from mien.training.run import Run, Trained


class ExportOptions(TypedDict, total=False):
    """Options of every method's `export`, besides run and file.

    calibrate: faces, not those trained on, to fit the strength of the prior and the temperature on, without duplicates
    of other splits. Without them the prior of the training faces is restored in full and nothing is fitted.
    accuracy_cost: by default, fit probabilities to the vote shares of all readable faces; a number fits on faces with a
    strict majority instead and limits the loss of accuracy (see mien.evaluation.calibration).
    half: store weights in half precision, True by default.
    """

    calibrate: Sequence[Sample] | None
    accuracy_cost: float | None
    half: bool


class Looking(nn.Module):
    """A network with `looks` that answers like an ONNX file: logits and attention."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, faces: Tensor) -> dict[str, Tensor]:
        """(B, 1, S, S) -> logits (B, 8) and attention (B, h, w), 0 or more."""
        answers = self.network(faces)
        return {"logits": answers.logits, "attention": self.network.looks(answers)}


def export_run(
    trained: Trained[Any, Any, Any],
    output: Path,
    outputs: nn.Module,
    *,
    meta: Mapping[str, str] | None = None,
    calibrate: Sequence[Sample] | None = None,
    accuracy_cost: float | None = None,
    half: bool = True,
) -> dict[str, float]:
    """Write a run's network to an ONNX file; return the differences between file and network (see to_onnx).

    outputs: the network as the file answers, faces to a dict with "logits".   meta: further entries of the file.
    calibrate, accuracy_cost, half: see ExportOptions.
    """
    settings: FaceSettings = trained.settings
    calibration, about = calibrated(
        trained.run, trained.network, settings.size, calibrate, accuracy_cost, channels=settings.channels
    )
    contract = Contract(
        tuple(Expression), settings.size, MEAN, STD, output.stem, about | dict(meta or {}), settings.channels
    )
    added = torch.from_numpy(calibration.strength * np.array(calibration.shift))
    return to_onnx(Calibrated(outputs, added, calibration.temperature), contract, output, half=half)


def calibrated(
    run: Run,
    network: nn.Module,
    size: int,
    calibrate: Sequence[Sample] | None = None,
    accuracy_cost: float | None = None,
    *,
    channels: int = 1,
) -> tuple[Calibration, dict[str, str]]:
    """Return the calibration of a run's network, fitted as in ExportOptions, and the file's entries about it.

    size, channels: of its faces.
    """
    kept = run.priors()
    # A class without training faces needs no correction.
    ratios = [np.log(n / d) if d > 0 else 0 for n, d in zip(kept["natural"], kept["drawn"], strict=True)]
    shift = np.round(ratios, 6)  # as stored in the file
    calibration = Calibration(tuple(map(float, shift)))
    about = {}
    if calibrate is not None:
        crops = partial(crop, size=size, channels=channels)
        if accuracy_cost is None:
            faces = readable_faces(calibrate, crops)
            calibration = fit_shares(logits(network, faces), faces.targets, shift)
        else:
            faces = held_out(calibrate, size, "calibrate on", crops)
            calibration = fit(logits(network, faces), faces.labels, shift, accuracy_cost)
        about = {ENTRY: packed(calibrate[i].image for i in range(len(calibrate)))}
    about |= {
        "shift": ",".join(f"{v:.6f}" for v in calibration.shift),
        "strength": repr(calibration.strength),
        "temperature": repr(calibration.temperature),
        "probabilities": "vote shares" if accuracy_cost is None else "accuracy",
    }
    return calibration, about if accuracy_cost is None else about | {"accuracy_cost": repr(accuracy_cost)}
