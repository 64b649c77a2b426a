"""Everything that a run of the full size depends on."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Settings of a run of the full-size model.

    tower: vision tower, a folder or a hub id, with @REVISION appended if wanted: DINOv2, SigLIP, CLIP, or the encoder
    of a run of the embedded model.
    language: causal language model: a folder, a .gguf file or a hub id, with @REVISION appended if wanted.
    epochs: passes of the second stage; each shows a face once as a chain of thought, and as a label the more often the
    smaller cot_share is.
    align_epochs: passes of the first stage, which trains the projector.
    steps: stop the second stage after so many steps; 0 for all epochs.
    align_steps: stop the first stage after so many steps; 0 for all epochs.
    batch_size: conversations on a device at once.
    accumulate: batches whose gradients are summed for one step.
    learning_rate: highest learning rate, reached after the warm-up.
    weight_decay: weight decay of AdamW.
    warmup: linear warm-up of the second stage in epochs, which may be a fraction; the first warms up for the same share
    of its steps.
    rank: rank of LoRA.
    alpha: scaling factor of LoRA.
    lora_dropout: dropout of LoRA.
    drop_path: stochastic depth of the tower, if it is a DINOv2.
    cot_share: share of each batch that learns a chain of thought; the rest learns the label alone.
    unverified_weight: weight of texts that failed verification against the measured action units.
    longest: longest conversation in tokens; longer ones are cut.
    save_steps: steps between checkpoints.
    precision: "32-true" or "bf16-mixed".
    seed: seed of weights, order and draws.
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
