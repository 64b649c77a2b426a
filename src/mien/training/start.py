"""Weights to start a training from: of a run, of a model file that mien exported, or of another framework.

In model files and converted weights batch normalization is folded into the convolutions. `restore_normalization`
unfolds it from some faces: answers stay as they were, and training behaves as usual.

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
from mien.training.faces import normalize
from mien.training.mobilenet import MobileNet

# Faces that restore batch normalization.
_STATISTICS = 500

# What `mien export` puts around a network, and what it adds to the name of a weight it stores in half precision and to
# that of the bias of a convolution with folded normalization.
_AROUND, _HALF, _FOLDED = "network.network.", ".half", ".weight_bias"


def exported(start: str) -> bool:
    """Whether a start is a model that mien exported, rather than a file of weights."""
    return start in MODELS or Path(start).suffix == ".onnx"


def start_from(network: nn.Module, start: str, crops: Tensor) -> None:
    """Start a network from other weights, where they fit: those of its heads may differ.

    start: model.safetensors of a run; a model by its name or an ONNX file that `mien export` wrote for this method; for
    a MobileNet as `backbone` also a file written by mien.training.tensorflow_js.
    crops: (N, C, S, S) uint8; 500 of them restore batch normalization where it is folded.
    Raise InputError if less than half of the network's weights are there.
    """
    folded = exported(start)
    given = of_model(start) if folded else load_tensors(Path(start))
    backbone = getattr(network, "backbone", None)
    if isinstance(backbone, MobileNet) and "layers.0.0.weight" in given:
        network, folded = backbone, True
    own = network.state_dict()
    fitting = {name: value for name, value in given.items() if name in own and value.shape == own[name].shape}
    if 2 * sum(value.numel() for value in fitting.values()) < sum(value.numel() for value in own.values()):
        raise InputError(
            f"{start}: holds no weights that fit this network; give a model that mien exported, model.safetensors of a "
            "run, or for faceres a file that mien.training.tensorflow_js converted"
        )
    network.load_state_dict(own | fitting)
    if folded:
        some = torch.randperm(len(crops), generator=torch.Generator().manual_seed(0))[:_STATISTICS]
        restore_normalization(network, normalize(crops[some]))


def of_model(model: str) -> dict[str, Tensor]:
    """The weights in an exported model, by the names that its network had in training.

    A folded batch normalization has weight 1, mean 0, variance 1 and the bias of its convolution. Tables that the
    exporter computed further, such as relative positions of a Swin, are not among them.
    Raise InputError if the model states no weights by such names.
    """
    graph = onnx.load_model_from_string(load(model)).graph
    stored = {weight.name.removesuffix(_HALF): numpy_helper.to_array(weight) for weight in graph.initializer}
    # A linear layer of words loses the name of its matrix, which is turned, but not that of the bias added behind it.
    added = {node.input[i]: node.input[1 - i] for node in graph.node if node.op_type == "Add" for i in (0, 1)}
    for node in graph.node:
        bias = added.get(node.output[0], "") if node.op_type == "MatMul" else ""
        if bias.startswith(_AROUND) and bias.endswith(".bias") and node.input[1] in stored:
            stored[bias.removesuffix("bias") + "weight"] = stored[node.input[1]].T
    given: dict[str, Tensor] = {}
    for name, array in stored.items():
        if not name.startswith(_AROUND):
            continue
        value, short = torch.from_numpy(array.copy()).float(), name.removeprefix(_AROUND)
        if not short.endswith(_FOLDED):
            given[short] = value
            continue
        place, number = short.removesuffix(_FOLDED).rsplit(".", 1)
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
