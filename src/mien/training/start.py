"""Weights to start a training from: of a run, of a model file that mien exported, or of another framework.

In model files and converted weights batch normalization is folded into the convolutions. `restore_normalization`
unfolds it from a few hundred faces: answers stay as they were, and training behaves as usual.

Letters: B faces, S the side of a face.
"""

from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from mien.core.zoo import MODELS, load
from mien.errors import InputError
from mien.training.backbones import load_tensors
from mien.training.mobilenet import MobileNet

# What `mien export` puts around a network, and what it adds to the name of a weight it stores in half precision and to
# that of the bias of a convolution with folded normalization.
_AROUND, _HALF, _FOLDED = "network.network.", ".half", ".weight_bias"


def start_from(network: nn.Module, start: str, faces: Tensor) -> None:
    """Start a network from other weights, where they fit: those of its heads may differ.

    start: model.safetensors of a run; a model by its name or an ONNX file that `mien export` wrote for this method; for
    a MobileNet as `backbone` also a file written by mien.training.tensorflow_js.
    faces: (B, 1, S, S), normalized, a few hundred; they restore batch normalization where it is folded.
    Raise InputError if the weights are of another network.
    """
    exported = start in MODELS or Path(start).suffix == ".onnx"
    given = of_model(start) if exported else load_tensors(Path(start))
    backbone = network.get_submodule("backbone")
    if isinstance(backbone, MobileNet) and "layers.0.0.weight" in given:
        network, given, folded = backbone, given, True
    else:
        folded = exported
    own = network.state_dict()
    fitting = {name: value for name, value in given.items() if name in own and value.shape == own[name].shape}
    if not any(name.startswith("backbone.") for name in fitting) and network is not backbone:
        raise InputError(
            f"{start}: holds no weights that fit this network; give a model that mien exported, model.safetensors of a "
            "run, or for faceres a file that mien.training.tensorflow_js converted"
        )
    network.load_state_dict(own | fitting)
    if folded:
        restore_normalization(network, faces)


def of_model(model: str) -> dict[str, Tensor]:
    """The weights in an exported model, by the names that its network had in training.

    A folded batch normalization has weight 1, mean 0, variance 1 and the bias of its convolution.
    Raise InputError if the model states no weights by such names.
    """
    graph = onnx.load_model_from_string(load(model)).graph
    stored = {weight.name: weight for weight in graph.initializer}
    given: dict[str, Tensor] = {}
    for name, weight in stored.items():
        if not name.startswith(_AROUND):
            continue
        value = torch.from_numpy(numpy_helper.to_array(weight).copy()).float()
        short = name.removeprefix(_AROUND)
        if not short.endswith(_FOLDED):
            given[short.removesuffix(_HALF)] = value
            continue
        convolution = short.removesuffix(_FOLDED)
        place, number = convolution.rsplit(".", 1)
        norm = f"{place}.{int(number) + 1}"
        given |= {f"{norm}.bias": value, f"{norm}.weight": torch.ones_like(value)}
        given |= {f"{norm}.running_mean": torch.zeros_like(value), f"{norm}.running_var": torch.ones_like(value)}
    if not given:
        raise InputError(f"{model}: mien export did not write it, so its weights have no names to start from")
    return given


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
