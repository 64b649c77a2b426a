import numpy as np
import pytest

from mien.facs.blendshapes import BLENDSHAPES, ShapeCalibration, action_units, mirrored_shapes
from mien.facs.units import VECTOR
from mien.facs.vocabulary import ActionUnit

UNITS = list(ActionUnit)


def shapes(**values: float) -> np.ndarray:
    row = np.zeros((1, len(BLENDSHAPES)))
    for name, value in values.items():
        row[0, BLENDSHAPES.index(name)] = value
    return row


def units(**values: float) -> dict[int, float]:
    return dict(zip(UNITS, action_units(shapes(**values))[0], strict=False))


def test_there_are_52_shapes_and_24_values():
    assert len(BLENDSHAPES) == len(set(BLENDSHAPES)) == 52
    assert (BLENDSHAPES[3], BLENDSHAPES[25], BLENDSHAPES[44], BLENDSHAPES[51]) == (
        "browInnerUp",
        "jawOpen",
        "mouthSmileLeft",
        "noseSneerRight",
    )
    assert action_units(shapes()).shape == (1, VECTOR) == (1, 24)


def test_a_face_at_rest_has_no_action_units():
    assert not action_units(shapes()).any()


def test_a_two_sided_unit_is_the_mean_of_both_sides_and_its_difference_is_left_minus_right():
    values = action_units(shapes(mouthSmileLeft=0.8, mouthSmileRight=0.2))[0]
    assert values[UNITS.index(ActionUnit.LIP_CORNER_PULLER)] == pytest.approx(0.5)
    assert values[21:].tolist() == pytest.approx([0.6, 0, 0])


def test_a_smile_with_narrowed_eyes_raises_the_cheeks_and_narrowed_eyes_alone_tighten_the_lids():
    smile = units(mouthSmileLeft=1, mouthSmileRight=1, eyeSquintLeft=0.5, eyeSquintRight=0.5)
    assert smile[6] == pytest.approx(0.9)
    assert smile[7] == 0
    squint = units(eyeSquintLeft=0.5, eyeSquintRight=0.5)
    assert (squint[6], squint[7]) == (0, pytest.approx(0.5))


def test_raised_upper_lip_and_lowered_brows_stand_for_the_wrinkled_nose():
    both = {"mouthUpperUpLeft": 0.4, "mouthUpperUpRight": 0.4, "browDownLeft": 0.9, "browDownRight": 0.9}
    assert units(**both)[9] == pytest.approx(0.6)
    assert units(mouthUpperUpLeft=0.4, mouthUpperUpRight=0.4)[9] == 0


def test_lips_part_when_the_jaw_drops_unless_they_are_kept_closed():
    assert units(jawOpen=0.7)[25] == pytest.approx(0.7)
    assert units(jawOpen=0.7, mouthClose=0.6)[25] == pytest.approx(0.1)
    assert units(mouthLowerDownLeft=1, mouthLowerDownRight=1)[25] == pytest.approx(0.7)


def test_the_chin_counts_the_upper_lip_by_half():
    assert units(mouthShrugLower=0.3, mouthShrugUpper=0.6)[17] == pytest.approx(0.4)


def test_mirroring_swaps_sides_and_is_its_own_inverse():
    mirror = mirrored_shapes()
    assert BLENDSHAPES[mirror[BLENDSHAPES.index("jawLeft")]] == "jawRight"
    assert mirror[BLENDSHAPES.index("jawOpen")] == BLENDSHAPES.index("jawOpen")
    assert mirror[mirror].tolist() == list(range(52))
    rng = np.random.default_rng(0).random((4, 52))
    plain, mirrored = action_units(rng), action_units(rng[:, mirror])
    np.testing.assert_allclose(mirrored[:, :21], plain[:, :21], atol=1e-6)
    np.testing.assert_allclose(mirrored[:, 21:], -plain[:, 21:], atol=1e-6)


def test_calibration_takes_away_the_smile_of_a_relaxed_face_and_stretches_timid_shapes():
    rng = np.random.default_rng(0)
    faces = np.zeros((200, 52))
    smile, sneer = BLENDSHAPES.index("mouthSmileLeft"), BLENDSHAPES.index("noseSneerLeft")
    faces[:, smile] = np.where(np.arange(200) < 100, 0.5, 0.9)
    faces[:, sneer] = rng.random(200) * 0.01
    calibrate = ShapeCalibration.fit(faces, np.arange(200) < 100)
    assert calibrate(faces)[[0, 150], smile].tolist() == pytest.approx([0, 1])
    assert calibrate(shapes(mouthSmileLeft=0.7))[0, smile] == pytest.approx(0.5)
    assert calibrate(shapes(mouthSmileLeft=0.1))[0, smile] == 0
    assert "noseSneerLeft" in calibrate.dead
    assert "mouthSmileLeft" not in calibrate.dead
    assert not calibrate(faces)[:, sneer].any()
