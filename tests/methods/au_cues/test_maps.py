import numpy as np
import pytest

from mien.errors import InputError
from mien.facs.landmarks import MIRRORED_68, mean_face
from mien.facs.vocabulary import Expression as E
from mien.methods.au_cues.maps import CODEBOOKS, GENERIC, PAPER_CODE, class_map, regions, union_map

MAPS = {expression: class_map(mean_face(), expression) for expression in PAPER_CODE}


def cosine(a, b):
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


@pytest.mark.parametrize(
    ("expression", "mean", "uniform"),
    [
        (E.HAPPINESS, 0.133, 0.44),
        (E.SURPRISE, 0.160, 0.48),
        (E.FEAR, 0.206, 0.54),
        (E.ANGER, 0.146, 0.49),
        (E.DISGUST, 0.130, 0.44),
        (E.SADNESS, 0.210, 0.56),
    ],
)
def test_the_map_of_the_mean_face_has_the_mean_and_spread_computed_beforehand(expression, mean, uniform):
    assert MAPS[expression].mean() == pytest.approx(mean, abs=0.01)
    assert cosine(MAPS[expression], np.ones((224, 224))) == pytest.approx(uniform, abs=0.01)
    assert (MAPS[expression].min(), MAPS[expression].max()) == (0, 1)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (E.SURPRISE, E.FEAR, 0.92),
        (E.HAPPINESS, E.SADNESS, 0.68),
        (E.ANGER, E.SADNESS, 0.73),
        (E.FEAR, E.ANGER, 0.63),
        (E.FEAR, E.SADNESS, 0.62),
        (E.SURPRISE, E.SADNESS, 0.60),
        (E.ANGER, E.DISGUST, 0.59),
        (E.HAPPINESS, E.DISGUST, 0.59),
        (E.ANGER, E.SURPRISE, 0.54),
        (E.HAPPINESS, E.ANGER, 0.62),
        (E.DISGUST, E.SADNESS, 0.44),
        (E.DISGUST, E.FEAR, 0.41),
        (E.HAPPINESS, E.FEAR, 0.32),
        (E.SURPRISE, E.DISGUST, 0.25),
        (E.HAPPINESS, E.SURPRISE, 0.19),
    ],
)
def test_maps_of_two_expressions_are_as_alike_as_computed_beforehand(a, b, expected):
    assert cosine(MAPS[a], MAPS[b]) == pytest.approx(expected, abs=0.01)


def test_maps_that_know_nothing_already_agree_with_the_six_as_much_as_computed_beforehand():
    def macro(guess):
        return np.mean([cosine(guess, au_map) for au_map in MAPS.values()])

    y, x = np.mgrid[:224, :224]
    assert macro(np.ones((224, 224))) == pytest.approx(0.49, abs=0.01)
    assert macro(np.exp(-((x - 112) ** 2 + (y - 112) ** 2) / (2 * 56**2))) == pytest.approx(0.61, abs=0.01)
    generic = union_map(mean_face(), GENERIC)
    assert generic.mean() == pytest.approx(0.37, abs=0.01)
    assert macro(generic) == pytest.approx(0.72, abs=0.01)
    assert macro(np.mean(list(MAPS.values()), axis=0)) == pytest.approx(0.78, abs=0.01)


@pytest.mark.parametrize("expression", [E.NEUTRAL, E.CONTEMPT])
def test_an_expression_without_action_units_has_no_map(expression):
    assert class_map(mean_face(), expression) is None


def test_disgust_raises_the_lip_in_facs_and_the_lid_in_the_papers_code():
    assert set(CODEBOOKS["facs"][E.DISGUST]) - set(PAPER_CODE[E.DISGUST]) == {10}
    assert class_map(mean_face(), E.DISGUST, "facs")[72, 72] < 0.1 < MAPS[E.DISGUST][72, 72]  # on an eye


def test_the_published_chin_and_lip_stretcher_are_lopsided_and_the_mended_ones_are_not():
    face = mean_face()
    face = (face + (face * [-1, 1] + [1, 0])[MIRRORED_68]) / 2

    def lopsided(unit, symmetric):
        au_map = union_map(face, (unit,), symmetric=symmetric)
        return 1 - cosine(au_map, au_map[:, ::-1])

    for unit in (17, 20):
        assert lopsided(unit, symmetric=False) > 0.05
        assert lopsided(unit, symmetric=True) < 0.02


@pytest.mark.parametrize("unit", GENERIC)
def test_every_region_lies_on_the_face(unit):
    points = (mean_face() * 224).astype(int)
    for ellipse in regions(points, unit):
        assert points[:, 0].min() - 30 < ellipse.x < points[:, 0].max() + 30
        assert points[:, 1].min() - 30 < ellipse.y < points[:, 1].max() + 30
        assert min(ellipse.rx, ellipse.ry) >= 0


def test_a_face_outside_the_picture_has_no_map():
    assert class_map(mean_face() + 5, E.HAPPINESS) is None


def test_overlapping_regions_do_not_add_up():
    once, twice = union_map(mean_face(), (26,)), union_map(mean_face(), (26, 27))
    np.testing.assert_array_equal(once, twice)


def test_landmarks_and_codebooks_that_do_not_exist_are_refused():
    with pytest.raises(InputError, match="68 finite landmarks"):
        class_map(np.full((68, 2), np.nan), E.FEAR)
    with pytest.raises(InputError, match="paper_code, facs"):
        class_map(mean_face(), E.FEAR, "mine")
    with pytest.raises(InputError, match="action unit 11 has no region"):
        union_map(mean_face(), (11,))
