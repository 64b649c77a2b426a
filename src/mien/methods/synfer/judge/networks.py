"""Trained classifiers that guide the generator or judge it, and what tells them apart: a judge must be no guide.

Letters: B faces, S the side of a face.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor, nn

from mien.errors import InputError
from mien.export.runs import settings_of
from mien.facs.vocabulary import Expression
from mien.training.faces import normalize

# A file of a run that says what data it was trained on; `mien train` writes it.
_DATA = "data.json"


@dataclass(frozen=True)
class Identity:
    """Which network it is.

    weights: SHA-256 of its file.   architecture: a hash of the names and shapes of its parameters.
    half: of the data that it was trained on, "half-a" or "half-b"; "" for all, or when it is not known.
    """

    method: str
    weights: str
    architecture: str
    seed: int
    half: str

    @staticmethod
    def of(method: str, run: Path) -> "Identity":
        """Of a finished run; InputError when it is not finished."""
        settings, file = settings_of(run), run / "model.safetensors"
        with safe_open(file, "pt") as weights:
            shapes = [f"{name} {tuple(weights.get_slice(name).get_shape())}" for name in sorted(weights.keys())]
        said = json.loads((run / _DATA).read_text(encoding="utf-8"))["data"] if (run / _DATA).is_file() else ""
        return Identity(
            method,
            hashlib.sha256(file.read_bytes()).hexdigest(),
            hashlib.sha256("\n".join(shapes).encode()).hexdigest()[:16],
            int(settings.get("seed", 0)),
            next((part for part in said.split(":") if part in ("half-a", "half-b")), ""),
        )

    def to_json(self) -> dict[str, Any]:
        """As the fields of a JSON object."""
        return asdict(self)


def refuse_shared(judge: Identity, guide: Identity) -> None:
    """InputError, which says why, unless the judge is of other weights, architecture, seed and half of the data.

    A judge that has something of the guide in it calls faces right because the guide made them so.
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
    """What a network says of N faces.

    probabilities: (N, 8).   features: (N, F), what its last layer is given.   units: (N, 24), None where it has none.
    """

    probabilities: NDArray[np.float32]
    features: NDArray[np.float32]
    units: NDArray[np.float32] | None


@torch.no_grad()
def judged(network: nn.Module, crops: NDArray[np.uint8]) -> Judged:
    """The answers to (N, S, S) uint8 faces; features are the input of the last linear layer with eight outputs."""
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
    units = [getattr(said, "action_units", None) for said in answers]
    return Judged(
        torch.cat([said.logits for said in answers]).softmax(dim=1).numpy(),
        torch.cat([features.flatten(1) for features in given]).numpy(),
        None if units[0] is None else torch.cat([part for part in units if part is not None]).numpy(),
    )
