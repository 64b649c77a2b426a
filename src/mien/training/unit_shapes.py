"""ICT-FaceKit to the table of mien.facs.head: `python -m mien.training.unit_shapes FOLDER_OF_THE_KIT`."""

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.errors import InputError
from mien.facs.head import FILE, Shapes

# Shapes of the kit that make each unit at dose 1, about the strongest a person makes; those with two sides count twice.
_RECIPES: dict[int, dict[str, float]] = {
    1: {"browInnerUp": 1.0},
    2: {"browOuterUp": 0.8},
    4: {"browDown": 1.1},
    5: {"eyeWide": 1.0},
    6: {"cheekRaiser": 1.0, "cheekSquint": 0.5},
    7: {"eyeSquint": 1.0},
    9: {"noseSneer": 1.25},
    10: {"mouthUpperUp": 0.8},
    12: {"mouthSmile": 0.9},
    14: {"mouthDimple": 0.8},
    15: {"mouthFrown": 1.1},
    17: {"mouthShrugLower": 1.0},
    18: {"mouthPucker": 1.0},
    20: {"mouthStretch": 1.0},
    24: {"mouthPress": 1.0},
    43: {"eyeBlink": 1.0},
}
_SIDES = {"mouthPucker": ("",), "mouthShrugLower": ("",)}
# Where, in the head's own centimetres seen from the front, the points besides the landmarks lie.
_MORE = (
    (0.0, 7.5), (3.0, 7.3), (-3.0, 7.3), (5.5, 6.0), (-5.5, 6.0), (0.0, 5.0), (1.2, 5.0), (-1.2, 5.0), (3.0, 1.7),
    (-3.0, 1.7), (4.6, 1.4), (-4.6, 1.4), (5.6, 2.6), (-5.6, 2.6), (3.6, -0.3), (-3.6, -0.3), (5.2, -1.0), (-5.2, -1.0),
    (2.6, -1.6), (-2.6, -1.6), (3.9, -3.5), (-3.9, -3.5), (0.0, -5.6), (1.8, -5.4), (-1.8, -5.4), (3.6, -5.4),
    (-3.6, -5.4),
)  # fmt: skip
# Vertices before this one are skin; points are taken from those this near to their place, in centimetres.
_SKIN, _NEAR = 9409, 0.3
_IDENTITIES = 12


def reduce(kit: Path) -> Shapes:
    """The shapes of ICT-FaceKit at the points.   kit: its folder.   InputError when a file is missing."""
    folder = kit / "FaceXModel"
    rest = _vertices(folder / "generic_neutral_mesh.obj")
    landmarks = json.loads((folder / "vertex_indices.json").read_text())["idx_to_landmark_verts"]
    points = np.array([*landmarks, *(_in_front(rest[:_SKIN], at) for at in _MORE)])
    unit_length = float(np.linalg.norm(rest[landmarks[45]] - rest[landmarks[36]]))

    def moved(name: str) -> NDArray[np.float64]:
        return np.asarray((_vertices(folder / f"{name}.obj") - rest)[points] / unit_length)

    moves = []
    for unit, recipe in _RECIPES.items():
        sides = [(f"{name}{side}", a) for name, a in recipe.items() for side in _SIDES.get(name, ("_L", "_R"))]
        move = sum((a * moved(name) for name, a in sides), start=np.zeros((len(points), 3)))
        moves.append(move * _without_the_lip(rest[points, 1]) if unit == 9 else move)
    identities = [moved(f"identity{k:03d}") for k in range(_IDENTITIES)]
    return Shapes(
        np.array(list(_RECIPES)),
        ((rest[points] - rest[landmarks[27:48]].mean(axis=0)) / unit_length).astype(np.float32),
        np.array(moves, np.float32),
        np.array(identities, np.float32),
    )


def _in_front(skin: NDArray[np.float64], at: tuple[float, float]) -> int:
    """The vertex closest to the camera among those near a place."""
    away = np.linalg.norm(skin[:, :2] - at, axis=1)
    near = away <= max(_NEAR, float(away.min()))
    return int(np.where(near, skin[:, 2], -np.inf).argmax())


def _without_the_lip(height: NDArray[np.float64]) -> NDArray[np.float64]:
    """(P, 1): the kit's sneer lifts the upper lip with it; a quarter of that stays."""
    below = np.clip((-1.5 - height) / 1.1, 0, 1)
    return np.asarray(1 - 0.75 * below * below * (3 - 2 * below))[:, None]


def _vertices(path: Path) -> NDArray[np.float64]:
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; the folder must be a copy of ICT-FaceKit", "missing")
    with path.open() as lines:
        return np.array([line.split()[1:4] for line in lines if line.startswith("v ")], float)


def main() -> None:
    """Write the table of points of an ICT-FaceKit that lies in a folder."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("kit", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parents[1] / "facs" / FILE)
    given = parser.parse_args()
    shapes = reduce(given.kit)
    np.savez_compressed(
        given.output,
        units=shapes.units.astype(np.int16),
        **{name: getattr(shapes, name).astype(np.float16) for name in ("rest", "moves", "identities")},
    )


if __name__ == "__main__":
    main()
