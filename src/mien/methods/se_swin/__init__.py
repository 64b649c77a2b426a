"""SE-Swin: a Swin transformer with squeeze-and-excitation, trained by sharpness-aware minimization.

Vats and Chadha, 2023, https://arxiv.org/abs/2301.10906. README.md describes the paper, our differences and the
measurements.
"""

from mien.methods.se_swin.export import export, load
from mien.methods.se_swin.model import SeSwin
from mien.methods.se_swin.train import PRESETS, Settings, train

__all__ = ["PRESETS", "SeSwin", "Settings", "export", "load", "train"]
