"""A finished run of the reader to an ONNX file, with its attention put in place."""

from pathlib import Path
from typing import Unpack

import torch
from torch import Tensor, nn

from mien.export.runs import ExportOptions, export_run
from mien.facs.vocabulary import ActionUnit
from mien.methods.au_cues.loss import attention, in_place
from mien.methods.au_cues.model import ReaderNetwork
from mien.methods.au_cues.settings import Settings
from mien.methods.au_cues.train import build
from mien.training.run import Run, Trained


def load(folder: Path) -> Trained[ReaderNetwork, Settings, None]:
    """Return the trained network of a run's folder; raise InputError when the run is not finished."""
    return Run(folder).open(Settings, build, start="")  # all weights come from the run


def export(folder: Path, output: Path, **options: Unpack[ExportOptions]) -> dict[str, float]:
    """Write the run's network to an ONNX file; see mien.export.runs.export_run."""
    trained = load(folder)
    settings = trained.settings
    meta = {"attention_weight": repr(settings.attention_weight)}
    if settings.heads:
        meta["action_units"] = ",".join(str(int(unit)) for unit in ActionUnit)
    stage = settings.attention_stages[-1] if settings.attention_weight > 0 else None
    return export_run(trained, output, Outputs(trained.network, stage, settings.size), meta=meta, **options)


class Outputs(nn.Module):
    """A reader's answers as the outputs of its ONNX file, with the attention of one stage.

    stage: counted from 1, of the attention that was taught and is put in place; None for the last, as it is.
    size: the side of a face in pixels.
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, network: ReaderNetwork, stage: int | None, size: int) -> None:
        super().__init__()
        self.network, self.index = network, -1 if stage is None else stage - 1
        with torch.no_grad():
            height, width = network.eval()(torch.zeros(1, 1, size, size)).features[self.index].shape[2:]
        self.register_buffer("rows", torch.eye(height) if stage is None else in_place(height, size))
        self.register_buffer("columns", torch.eye(width) if stage is None else in_place(width, size))

    def forward(self, faces: Tensor) -> dict[str, Tensor]:
        """(B, 1, S, S) -> logits (B, 8), attention (B, h, w) and what else the network has heads for."""
        answers = self.network(faces)
        looks = self.rows @ _not_negative(attention(answers.features[self.index])) @ self.columns.T  # (B, h, w)
        outputs = {"logits": answers.logits, "attention": looks}
        heads = {"action_units": answers.action_units, "landmarks": answers.landmarks, "pose": answers.pose}
        heads["readability"] = answers.readability
        return outputs | {name: values for name, values in heads.items() if values is not None}


def _not_negative(attention: Tensor) -> Tensor:
    # After a ReLU it is so already; the mean of a transformer's tokens need not be.
    return attention - attention.amin(dim=(1, 2), keepdim=True).clamp(max=0)
