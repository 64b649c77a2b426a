"""A finished run of VTFF to an ONNX file, with the attention of its class token."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from mien.datasets import Sample
from mien.export.runs import export_run, settings_of, with_weights
from mien.methods.vtff.model import Vtff
from mien.methods.vtff.train import Settings, build


def load_run(run: Path) -> tuple[Vtff, Settings]:
    """The trained network of a run's folder, in evaluation mode, and the run's settings.

    InputError when the run is not finished.
    """
    settings = Settings(**settings_of(run) | {"face_weights": ""})  # all weights come from the run
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
    return export_run(
        run,
        network,
        settings,
        Outputs(network),
        output,
        calibrate=calibrate,
        accuracy_cost=accuracy_cost,
        half=half,
    )


class Outputs(nn.Module):
    """A network's answers as the outputs of its ONNX file."""

    def __init__(self, network: Vtff) -> None:
        super().__init__()
        self.network = network

    def forward(self, faces: Tensor) -> dict[str, Tensor]:
        """(B, 1, S, S) -> logits (B, 8) and attention (B, h, w)."""
        answers = self.network(faces)
        return {"logits": answers.logits, "attention": self.network.looks(answers).clamp(min=0)}
