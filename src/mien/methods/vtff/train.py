"""Train VTFF on soft votes; README.md lists differences from the paper."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.datasets import Sample
from mien.errors import InputError
from mien.methods.vtff.model import BRANCHES, Vtff, with_face_weights
from mien.training.backbones import Residual, Timm
from mien.training.faces import AugmentedBatch, FaceSettings, check_gray, faces_of, fit_faces, tensor
from mien.training.loop import Batch
from mien.training.run import Run
from mien.training.start import exported, start_from


@dataclass(frozen=True)
class Settings(FaceSettings):
    """Settings of a run of VTFF.

    branches: inputs of the network: "image+lbp", "image", "lbp" or, as a control for size, "image+image".
    backbone: network of each branch: "mien" for our residual network or the name of a timm model.
    start: file with weights of a face-recognition network that the branches start from; or a model to fine-tune, such
    as vtff or an ONNX file that mien exported; "" for random weights.
    widths: channels of each stage of the residual network.
    blocks: blocks in each stage of the residual network.
    strides: stride of each stage of the residual network.
    stage: stage of the backbone whose maps are fused, from 1; 0 for the last.
    enlarge: side in pixels that faces and patterns are enlarged to after computing the patterns; 0 leaves them.
    fusion: fusion of the branches: "asf" (attentional selective fusion), "sum", "concat" or "scalar".
    gate: weight of the branches in "asf": "convex", or "t1" and "t2", those of two re-implementations.
    context: views that decide the weight in "asf": "both", "global" or "local".
    width: width of the transformer.
    heads: attention heads of the transformer.
    depth: layers of the transformer; 0 for none.
    hidden: width of the transformer's feed-forward layers.
    dropout: dropout of words and transformer.
    """

    epochs: int = 20
    learning_rate: float = 1e-3
    last_learning_rate: float = 1e-5
    clip: float = 1.0
    branches: str = "image+lbp"
    backbone: str = "mien"
    start: str = ""
    widths: tuple[int, ...] = (16, 32, 64, 128)
    blocks: tuple[int, ...] = (2, 2, 2, 2)
    strides: tuple[int, ...] = (1, 2, 2, 2)
    stage: int = 0
    enlarge: int = 0
    fusion: str = "asf"
    gate: str = "convex"
    context: str = "both"
    width: int = 128
    heads: int = 4
    depth: int = 4
    hidden: int = 512
    dropout: float = 0.1


# The published size for pictures of 224 pixels. What is known of its training is little; README.md says what is ours.
PAPER = Settings(
    epochs=40,
    warmup=2.0,
    learning_rate=1e-4,
    batch_size=64,
    size=224,
    channels=3,
    backbone="resnet18",
    width=768,
    heads=8,
    depth=4,
    hidden=3072,
    degrees=10.0,
    scale=0.1,
    shift=0.08,
    contrast=0.0,
    brightness=0.0,
    soften_share=0.0,
    erase_share=0.25,
    mixup_share=0.0,
    rebalance=0.0,
)
PRESETS: dict[str, Settings] = {
    "tiny": Settings(blocks=(1, 1, 1, 1), depth=2),
    "small": Settings(),
    "medium": Settings(widths=(32, 64, 128, 256), width=192, heads=8, hidden=768),
    "paper": PAPER,
}


def build(settings: Settings) -> Vtff:
    """An untrained network of this size; with `start` its branches are those of a face recognition network."""
    if settings.branches not in BRANCHES:
        raise InputError(f"branches is one of {', '.join(BRANCHES)}, not {settings.branches!r}")
    patterns = BRANCHES[settings.branches]
    branches = [_branch(settings) for _ in patterns]
    if settings.start and not exported(settings.start):
        for branch in branches:
            with_face_weights(branch, Path(settings.start))
    return Vtff(
        branches,
        patterns,
        size=settings.size,
        enlarge=settings.enlarge,
        fusion=settings.fusion,
        gate=settings.gate,
        context=settings.context,
        width=settings.width,
        heads=settings.heads,
        depth=settings.depth,
        hidden=settings.hidden,
        dropout=settings.dropout,
    )


def _branch(settings: Settings) -> nn.Module:
    count = settings.stage
    if settings.backbone != "mien":
        return Timm(settings.backbone, settings.enlarge or settings.size, stages=count)
    check_gray(settings.backbone, settings.channels)
    widths, blocks, strides = (p[: count or None] for p in (settings.widths, settings.blocks, settings.strides))
    return Residual(widths, blocks, strides, squeeze=False)


def train(
    dataset: Sequence[Sample],
    settings: Settings,
    folder: Path,
    *,
    valid: Sequence[Sample] | None = None,
    resume: bool = False,
) -> Vtff:
    """Train a network; the folder receives the run, see mien.training.run.

    valid: faces for the accuracy in the log (strict majority, without duplicates); logged only.
    """
    torch.manual_seed(settings.seed)
    faces = faces_of(dataset, settings.size, channels=settings.channels)
    network = build(settings)
    if exported(settings.start):
        start_from(network, settings.start, tensor(faces))
    trained: Vtff = fit_faces(network, faces, settings, folder, loss=loss, valid=valid, resume=resume)
    Run(folder).keep_data(dataset)
    return trained


def loss(network: nn.Module, seen: AugmentedBatch, lessons: Batch) -> Tensor:
    """Cross-entropy against the vote distribution; erased boxes have no pattern."""
    return F.cross_entropy(network(seen.images, seen.erased).logits.float(), seen.targets)
