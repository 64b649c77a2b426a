"""What generated faces are worth: the four ways of learning in which the paper uses them, at the size of FER2013.

Each file is one of them; arms of a comparison differ in their faces alone, and take the same steps.
"""

from typing import NamedTuple


class Paradigm(NamedTuple):
    """A way of learning that trains.   module: its code.   settings: the name of its settings there."""

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
        "Learn from captions, then sort photographs by captions of the expressions.",
        "mien.methods.synfer.downstream.zero_shot",
        "PairSettings",
    ),
}
