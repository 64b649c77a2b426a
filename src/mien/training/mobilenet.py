"""MobileNetV1 (Howard et al., 2017, https://arxiv.org/abs/1704.04861) for gray faces, startable from others' weights.

`mien.training.tensorflow_js` converts such weights. In them batch normalization is folded into the convolutions;
`restore_normalization` unfolds it from a few hundred faces: answers stay as they were, and training behaves as usual.

Letters: B faces, C channels, S the side of a face, E that of the enlarged face, h and w the size of a layer.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.errors import InputError
from mien.training.backbones import load_tensors
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


def start_from(network: nn.Module, path: Path, faces: Tensor) -> None:
    """Start a network from a file: a MobileNet as its `backbone` alone, or all of a trained network.

    path: model.safetensors of a run, whose weights are taken where they fit, or for a MobileNet a file written by
    mien.training.tensorflow_js.   faces: see restore_normalization; used for converted weights.
    Raise InputError if the file is neither.
    """
    given, own, backbone = load_tensors(path), network.state_dict(), network.get_submodule("backbone")
    fitting = {name: value for name, value in given.items() if name in own and value.shape == own[name].shape}
    if isinstance(backbone, MobileNet) and "layers.0.0.weight" in given:
        backbone.load_state_dict({**backbone.state_dict(), **given})
        restore_normalization(backbone, faces)
    elif any(name.startswith("backbone.") for name in fitting):
        network.load_state_dict(own | fitting)
    else:
        raise InputError(
            f"{path}: holds no weights that fit this network; give model.safetensors of a run, or for faceres a file "
            "that mien.training.tensorflow_js converted"
        )


@torch.no_grad()
def restore_normalization(network: nn.Module, faces: Tensor) -> None:
    """Give every batch normalization of a network with folded weights the statistics of what reaches it.

    network: each of its nn.BatchNorm2d has weight 1, running mean 0 and running variance 1, and as bias that of the
    folded convolution.   faces: (B, 1, S, S), normalized; a few hundred. The network's function stays the same.
    """
    handles = [m.register_forward_pre_hook(_restore) for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    try:
        network.eval()(faces)
    finally:
        for handle in handles:
            handle.remove()


def _restore(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
    if not isinstance(layer, nn.BatchNorm2d) or layer.running_mean is None or layer.running_var is None:
        return
    variance, mean = torch.var_mean(given[0].float(), dim=(0, 2, 3))
    layer.running_mean.copy_(mean)
    layer.running_var.copy_(variance)
    layer.bias.add_(mean)
    layer.weight.copy_((variance + layer.eps).sqrt())


def _normalized(convolution: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU6(inplace=True))
