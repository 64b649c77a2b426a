import numpy as np

from mien.facs.head import load


def test_units_move_the_points_that_their_muscles_move():
    shapes = load()
    up = dict(zip(shapes.units.tolist(), shapes.moves[:, :, 1], strict=True))
    assert up[1][[21, 22]].min() > 0.05 > abs(up[1][48])
    assert up[4][[20, 23]].max() < -0.03
    assert up[12][[48, 54]].min() > 0.05
    assert up[15][[48, 54]].max() < -0.03
    assert up[43][[37, 44]].max() < -0.03


def test_the_two_sides_of_a_unit_mirror_each_other():
    shapes = load()
    for move in shapes.moves:
        assert np.allclose(move[36, 1], move[45, 1], atol=0.02)
        assert np.allclose(move[48, 0], -move[54, 0], atol=0.02)
