"""Everything that a run of the full size depends on."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Everything that a run of the full size depends on, besides the data.

    tower: a vision tower, as a hub id, with @REVISION behind it if need be, or a folder: DINOv2, SigLIP, CLIP, or the
        encoder of an embedded run.
    language: a causal language model, as such an id, a folder or a .gguf file.
    epochs, align_epochs: each face once as a chain of thought and the more often as a label, the smaller cot_share.
    steps, align_steps: stop after so many, whatever the epochs; 0 for all.
    batch_size: for each device, times accumulate for a step.   warmup: epochs of the second stage, which may be a
    fraction; the first warms up for the same share of its own.
    rank, alpha, lora_dropout: of LoRA.   drop_path: of the tower, if it is a DINOv2.
    longest: tokens of a conversation; longer ones are cut.   save_steps: between checkpoints.
    precision: "32-true" or "bf16-mixed".
    """

    tower: str = ""
    language: str = ""
    epochs: float = 20.0
    align_epochs: float = 1.0
    steps: int = 0
    align_steps: int = 0
    batch_size: int = 1
    accumulate: int = 16
    learning_rate: float = 5e-4
    weight_decay: float = 0.05
    warmup: float = 0.6
    rank: int = 8
    alpha: int = 16
    lora_dropout: float = 0.05
    drop_path: float = 0.4
    cot_share: float = 0.25
    unverified_weight: float = 0.5
    longest: int = 2048
    save_steps: int = 200
    precision: str = "32-true"
    seed: int = 0


# On a computer without a GPU: SmolLM2-135M with the encoder of an embedded run.
SMALL = Settings(batch_size=8, accumulate=1, steps=300, align_steps=100, longest=384, save_steps=50)
PRESETS = {"small": SMALL, "paper": Settings()}
