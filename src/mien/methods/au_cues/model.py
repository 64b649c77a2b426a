"""The reader network: 48x48 gray faces to expression logits.

A residual network (He et al., 2016) with squeeze-and-excitation (Hu et al., 2018) and stochastic depth (Huang et al.,
2016), narrow enough for 5 ms a face on one core.

Letters: B faces, C channels, K expressions.
"""

from collections.abc import Sequence

from timm.layers.drop import DropPath
from timm.layers.squeeze_excite import SEModule
from torch import Tensor, nn

from mien.vocabulary import Expression


class Block(nn.Module):
    """Two 3x3 convolutions with a gate over channels, added to a shortcut."""

    def __init__(self, inputs: int, width: int, stride: int, drop: float) -> None:
        super().__init__()
        self.first = _convolution(inputs, width, 3, stride)
        self.second = nn.Sequential(*_convolution(width, width, 3)[:2], SEModule(width, rd_ratio=1 / 8))
        self.shortcut = nn.Identity() if inputs == width and stride == 1 else _shortcut(inputs, width, stride)
        self.drop = DropPath(drop)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, width, H/stride, W/stride)."""
        return nn.functional.relu(self.shortcut(x) + self.drop(self.second(self.first(x))))


class Reader(nn.Module):
    """Gray faces to expression logits.

    widths: channels of the four stages; each stage after the first halves the resolution.   blocks: blocks a stage.
    """

    def __init__(
        self,
        widths: Sequence[int] = (32, 64, 128, 256),
        blocks: Sequence[int] = (1, 2, 3, 2),
        dropout: float = 0.2,
        stochastic_depth: float = 0.1,
    ) -> None:
        super().__init__()
        self.stem = _convolution(1, widths[0], 3)
        stages, inputs, done = [], widths[0], 0
        for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            layers = []
            for block in range(count):
                drop = stochastic_depth * done / max(1, sum(blocks) - 1)
                layers.append(Block(inputs, width, 2 if stage > 0 and block == 0 else 1, drop))
                inputs, done = width, done + 1
            stages.append(nn.Sequential(*layers))
        self.stages = nn.ModuleList(stages)
        self.dropout = nn.Dropout(dropout)
        self.expression = nn.Linear(inputs, len(Expression))

    def forward(self, faces: Tensor, stages: Sequence[int] = ()) -> Tensor | tuple[Tensor, list[Tensor]]:
        """(B, 1, 48, 48), normalized, -> (B, 8) logits in Expression order.

        stages: numbers from 1 of the stages whose features, (B, C, h, w) after their last ReLU, are wanted as well.
        """
        x = self.stem(faces)  # (B, 32, 48, 48)
        features = []
        for stage in self.stages:
            x = stage(x)  # (B, 256, 6, 6) in the end
            features.append(x)
        pooled = x.mean(dim=(2, 3))  # (B, 256)
        logits: Tensor = self.expression(self.dropout(pooled))  # (B, 8)
        return (logits, [features[number - 1] for number in stages]) if stages else logits


def _convolution(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


def _shortcut(inputs: int, width: int, stride: int) -> nn.Sequential:
    # Average before the 1x1 convolution, or three of four pixels would be ignored (He et al., 2019, "ResNet-D").
    pool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
    return nn.Sequential(pool, *_convolution(inputs, width, 1)[:2])
