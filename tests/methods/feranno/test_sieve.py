import numpy as np
import pytest

from mien.errors import InputError
from mien.facs.units import VECTOR
from mien.facs.vocabulary import Expression
from mien.methods.feranno.sieve import Checked, Sieve, sifted, told
from mien.methods.synfer.flow.requests import Request

FEAR = Expression.FEAR


def requests(count):
    return [Request(FEAR, np.full(VECTOR, np.nan, np.float32), identity=i) for i in range(count)]


def draw(some):
    """A face whose lightness is ten times its person, plus its attempt."""
    return np.stack([np.full((4, 4), 10 * one.identity + one.attempt, np.uint8) for one in some])


def passing(*levels):
    """A check that only faces of these levels pass; readability rises with the level."""

    def check(faces, requested):
        assert all(one is FEAR for one in requested)
        return [Checked(0.5 + face[0, 0] / 200, 0.5, int(face[0, 0]) in levels) for face in faces]

    return check


def test_only_faces_that_fail_are_drawn_again_each_with_other_noise():
    drawn = []

    def noting(some):
        drawn.append([(one.identity, one.attempt) for one in some])
        return draw(some)

    faces, entries = sifted(noting, requests(3), passing(0, 11, 22), 4)
    assert faces[:, 0, 0].tolist() == [0, 11, 22]
    assert [entry["drawn"] for entry in entries] == [1, 2, 3]
    assert drawn == [[(0, 0), (1, 0), (2, 0)], [(1, 1), (2, 1)], [(2, 2)]]
    assert all(entry["passed"] for entry in entries)


def test_draws_are_bounded_and_the_best_of_those_that_fail_is_returned():
    faces, entries = sifted(draw, requests(1), passing(), 4)
    assert faces[0, 0, 0] == 3
    assert (entries[0]["drawn"], entries[0]["passed"]) == (4, False)
    dimmer = [Checked(0.9, 0.6, False), Checked(0.9, 0.7, False), Checked(0.9, 0.1, False)]
    faces, _ = sifted(draw, requests(1), lambda faces, requested: [dimmer.pop(0)], 3)
    assert faces[0, 0, 0] == 1


@pytest.mark.parametrize(
    ("found", "passed"),
    [(Checked(0.9, 0.4, True), True), (Checked(0.3, 0.9, True), False), (Checked(0.9, 0.4, False), False)],
)
def test_a_face_passes_if_it_is_readable_and_feranno_agrees(found, passed):
    assert found.passed is passed


def test_the_shipped_check_finds_noise_unreadable():
    crops = np.random.default_rng(0).integers(0, 255, (2, 48, 48)).astype(np.uint8)
    one, other = Sieve()(crops, [FEAR, None])
    assert not one.passed
    assert not other.passed
    assert other.agrees
    with pytest.raises(InputError, match="--tries 1 leaves it out"):
        Sieve()(crops[:, :24, :24], [None, None])


def test_how_many_were_drawn_is_said_and_what_failed():
    rows = [
        {"requested": "fear", "drawn": 4, "passed": False},
        {"requested": "happiness", "drawn": 1, "passed": True},
    ]
    assert told(rows[1:], 4) == "drew 1 faces for 1, 1.0 for one."
    assert told(rows, 4).startswith("drew 5 faces for 2, 2.5 for one. 1 passed in none of 4 draws (fear 1)")
