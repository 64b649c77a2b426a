"""VTFF: a face and its local binary patterns, fused by attention, read as a sequence of visual words.

Ma, Sun and Li, IEEE Transactions on Affective Computing 14(2), 2023, https://arxiv.org/abs/2103.16854. README.md
describes the paper, our differences and the measurements.
"""

from mien.methods.vtff.export import export, load
from mien.methods.vtff.model import Vtff
from mien.methods.vtff.train import PRESETS, Settings, train

__all__ = ["PRESETS", "Settings", "Vtff", "export", "load", "train"]
