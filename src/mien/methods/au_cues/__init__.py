"""The expression reader: a compact residual network; the case of AU cues without the attention loss."""

from mien.methods.au_cues.export import export
from mien.methods.au_cues.model import Reader
from mien.methods.au_cues.train import Settings, train

__all__ = ["Reader", "Settings", "export", "train"]
