"""Value of generated faces for training: the paper's four paradigms at the size of FER2013.

One file per paradigm; arms of a comparison differ only in their faces and take the same number of steps.
"""

from typing import NamedTuple


class Paradigm(NamedTuple):
    """A paradigm with training.   module: its code.   settings: the name of its settings there."""

    summary: str
    module: str
    settings: str


PARADIGMS = {
    "self-supervised": Paradigm(
        "Learn from faces without labels, then one layer with labels.",
        "mien.methods.synfer.downstream.self_supervised",
        "SimSiamSettings",
    ),
    "supervised": Paradigm(
        "Learn from photographs, generated faces, or both, in equal steps.",
        "mien.methods.synfer.downstream.supervised",
        "Settings",
    ),
    "zero-shot": Paradigm(
        "Learn from captions, then classify photographs by captions of the expressions.",
        "mien.methods.synfer.downstream.zero_shot",
        "PairSettings",
    ),
}
