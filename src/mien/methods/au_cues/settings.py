"""Everything that a run of the reader depends on, besides the data, and the settings that have a name.

Belharbi et al., FG 2024, https://arxiv.org/abs/2402.00281, for PAPER.
"""

from dataclasses import dataclass, replace

from mien.training.faces import FaceSettings


@dataclass(frozen=True)
class Settings(FaceSettings):
    """Everything that a run of the reader depends on, besides the data.

    backbone: "mien" for our residual network, which widths (channels), blocks and strides of its stages, squeeze and
    stochastic_depth describe; "faceres" for a MobileNetV1 that sees faces enlarged to so many pixels, whose last
    reduction has last_stride and of whose layers the first are frozen; or the name of a timm model, with large_maps if
    wanted.
    start: "" for random weights; of a timm model "pretrained" for those that timm publishes; of faceres a .safetensors
    file, converted by mien.training.tensorflow_js or of another run.
    backbone_rate: the backbone's learning rate as a share of learning_rate; below 1 where it starts from weights that
    have learned more than the heads (discriminative fine-tuning, Howard and Ruder, 2018).
    heads: also learn a teacher's action units, landmarks and head pose, each with its weight; blended faces have none.
    local_stages: see model.Reader.
    readability_weight: above 0 the share of people who could read a face is learned too, also from so many worn faces
    beside each batch.   pairs: so many pairs of faces that differ in one unit beside each batch, with pair_weight (see
    further.py).   rest_weight: of pulling the units of faces that people call neutral to one rest.
    attention_weight: the paper's lambda; above 0 the attention of attention_stages (numbers from 1) is taught to match
    the AU map that codebook and symmetric describe (see maps.py).
    attention_map: "class", the map of the face's expression; for controls "generic", all AUs whatever the expression,
    "shuffled", the map of a random other expression, "uniform", the same everywhere.
    """

    backbone: str = "mien"
    start: str = ""
    large_maps: bool = False
    enlarged: int = 96
    last_stride: int = 2
    frozen: int = 0
    backbone_rate: float = 1.0
    widths: tuple[int, ...] = (32, 64, 128, 192)
    blocks: tuple[int, ...] = (1, 2, 3, 2)
    strides: tuple[int, ...] = (1, 2, 2, 1)
    squeeze: bool = True
    dropout: float = 0.2
    stochastic_depth: float = 0.1
    heads: bool = False
    local_stages: tuple[int, ...] = (0,)
    action_unit_weight: float = 5.0
    landmark_weight: float = 10.0
    pose_weight: float = 0.5
    readability_weight: float = 0.0
    worn: int = 8
    pairs: int = 0
    pair_weight: float = 1.0
    rest_weight: float = 0.0
    attention_weight: float = 0.0
    attention_stages: tuple[int, ...] = (4,)
    attention_map: str = "class"
    codebook: str = "paper_code"
    symmetric: bool = False

    @property
    def taught(self) -> bool:
        """Whether a run needs a teacher's labels."""
        return self.heads or self.attention_weight > 0


# The settings of the paper's network on its data: ResNet-50 with ImageNet weights, 28x28 maps of 224x224 faces.
PAPER = Settings(
    epochs=20,
    learning_rate=2e-4,
    batch_size=224,
    backbone="resnet50",
    start="pretrained",
    large_maps=True,
    size=224,
    dropout=0.0,
    degrees=6.0,
    scale=0.1,
    shift=0.05,
    contrast=0.4,
    brightness=0.4,
    soften_share=0.0,
    erase_share=0.5,
    mixup_share=0.0,
    rebalance=0.0,
    attention_weight=4.0,
    attention_stages=(5,),
)
# Fine-tuning of a face-recognition network on soft votes.
FACERES = Settings(
    epochs=12,
    learning_rate=5e-4,
    batch_size=64,
    average=0.998,
    precision="bf16-mixed",
    backbone="faceres",
    dropout=0.3,
    brightness=40 / 255,
    soften_share=0.0,
    erase_share=0.4,
    rebalance=0.0,
)
# The reader that ships.
READER = replace(
    FACERES,
    frozen=4,
    degrees=20.0,
    scale=0.2,
    photograph_share=0.4,
    erase_share=0.3,
    mixup_share=0.3,
    rebalance=0.25,
    heads=True,
    local_stages=(3, 4),
    readability_weight=0.3,
    worn=6,
    pairs=8,
    rest_weight=0.1,
    attention_weight=1.0,
    attention_stages=(4,),
    codebook="facs",
    symmetric=True,
)
PRESETS = {"small": Settings(), "paper": PAPER, "faceres": FACERES, "reader": READER}
