"""MobileNetV1 (Howard et al., 2017, https://arxiv.org/abs/1704.04861) for gray faces, startable from others' weights.

`mien.training.tensorflow_js` converts such weights, and mien.training.start starts from them.

Letters: B faces, C channels, S the side of a face, E that of the enlarged face, h and w the size of a layer.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.training.faces import MEAN, STD

# Gray levels that the networks whose weights it starts from take off blue, green and red (those of VGGFace).
_LEVELS = (103.939, 116.779, 123.68)
# Channels of each depthwise block, and its stride; the stem has stride 2 and _STEM channels.
_STEM = 32
_BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))


class Same(nn.Conv2d):
    """A 3x3 convolution padded as TensorFlow's SAME: at stride 2 an even side is padded right and below alone.

    stride: 1 or 2.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, groups: int = 1) -> None:
        super().__init__(inputs, outputs, 3, stride, 0, groups=groups, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride), rounded up."""
        height, width = input.shape[2:]
        if self.stride[0] == 1:
            return F.conv2d(input, self.weight, padding=1, groups=self.groups)
        if self.training and self.groups > 1:
            # On a CPU the gradient of a depthwise convolution with a stride takes ten times as long as without one.
            whole = F.conv2d(input, self.weight, padding=1, groups=self.groups)
            return whole[:, :, 1 - height % 2 :: 2, 1 - width % 2 :: 2]
        return F.conv2d(F.pad(input, (width % 2, 1, height % 2, 1)), self.weight, stride=2, groups=self.groups)


class MobileNet(nn.Module):
    """Gray faces, normalized, to the features at each resolution, after the last ReLU6 there.

    enlarged: the side to which faces are enlarged first, bilinearly.   last_stride: of the last reduction; 1 leaves the
    last map at a sixteenth of that side instead of a thirty-second.   frozen: so many of the first layers do not learn.
    The network itself sees three channels of 0 to 255, less _LEVELS, as its starting weights were trained on.
    """

    levels: Tensor

    def __init__(self, enlarged: int = 96, last_stride: int = 2, frozen: int = 0) -> None:
        super().__init__()
        self.enlarged, self.frozen = enlarged, frozen
        layers, inputs = [_normalized(Same(3, _STEM, 2))], _STEM
        ends, reductions = [], 0
        for number, (width, stride) in enumerate(_BLOCKS):
            if stride == 2:
                ends.append(number)  # the layer before, counting the stem, is the last at its resolution
                reductions += 1
            stride = last_stride if reductions == 4 and stride == 2 else stride
            depthwise = _normalized(Same(inputs, inputs, stride, groups=inputs))
            pointwise = _normalized(nn.Conv2d(inputs, width, 1, bias=False))
            layers.append(nn.Sequential(depthwise, pointwise))
            inputs = width
        self.layers = nn.ModuleList(layers)
        self._ends = frozenset([*ends, len(_BLOCKS)])
        self.layers[:frozen].requires_grad_(False)
        self.register_buffer("levels", torch.tensor(_LEVELS).view(1, 3, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> "MobileNet":
        """Put the layers that learn into training mode; the statistics of frozen ones stay, too."""
        super().train(mode)
        self.layers[: self.frozen].eval()
        return self

    def forward(self, faces: Tensor) -> list[Tensor]:
        """(B, 1, S, S), normalized -> five maps: 64, 128, 256, 512 and 1024 channels."""
        size = (self.enlarged, self.enlarged)
        x = F.interpolate((faces * STD + MEAN) * 255, size, mode="bilinear", align_corners=False) - self.levels
        x = x.contiguous(memory_format=torch.channels_last)  # (B, 3, E, E)
        features = []
        for number, layer in enumerate(self.layers):
            x = layer(x)
            if number in self._ends:
                features.append(x)
        return features


def _normalized(convolution: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU6(inplace=True))
