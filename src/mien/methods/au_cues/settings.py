"""Everything that a run of the reader depends on, besides the data, and the settings that have a name.

Belharbi et al., FG 2024, https://arxiv.org/abs/2402.00281, for PAPER.
"""

from dataclasses import dataclass, replace

from mien.training.faces import FaceSettings


@dataclass(frozen=True)
class Settings(FaceSettings):
    """Settings of a run of the reader.

    backbone: "mien" for our residual network, "faceres" for a MobileNetV1 pretrained on faces, or the name of a timm
    model.
    start: pretrained weights: "" for random ones; "pretrained" for those that timm publishes; a model to fine-tune,
    such as reader or an ONNX file that mien exported; model.safetensors of another run; for faceres also a file that
    mien.training.tensorflow_js converted.
    backbone_rate: learning rate of the backbone, as a fraction of learning_rate; below 1 for a pretrained backbone with
    new heads (discriminative fine-tuning, Howard and Ruder, 2018).
    large_maps: use a timm backbone with larger feature maps.
    enlarged: side in pixels that faces are enlarged to for faceres.
    last_stride: stride of the last reduction of faceres.
    frozen: number of first layers of faceres that are not trained.
    widths: channels of each stage of the residual network.
    blocks: blocks in each stage of the residual network.
    strides: stride of each stage of the residual network.
    squeeze: add squeeze-and-excitation to the residual network.
    dropout: dropout before the heads.
    stochastic_depth: probability of skipping the last residual block, falling to 0 at the first.
    heads: also learn action units, landmarks and head pose from a teacher; blended faces have none.
    local_stages: stages whose feature maps the heads read, from 1; 0 is the last.
    action_unit_weight: weight of the action units in the loss.
    landmark_weight: weight of the landmarks in the loss.
    pose_weight: weight of the head pose in the loss.
    readability_weight: weight of readability, the share of people who could read a face; 0 for no such head.
    worn: hard-to-read versions of faces added to each batch to learn readability from.
    pairs: pairs of faces that differ in one action unit, added to each batch.
    pair_weight: weight of these pairs in the loss.
    combinations: calm faces of which action units make an expression, added to each batch (see further.COMBINATIONS).
    rest_weight: weight of drawing the action units of faces labelled neutral to one resting level.
    attention_weight: weight of matching the attention to an action-unit map, lambda in the paper; 0 leaves it free.
    attention_stages: stages whose attention is trained, from 1.
    attention_map: map that the attention should match: "class" for the face's expression; controls are "generic", all
    action units, "shuffled", a random other expression, and "uniform", the same everywhere.
    codebook: action units of each expression: "paper_code" or "facs".
    symmetric: draw the regions of an action unit alike on both sides of the face, unlike the published code.
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
    combinations: int = 0
    rest_weight: float = 0.0
    attention_weight: float = 0.0
    attention_stages: tuple[int, ...] = (4,)
    attention_map: str = "class"
    codebook: str = "paper_code"
    symmetric: bool = False

    @property
    def taught(self) -> bool:
        """Whether a run needs a teacher's labels."""
        return self.heads or self.attention_weight > 0 or self.combinations > 0

    @property
    def further(self) -> bool:
        """Whether a step shows faces besides its batch."""
        return self.pairs > 0 or self.combinations > 0 or self.readability_weight > 0


# The settings of the paper's network on AffectNet: ResNet-50 with ImageNet weights, 28x28 maps of 224x224 faces. The
# paper lets the learning rate fall by a tenth every four epochs; here it falls along a cosine.
PAPER = Settings(
    epochs=20,
    optimizer="sgd",
    learning_rate=2e-3,
    weight_decay=5e-4,
    batch_size=224,
    backbone="resnet50",
    start="pretrained",
    large_maps=True,
    size=224,
    channels=3,
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
