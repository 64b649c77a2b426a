"""Labelled faces: every data set is a sequence of `Sample`. `open("KIND:PATH")` opens one by its name."""

from mien.datasets.affectnet import AffectNet
from mien.datasets.base import Sample
from mien.datasets.ckplus import CkPlus
from mien.datasets.fairface import FairFace
from mien.datasets.fer2013 import Fer2013
from mien.datasets.ferplus import FerPlus
from mien.datasets.folder import Folder
from mien.datasets.halves import Half
from mien.datasets.hybrid import Hybrid
from mien.datasets.kinds import open_dataset as open
from mien.datasets.mixed import Mixed
from mien.datasets.rafdb import RafDb
from mien.datasets.synthetic import Synthetic
from mien.datasets.utkface import UtkFace
from mien.datasets.worn import Worn

__all__ = [
    "AffectNet", "CkPlus", "FairFace", "Fer2013", "FerPlus", "Folder", "Half", "Hybrid", "Mixed", "RafDb", "Sample",
    "Synthetic", "UtkFace", "Worn", "open",
]  # fmt: skip
