"""The embedded size of ExpLLM, as `mien train` and `mien export` want a method."""

from mien.methods.expllm.small.export import export, load_run
from mien.methods.expllm.small.train import PRESETS, Settings, train

__all__ = ["PRESETS", "Settings", "export", "load_run", "train"]
