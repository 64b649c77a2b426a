"""A finished run of the reader to an ONNX file, with its attention put in place."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from mien.datasets import Sample
from mien.export.runs import export_run, settings_of, with_weights
from mien.facs.vocabulary import ActionUnit
from mien.methods.au_cues.loss import attention, in_place
from mien.methods.au_cues.model import Reader
from mien.methods.au_cues.train import Settings, build


def load_run(run: Path) -> tuple[Reader, Settings]:
    """The trained network of a run's folder, in evaluation mode, and the run's settings.

    InputError when the run is not finished.
    """
    settings = Settings(**settings_of(run) | {"pretrained": False})  # all weights come from the run
    return with_weights(build(settings), run), settings


def export(
    run: Path,
    output: Path,
    *,
    calibrate: Sequence[Sample] | None = None,
    accuracy_cost: float = 0.003,
    half: bool = True,
) -> dict[str, float]:
    """Write the run's network to an ONNX file (see mien.export.runs.export_run)."""
    network, settings = load_run(run)
    meta = {"attention_weight": repr(settings.attention_weight)}
    if settings.heads:
        meta["action_units"] = ",".join(str(int(unit)) for unit in ActionUnit)
    stage = settings.attention_stages[-1] if settings.attention_weight > 0 else None
    return export_run(
        run,
        network,
        settings,
        Outputs(network, stage, settings.size),
        output,
        calibrate=calibrate,
        accuracy_cost=accuracy_cost,
        half=half,
        meta=meta,
    )


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
