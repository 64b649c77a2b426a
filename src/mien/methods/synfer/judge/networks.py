"""Classifiers that guide or judge the generator, and the checks that a judge is not a guide.

Letters: B faces, S the side of a face.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mien.errors import InputError
from mien.facs.vocabulary import Expression
from mien.training.faces import normalize
from mien.training.run import Identity


def refuse_shared(judge: Identity, guide: Identity) -> None:
    """Raise InputError unless the judge has other weights, architecture, seed and training half than the guide.

    A judge that shares these with the guide overrates the faces that the guide shaped.
    """
    shared = [
        name
        for name, one, other in (
            ("weights", judge.weights, guide.weights),
            ("architecture", judge.architecture, guide.architecture),
            ("seed", judge.seed, guide.seed),
        )
        if one == other
    ]
    if {judge.half, guide.half} != {"half-a", "half-b"}:
        shared.append("training faces")
    if shared:
        raise InputError(
            f"the judge ({judge.method}, {judge.weights[:8]}) shares {', '.join(shared)} with a guide "
            f"({guide.method}, {guide.weights[:8]}); train judges on --data half-b:..., guides on half-a:..., with "
            "another seed and architecture"
        )


class Judged(NamedTuple):
    """Answers of a network about N faces.

    probabilities: (N, 8).   features: (N, F), input of its last layer.   units: (N, 24), None if it has none.
    """

    probabilities: NDArray[np.float32]
    features: NDArray[np.float32]
    units: NDArray[np.float32] | None


@torch.no_grad()
def judged(network: nn.Module, crops: NDArray[np.uint8]) -> Judged:
    """Return answers about (N, S, S) uint8 faces; features are the input of the last linear layer with 8 outputs."""
    layers = [m for m in network.modules() if isinstance(m, nn.Linear) and m.out_features == len(Expression)]
    if not layers:
        raise InputError(f"{type(network).__name__} has no linear layer that answers the eight expressions")
    given: list[Tensor] = []
    hook = layers[-1].register_forward_pre_hook(lambda layer, inputs: given.append(inputs[0]))
    network.eval()
    try:
        images = torch.from_numpy(crops)[:, None]
        answers = [network(normalize(part)) for part in torch.split(images, 256)]
    finally:
        hook.remove()
    units = [getattr(answer, "action_units", None) for answer in answers]
    return Judged(
        torch.cat([answer.logits for answer in answers]).softmax(dim=1).numpy(),
        torch.cat([features.flatten(1) for features in given]).numpy(),
        None if units[0] is None else torch.cat([part for part in units if part is not None]).numpy(),
    )
