import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.methods.facescan.match import assign, iou, match  # type: ignore[attr-defined]
from mien.methods.facescan.parse import ParsedPerson

SIZE = (100, 200)  # height, width
FACES = np.array([[120, 20, 160, 60], [20, 20, 60, 60], [70, 20, 110, 60]], dtype=np.float64)


def person(*box):
    """Somebody whose box is given in pixels of a picture of SIZE, or not at all."""
    return ParsedPerson({}, tuple(v / (SIZE[1], SIZE[0])[i % 2] for i, v in enumerate(box)) if box else None)


def test_iou_is_the_shared_part_of_the_union():
    a = np.array([[0, 0, 2, 2]], dtype=np.float64)
    b = np.array([[0, 0, 2, 2], [1, 0, 3, 2], [2, 2, 3, 3]], dtype=np.float64)
    assert iou(a, b) == pytest.approx(np.array([[1, 1 / 3, 0]]))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 10**6))
def test_an_assignment_costs_no_more_than_any_other(n, m, seed):
    cost = np.random.default_rng(seed).random((n, m)).round(1)
    pairs = assign(cost)
    rows, columns = zip(*pairs, strict=True)
    assert len(set(rows)) == len(set(columns)) == len(pairs) == min(n, m)
    smaller, larger = (cost, m) if n <= m else (cost.T, n)
    best = min(
        sum(smaller[i, j] for i, j in enumerate(chosen)) for chosen in itertools.permutations(range(larger), min(n, m))
    )
    assert sum(cost[i, j] for i, j in pairs) == pytest.approx(best)


def test_boxes_go_to_the_faces_they_overlap_whatever_the_order():
    people = [person(22, 22, 62, 62), person(118, 18, 158, 58)]
    assert match(people, FACES, SIZE) == {0: 1, 1: 0}


def test_two_boxes_are_matched_for_the_best_sum_not_one_after_the_other():
    faces = np.array([[0, 0, 40, 40], [20, 0, 60, 40]], dtype=np.float64)
    # The first overlaps the second face most, but only it reaches the first face at all.
    people = [person(12, 0, 52, 40), person(32, 0, 72, 40)]
    assert match(people, faces, SIZE) == {0: 0, 1: 1}


def test_a_box_around_the_whole_body_goes_to_the_face_above_it():
    people = [person(15, 10, 65, 100)]
    assert iou(np.array([[15.0, 10, 65, 100]]), FACES).max() < 0.5
    tall = [person(0, 10, 78, 100)]
    assert iou(np.array([[0.0, 10, 78, 100]]), FACES).max() < 0.3
    assert match(people, FACES, SIZE) == match(tall, FACES, SIZE) == {0: 1}


def test_a_box_far_from_every_face_is_nobody_found():
    faces = FACES[1:2]
    assert match([person(150, 20, 190, 60)], faces, SIZE) == {}


def test_without_boxes_the_reading_order_counts_if_the_number_is_right():
    assert match([person(), person(), person()], FACES, SIZE) == {0: 0, 1: 1, 2: 2}
    assert match([person(), person()], FACES, SIZE) == {}
    assert match([person()] * 4, FACES, SIZE) == {}


def test_nobody_and_no_faces_are_no_trouble():
    nothing = np.zeros((0, 4))
    assert match([], FACES, SIZE) == match([person(1, 1, 9, 9)], nothing, SIZE) == match([], nothing, SIZE) == {}


def test_more_boxes_than_faces_leave_the_surplus_unmatched():
    people = [person(20, 20, 60, 60), person(22, 20, 62, 60), person(70, 20, 110, 60)]
    assert match(people, FACES[1:], SIZE) == {0: 0, 2: 1}
