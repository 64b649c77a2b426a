import subprocess
import sys

import numpy as np
import pytest

from mien.errors import InputError, ModelError
from mien.facs.units import VECTOR
from mien.facs.vocabulary import Expression
from mien.methods.synfer.flow.sample import (
    About,
    Conditions,
    Plan,
    Sampler,
    branches,
    draw,
    from_levels,
    inverted,
    noise,
    times,
    to_levels,
    walk,
    weighted,
)
from tests.methods.synfer import toy


@pytest.fixture(scope="module")
def sampler(tmp_path_factory):
    return Sampler(toy.generator(tmp_path_factory.mktemp("toy") / "toy.onnx"))


def told(count: int, **given: float) -> Conditions:
    """Surprise, and the action units given by their place in the vector."""
    empty = Conditions.nothing(count)
    label = np.tile(np.eye(8, dtype=np.float32)[Expression.SURPRISE], (count, 1))
    units, known = empty.units.copy(), empty.known.copy()
    for place, value in given.items():
        units[:, int(place[1:])], known[:, int(place[1:])] = value, 1
    return Conditions(label, empty.words, units, known)


def test_composed_guidance_is_the_published_formula():
    rng = np.random.default_rng(0)
    parts = [rng.standard_normal((2, 1, 4, 4)).astype(np.float32) for _ in range(3)]
    s_y, s_a = 2.0, 1.5
    wanted = parts[0] + s_y * (parts[1] - parts[0]) + s_a * (parts[2] - parts[1])
    np.testing.assert_allclose(weighted(branches(Plan(text_scale=s_y, unit_scale=s_a)), parts), wanted, atol=1e-5)


def test_without_scales_only_the_unconditional_velocity_counts(sampler):
    plan = Plan(text_scale=0, unit_scale=0)
    assert [branch[1:] for branch in branches(plan)] == [(False, False)]
    x = noise(0, range(2), toy.SIDE)
    given = sampler.field(told(2, k8=0.7), plan)(x, 0.5)
    assert np.array_equal(given, sampler.run(("velocity",), x, 0.5, Conditions.nothing(2))[0])


def test_what_has_no_weight_is_not_evaluated():
    assert len(branches(Plan(text_scale=1, unit_scale=1))) == 1
    assert len(branches(Plan(text_scale=2, unit_scale=0))) == 2
    assert sum(branch.weight for branch in branches(Plan())) == pytest.approx(1)


def test_one_batch_of_branches_answers_as_each_by_itself(sampler):
    x, conditions, plan = noise(1, range(3), toy.SIDE), told(3, k8=0.5), Plan()
    single = [
        sampler.run(("velocity",), x, 0.6, conditions.only(branch.text, branch.units))[0] for branch in branches(plan)
    ]
    np.testing.assert_allclose(sampler.field(conditions, plan)(x, 0.6), weighted(branches(plan), single), atol=1e-5)


def test_a_walk_along_a_straight_flow_ends_where_it_leads():
    face, start = np.full((1, 1, 2, 2), 0.25, np.float32), np.ones((1, 1, 2, 2), np.float32)
    ended = walk(lambda x, t: (x - face) / t, start, times(5))
    np.testing.assert_allclose(ended, face, atol=1e-6)


def test_steps_are_as_long_from_a_lower_start():
    assert times(25).tolist()[:2] == pytest.approx([1, 0.96])
    assert len(times(25, 0.7)) == 19
    assert times(25, 0.7)[[0, -1]].tolist() == pytest.approx([0.7, 0])


def test_faces_show_what_they_are_told(sampler):
    plan = Plan(steps=10, text_scale=1, unit_scale=1)
    dark, light = draw(sampler, told(2, k8=0.0), noise(0, [0, 0], toy.SIDE), plan), None
    light = draw(sampler, told(2, k8=0.9), noise(0, [0, 0], toy.SIDE), plan)
    row = slice(8 * toy.ROW, 9 * toy.ROW)
    assert (light[:, row, 24:].mean() - dark[:, row, 24:].mean()) == pytest.approx(0.9 * 127.5, rel=0.05)
    rest = np.delete(np.arange(toy.SIDE), np.arange(toy.SIDE)[row])
    assert np.array_equal(light[:, rest], dark[:, rest])


def test_the_same_seed_gives_the_same_noise_whatever_comes_beside_it():
    alone, beside = noise(7, [3], 8), noise(7, [1, 3, 5], 8)
    assert np.array_equal(alone[0], beside[1])
    assert not np.array_equal(alone, noise(8, [3], 8))
    assert noise(0, range(64), 16).std() == pytest.approx(1, abs=0.02)


def test_a_face_taken_up_a_constant_flow_comes_down_as_itself():
    class Constant:
        about = toy.about()

        def field(self, conditions, plan):
            return lambda x, t: np.full_like(x, 0.3)

    face = from_levels(np.random.default_rng(0).integers(0, 256, (2, 48, 48)).astype(np.uint8))
    plan = Plan(steps=10, depth=0.7)
    up = inverted(Constant(), face, plan)
    np.testing.assert_allclose(up, face + 0.7 * 0.3, atol=1e-5)
    assert np.array_equal(draw(Constant(), Conditions.nothing(2), face, plan, invert=True), to_levels(face))


def test_the_more_steps_the_nearer_an_inverted_face_comes_to_itself():
    class Turning:
        """Pixels turn in pairs, at a speed that changes with time: Euler's error is of the first order."""

        about = toy.about()

        def field(self, conditions, plan):
            return lambda x, t: np.flip(x, 3) * np.array([1, -1], np.float32) * np.float32(1 + t)

    face = np.array([[[[0.5, -0.3]]]], np.float32)

    def off(steps):
        plan = Plan(steps=steps, depth=0.7)
        up = inverted(Turning(), face, plan)
        return np.abs(walk(Turning().field(None, plan), up, times(steps, 0.7)) - face).max()

    assert off(200) < off(25) / 5 < 0.05


def test_a_generator_says_of_itself_what_it_was_given():
    given, read = toy.about(), About.read(toy.about().to_meta())
    assert (read.size, read.words) == (given.size, given.words)
    np.testing.assert_allclose(read.shares, given.shares)
    for e in Expression:
        np.testing.assert_allclose(read.bank[e], given.bank[e], atol=0.005)
    assert read.bank[Expression.FEAR].shape == (2, VECTOR)


def test_a_model_of_another_kind_is_refused():
    with pytest.raises(ModelError, match="is no face generator"):
        Sampler("reader")


def test_a_plan_without_steps_is_refused():
    with pytest.raises(InputError, match="steps are 1 or more"):
        Plan(steps=0)


def test_gray_levels_survive_the_way_to_floats_and_back():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    assert np.array_equal(to_levels(from_levels(levels)), levels)


def test_drawing_and_labelling_import_no_torch():
    code = (
        "import sys; sys.modules['torch'] = None;"
        "import mien.methods.synfer.flow.requests, mien.methods.synfer.flow.album, mien.methods.feranno.labeler;"
        "import mien.methods.synfer.judge.measure, mien.cli.make.generate, mien.cli.read.annotate; print('fine')"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "fine"
