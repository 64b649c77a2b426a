"""The expression reader: a compact residual network; the case of AU cues without the attention loss."""

from mien.methods.au_cues.export import export, load
from mien.methods.au_cues.model import ReaderNetwork
from mien.methods.au_cues.settings import PRESETS, Settings
from mien.methods.au_cues.train import train

__all__ = ["PRESETS", "ReaderNetwork", "Settings", "export", "load", "train"]
