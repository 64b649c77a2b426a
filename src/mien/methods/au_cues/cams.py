"""Class-activation maps: which parts of a face spoke for an expression, in any network of mien.

A network answers (B, 1, S, S) faces with `logits` and, as `features`, its feature maps, the earliest first.

Plain CAM (Zhou et al., 2016) is ours; the others are those of the library grad-cam, on maps of a stage's own size.

Letters: B faces, C channels, S the side of a face, h and w the size of a stage.
"""

import contextlib
import io
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mien.errors import InputError
from mien.extras import optional

# Each method and the library's class; CAM needs none.
METHODS = {
    "cam": "",
    "gradcam": "GradCAM",
    "gradcam++": "GradCAMPlusPlus",
    "layercam": "LayerCAM",
    "xgradcam": "XGradCAM",
    "scorecam": "ScoreCAM",
}


def cam(
    network: nn.Module, faces: Tensor, expressions: Tensor, method: str = "cam", stage: int | None = None
) -> Tensor:
    """What spoke for one expression a face, (B, h, w) from 0 to 1; 0 all over where nothing did.

    The network is put in evaluation mode, and its gradients are cleared.
    faces: (B, 1, S, S), normalized.   expressions: (B,) in Expression order.   method: of METHODS; "scorecam" runs the
    network once more for each channel.   stage: of the backbone, from 1; left out, the last. CAM knows only that one,
    and gradients arrive only at that one of a transformer, whose feature maps are copies of its words.
    """
    if method not in METHODS:
        raise InputError(f"there is no class-activation map {method!r}; there are {', '.join(METHODS)}")
    if method == "cam":
        raw = _plain(network, faces, expressions, stage)
    else:
        raw = _by_library(network, faces, expressions, method, stage)
    low, high = raw.amin(dim=(1, 2), keepdim=True), raw.amax(dim=(1, 2), keepdim=True)
    return torch.where(high > low, (raw - low) / (high - low), 0.0)


@torch.no_grad()
def _plain(network: nn.Module, faces: Tensor, expressions: Tensor, stage: int | None) -> Tensor:
    answers = network.eval()(faces)
    head: Any = network.get_submodule("expression")
    features = answers.features
    if stage not in (None, len(features)):
        raise InputError(f"CAM weighs the last stage, {len(features)}, and cannot show stage {stage}")
    pooled = features[-1].mean(dim=(2, 3))  # (B, C)
    if pooled.shape[1] != head.in_features or not torch.allclose(head(pooled), answers.logits, atol=1e-3):
        raise InputError("CAM is defined for a network whose logits are linear in its pooled features; take gradcam")
    rows: Tensor = head.weight[expressions]  # (B, C)
    return torch.einsum("bc,bchw->bhw", rows, features[-1])


class _Logits(nn.Module):
    """A network as the library wants a model: logits alone, and a module, `tap`, that the features of a stage pass.

    The tap is called with the very tensor that later layers were given, so that gradients arrive at it, whatever the
    backbone. No hook touches the backbone itself.
    """

    def __init__(self, network: nn.Module, stage: int | None) -> None:
        super().__init__()
        self.network, self.stage, self.tap = network, stage, nn.Identity()

    def forward(self, faces: Tensor) -> Tensor:
        answers = self.network(faces)
        count = len(answers.features)
        number = count if self.stage is None else self.stage
        if not 1 <= number <= count:
            raise InputError(f"the network has stages 1 to {count}, not {number}")
        # Score-CAM runs the network again for every channel, without gradients, and the library keeps all it sees.
        if torch.is_grad_enabled():
            self.tap(answers.features[number - 1])
        logits: Tensor = answers.logits
        return logits


def _by_library(network: nn.Module, faces: Tensor, expressions: Tensor, method: str, stage: int | None) -> Tensor:
    library = optional("pytorch_grad_cam", "train")
    target = optional("pytorch_grad_cam.utils.model_targets", "train").ClassifierOutputTarget
    model = _Logits(network, stage)
    explain: Any = getattr(library, METHODS[method])(model, [model.tap])

    def own_size(faces: Tensor) -> tuple[int, int]:
        """Width and height of the stage; the library would enlarge to those of the face, and stretch twice."""
        seen = explain.activations_and_grads
        if explain.uses_gradients and not seen.gradients:
            raise InputError(f"no gradient arrives at the features of stage {stage}; only those of the last stage do")
        height, width = seen.activations[0].shape[2:]
        return width, height

    explain.get_target_width_height = own_size
    if method == "gradcam++":
        explain.get_cam_weights = _plus_plus
    # Score-CAM draws a progress bar for every face.
    with torch.enable_grad(), contextlib.redirect_stderr(io.StringIO()):
        try:
            maps = explain(faces, [target(int(e)) for e in expressions])
        finally:
            network.zero_grad()
    return torch.from_numpy(maps).to(faces.device)


def _plus_plus(
    faces: Any, layer: Any, targets: Any, features: NDArray[np.floating], gradients: NDArray[np.floating]
) -> NDArray[np.floating]:
    """(B, C) weights of Grad-CAM++ (Chattopadhay et al., 2018, equation 19), its squared gradients divided out.

    The library adds 1e-6 to a denominator of the size of these squares; below a pooling layer they are about 1e-7.
    """
    alpha = 1 / (2 + features.sum(axis=(2, 3), keepdims=True) * gradients)
    return np.asarray((np.maximum(gradients, 0) * alpha).sum(axis=(2, 3)))
