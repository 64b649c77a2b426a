import numpy as np
import pytest

from mien.results.face import Face
from mien.video.tracks import NEW, Tracker, giou

RATE = 25


def face(x, y, side=60.0, score=0.9, points=None):
    box = np.array([x - side / 2, y - side / 2, x + side / 2, y + side / 2], np.float32)
    return Face(box, points, score)


def follow(tracker, number, faces):
    """The ids that a tracker gives to the faces of a frame; None for those that it leaves out."""
    time = number / RATE
    ids = tracker.assign(time, faces)
    kept = [i for i, id in enumerate(ids) if id is not None]
    given = tracker.see(time, [faces[i].box for i in kept], [ids[i] for i in kept])
    return [dict(zip(kept, given, strict=True)).get(i) for i in range(len(faces))]


def jitter(count, seed=0):
    return np.random.default_rng(seed).normal(0, 0.8, (count, 8))


def test_ids_count_from_0_and_stay_with_their_faces_whatever_their_order():
    tracker = Tracker()
    assert follow(tracker, 0, [face(100, 100), face(300, 100)]) == [0, 1]
    assert follow(tracker, 1, [face(302, 100), face(101, 100)]) == [1, 0]


def test_two_faces_that_cross_keep_their_ids_though_one_hides_the_other():
    tracker, noise, seen = Tracker(), jitter(76), []
    for n in range(76):
        left, right = 100 + 5 * n + noise[n, 0], 480 - 5 * n + noise[n, 1]
        hidden = abs(left - right) < 40  # the face behind is not found
        faces = [face(left, 120 + noise[n, 2])] + ([] if hidden else [face(right, 130 + noise[n, 3])])
        seen.append(follow(tracker, n, faces))
    assert {ids[0] for ids in seen} == {0}
    assert {ids[1] for ids in seen if len(ids) == 2} == {1}


def test_six_faces_that_move_about_keep_their_ids():
    tracker, rng = Tracker(), np.random.default_rng(1)
    places, steps = rng.uniform(100, 900, (6, 2)), rng.uniform(-2, 2, (6, 2))
    places[:, 0] = np.arange(6) * 160 + 100
    for n in range(100):
        places = places + steps + rng.normal(0, 0.8, places.shape)
        order = rng.permutation(6)
        ids = follow(tracker, n, [face(*places[i]) for i in order])
        if n == 0:
            who = dict(zip(order.tolist(), ids, strict=True))
        assert ids == [who[i] for i in order.tolist()]


def test_a_face_that_comes_back_after_half_a_second_keeps_its_id():
    tracker = Tracker()
    for n in range(20):
        follow(tracker, n, [face(100 + 3 * n, 100)])
    for n in range(20, 32):
        follow(tracker, n, [])
    assert follow(tracker, 32, [face(100 + 3 * 32, 102)]) == [0]


def test_a_face_that_comes_back_after_two_seconds_is_a_new_track():
    tracker = Tracker()
    follow(tracker, 0, [face(100, 100)])
    follow(tracker, 25, [])
    assert follow(tracker, 50, [face(100, 100)]) == [1]


def test_after_the_end_of_all_tracks_every_face_is_new():
    tracker = Tracker()
    assert follow(tracker, 0, [face(100, 100), face(300, 100)]) == [0, 1]
    tracker.end_all()
    assert follow(tracker, 1, [face(100, 100), face(300, 100)]) == [2, 3]


def test_a_faint_face_continues_a_track_but_begins_none():
    tracker = Tracker(threshold=0.7)
    assert follow(tracker, 0, [face(100, 100, score=0.5)]) == [None]
    assert follow(tracker, 1, [face(100, 100)]) == [0]
    assert follow(tracker, 2, [face(101, 100, score=0.5), face(300, 100, score=0.5)]) == [0, None]


def test_a_sure_face_is_matched_before_a_faint_one():
    tracker = Tracker(threshold=0.7)
    follow(tracker, 0, [face(100, 100)])
    assert follow(tracker, 1, [face(100, 100, score=0.5), face(104, 100)]) == [None, 0]


def test_a_face_of_another_size_is_another_track():
    tracker = Tracker()
    follow(tracker, 0, [face(100, 100, 60)])
    assert follow(tracker, 1, [face(100, 100, 110)]) == [1]


def test_a_face_whose_points_lie_otherwise_is_another_track():
    frontal = np.array([[85, 90], [115, 90], [100, 105], [88, 120], [112, 120]], np.float32)
    sideways = frontal @ np.array([[0, 1], [-1, 0]], np.float32) + np.array([200, 0], np.float32)
    tracker = Tracker()
    follow(tracker, 0, [face(100, 100, points=frontal)])
    tracker.remember(0, frontal)
    assert tracker.assign(0.04, [face(100, 100, points=frontal)]) == [0]
    assert tracker.assign(0.04, [face(100, 100, points=sideways)]) == [NEW]


def test_the_rows_of_a_table_are_all_that_a_tracker_needs_to_go_on():
    unbroken, noise = Tracker(), jitter(60, 3)
    seen = []
    for n in range(60):
        faces = [face(100 + 4 * n + noise[n, 0], 100), face(340 - 4 * n + noise[n, 1], 110)][: 1 if n in (5, 30) else 2]
        seen.append((faces, follow(unbroken, n, faces)))
    resumed = Tracker()
    for n, (faces, ids) in enumerate(seen[:40]):
        resumed.see(n / RATE, [np.round(f.box.astype(float), 2) for f in faces], ids)
    assert [follow(resumed, n, faces) for n, (faces, _) in enumerate(seen) if n >= 40] == [ids for _, ids in seen[40:]]


def test_generalized_overlap_is_1_for_equal_boxes_and_negative_for_boxes_apart():
    boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [30, 0, 40, 10]], float)
    assert giou(boxes[:1], boxes)[0].tolist() == pytest.approx([1, 1 / 3, 0 - 20 / 40])
