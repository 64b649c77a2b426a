"""The generator as a method: what `mien train synfer` and `mien export synfer` use. Needs torch."""

from mien.methods.synfer.flow.export import export, load_run
from mien.methods.synfer.flow.model import Generator
from mien.methods.synfer.flow.train import PRESETS, Settings, train

__all__ = ["PRESETS", "Generator", "Settings", "export", "load_run", "train"]
