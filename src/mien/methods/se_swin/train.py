"""Train SE-Swin on soft votes with sharpness-aware minimization; README.md lists differences from the paper."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from timm.models.swin_transformer import SwinTransformer

from mien.datasets import Sample
from mien.errors import InputError
from mien.methods.se_swin.model import SeSwin, begin_locally, go_on_from, swin_tiny
from mien.methods.se_swin.sam import Sam
from mien.training.faces import FaceSettings, check_gray, faces_of, fit_faces
from mien.training.loop import descend
from mien.training.run import Run


@dataclass(frozen=True)
class Settings(FaceSettings):
    """Settings of a run of SE-Swin.

    se: place of the squeeze-and-excitation gate: "head", "stages", "none" or the control "constant".
    reduction: factor by which the gate narrows the channels.
    rho: radius of sharpness-aware minimization; 0 for plain AdamW.
    adaptive: use adaptive sharpness-aware minimization (ASAM).
    plain_epochs: first epochs that use plain AdamW.
    backbone: "mien" for a small Swin or "swin-t" for Swin-T.
    start: pretrained weights: "" for random ones, a file or, for Swin-T, a hub repository; for a small Swin the weights
    of a run, which may have used smaller faces (progressive resizing).
    patch: side of a patch in pixels.
    width: channels of the first stage.
    depths: blocks in each stage.
    heads: attention heads in each stage.
    window: side of an attention window in patches.
    drop_path: probability of skipping the last block (stochastic depth).
    """

    epochs: int = 30
    learning_rate: float = 1e-3
    last_learning_rate: float = 1e-5
    clip: float = 1.0
    batch_size: int = 64
    degrees: float = 10.0
    scale: float = 0.1
    shift: float = 4 / 48
    contrast: float = 0.2
    brightness: float = 0.1
    soften_share: float = 0.0
    erase_share: float = 0.25
    mixup_share: float = 0.0
    rebalance: float = 0.25
    se: str = "head"
    reduction: int = 8
    rho: float = 0.05
    adaptive: bool = False
    plain_epochs: int = 0
    backbone: str = "mien"
    start: str = ""
    patch: int = 2
    width: int = 48
    depths: tuple[int, ...] = (2, 2, 2)
    heads: tuple[int, ...] = (2, 4, 8)
    window: int = 6
    drop_path: float = 0.1


# The published network. Little of its training is published; README.md lists our choices.
PAPER = Settings(
    epochs=20,
    warmup=2.0,
    learning_rate=1e-4,
    degrees=15.0,
    scale=0.15,
    shift=0.12,
    size=224,
    channels=3,
    reduction=16,
    backbone="swin-t",
    start="timm/swin_tiny_patch4_window7_224.ms_in1k",
    drop_path=0.2,
    contrast=0.0,
    brightness=0.0,
    rebalance=1.0,
)
PRESETS: dict[str, Settings] = {"tiny": Settings(epochs=40, patch=4), "small": Settings(), "paper": PAPER}


def build(settings: Settings) -> SeSwin:
    """Return an untrained network of this size."""
    if settings.backbone not in ("mien", "swin-t"):
        raise InputError(f"backbone is mien or swin-t, not {settings.backbone!r}")
    if settings.backbone == "swin-t":
        return SeSwin(swin_tiny(settings.size, settings.drop_path, settings.start), settings.se, settings.reduction)
    check_gray(settings.backbone, settings.channels)
    swin = SwinTransformer(
        img_size=settings.size,
        patch_size=settings.patch,
        in_chans=1,
        num_classes=0,
        embed_dim=settings.width,
        depths=settings.depths,
        num_heads=settings.heads,
        window_size=settings.window,
        drop_path_rate=settings.drop_path,
        # timm's initialization, 0.02 for every layer, is made for wider networks.
        weight_init="jax",
    )
    begin_locally(swin)
    network = SeSwin(swin, settings.se, settings.reduction)
    if settings.start:
        go_on_from(network, Path(settings.start))
    return network


def train(
    dataset: Sequence[Sample],
    settings: Settings,
    folder: Path,
    *,
    valid: Sequence[Sample] | None = None,
    resume: bool = False,
) -> SeSwin:
    """Train a network; the folder receives the run, see mien.training.run.

    valid: faces for the accuracy in the log (strict majority, without duplicates); logged only.
    """
    torch.manual_seed(settings.seed)
    faces = faces_of(dataset, settings.size, channels=settings.channels)
    if settings.plain_epochs and settings.optimizer != "adamw":
        raise InputError("plain_epochs counts the steps of AdamW; set it to 0 or the optimizer to adamw")
    plain = settings.plain_epochs * (len(faces.samples) // settings.batch_size)
    step = Sam(settings.rho, settings.adaptive, plain) if settings.rho else descend
    trained: SeSwin = fit_faces(build(settings), faces, settings, folder, valid=valid, resume=resume, step=step)
    Run(folder).keep_data(dataset)
    return trained
