"""Labelled faces: every dataset is a sequence of `Sample`."""

from mien.datasets.affectnet import AffectNet
from mien.datasets.base import Sample
from mien.datasets.ckplus import CkPlus
from mien.datasets.fairface import FairFace
from mien.datasets.fer2013 import Fer2013
from mien.datasets.ferplus import FerPlus
from mien.datasets.folder import Folder
from mien.datasets.halves import Half, Worn
from mien.datasets.hybrid import Hybrid
from mien.datasets.rafdb import RafDb
from mien.datasets.synthetic import Mixed, Synthetic
from mien.datasets.utkface import UtkFace

__all__ = [
    "AffectNet", "CkPlus", "FairFace", "Fer2013", "FerPlus", "Folder", "Half", "Hybrid", "Mixed", "RafDb", "Sample",
    "Synthetic", "UtkFace", "Worn",
]  # fmt: skip
