"""Faces that several test files of the engine speak of."""

import numpy as np

from mien.facs.observation import Observation, Pose
from mien.facs.units import ActionUnits
from mien.facs.vocabulary import Expression
from tests.helpers import units

SMILE = {12: 0.6, 6: 0.5, 25: 0.3}
SURPRISE = {1: 0.5, 2: 0.5, 5: 0.4, 26: 0.6}
ANGER = {4: 0.6, 7: 0.5, 24: 0.45}


def face(given, label, name="face", asymmetries=None, shares=None, **other):
    """A face with these action units, of which everybody says that it shows this expression."""
    if shares is None:
        shares = {label: 1.0}
    votes = np.array([shares.get(e, 0.0) for e in Expression])
    return Observation(name, units(given, asymmetries), votes, **other)


def random_faces(count, seed=0):
    """Faces of all kinds: few or many action units, even or uneven, agreed on or not, turned or not, rated or read."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        values = np.where(rng.random(21) < rng.random(), rng.random(21) ** 2, 0).astype(np.float32)
        uneven = np.where(rng.random(3) < 0.3, rng.uniform(-0.6, 0.6, 3), 0).astype(np.float32)
        shares = rng.dirichlet(np.full(8, 0.3))
        pose = Pose(float(rng.normal(0, 15)), 0.0, 0.0) if number % 2 else None
        yield Observation(f"face {number}", ActionUnits(values, uneven), shares, bool(rng.random() < 0.7), pose)
