"""Labelled faces: every dataset is a sequence of `Sample`."""

from mien.datasets.fer2013 import Fer2013
from mien.datasets.ferplus import FerPlus
from mien.datasets.folder import Folder
from mien.datasets.sample import Sample

__all__ = ["Fer2013", "FerPlus", "Folder", "Sample"]
