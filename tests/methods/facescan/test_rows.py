import json
from collections import Counter

import numpy as np
import pytest

from mien.core.images import read_image
from mien.datasets import Sample
from mien.errors import InputError
from mien.facs.vocabulary import Expression
from mien.methods.facescan import rows
from mien.methods.facescan.match import iou  # type: ignore[attr-defined]
from tests.helpers import drawn_face

HAPPY, SAD, FEAR = Expression.HAPPINESS, Expression.SADNESS, Expression.FEAR


def faces(count, size=48):
    """Two of three are happy."""
    made = []
    for i in range(count):
        gray = np.kron(drawn_face(i % 3 > 0, i), np.ones((size // 48, size // 48), np.uint8))
        made.append(Sample(np.stack([gray] * 3, axis=-1), expression=HAPPY if i % 3 else SAD, source=f"face {i}"))
    return made


def voted(**votes):
    counts = np.zeros(10, np.uint8)
    for name, count in votes.items():
        counts[Expression[name]] = count
    return Sample(np.full((48, 48, 3), 120, np.uint8), votes=counts, source=str(votes))


def test_faces_stand_where_their_boxes_say_on_black(tmp_path):
    made = rows.build(faces(12), tmp_path / "rows", data="drawn", rows=3, people=4)
    picture = read_image(made.rows[1].picture)
    assert picture.shape == (160, 512, 3)
    assert [face.box for face in made.rows[1].faces] == [(8 + 128 * i, 24, 120 + 128 * i, 136) for i in range(4)]
    for face in made.rows[1].faces:
        x1, y1, x2, y2 = face.box
        assert picture[y1:y2, x1:x2].min() > 0
        picture[y1:y2, x1:x2] = 0
    assert picture.max() == 0


def test_no_face_is_used_twice_and_labels_are_as_frequent_as_in_the_data(tmp_path):
    made = rows.build(faces(60), tmp_path / "rows", data="drawn", rows=15, people=4)
    used = [face for row in made.rows for face in row.faces]
    assert len({face.source for face in used}) == 60
    assert Counter(face.expression for face in used) == {HAPPY: 40, SAD: 20}
    assert made.about["expressions"] == dict.fromkeys((e.label for e in Expression), 0) | {
        "happiness": 40,
        "sadness": 20,
    }


def test_the_same_seed_draws_the_same_rows_and_another_seed_others(tmp_path):
    def sources(name, seed):
        made = rows.build(faces(12), tmp_path / name, data="drawn", rows=2, people=3, seed=seed)
        return [face.source for row in made.rows for face in row.faces]

    assert sources("a", 0) == sources("b", 0) != sources("c", 1)


def test_each_face_is_kept_alone_too_as_the_data_have_it(tmp_path):
    dataset = faces(8)
    made = rows.build(dataset, tmp_path / "rows", data="drawn", rows=2, people=4)
    of = {sample.source: sample for sample in dataset}
    for face in (face for row in made.rows for face in row.faces):
        assert np.array_equal(read_image(face.picture), of[face.source].image)
        assert face.expression == of[face.source].expression


def test_only_faces_that_enough_annotators_agree_on_and_no_duplicates_are_drawn(tmp_path):
    clear, torn = voted(FEAR=8, NEUTRAL=2), voted(FEAR=6, NEUTRAL=4)
    twin = Sample(clear.image, votes=clear.votes, source="twin", duplicate=True)
    made = rows.build([clear, torn, twin, clear, clear], tmp_path / "a", data="votes", rows=1, people=3)
    assert {face.source for face in made.rows[0].faces} == {clear.source}
    with pytest.raises(InputError, match="votes has 3 that at least 70% of the votes agree on; ask for at most 1 rows"):
        rows.build([clear, torn, twin, clear, clear], tmp_path / "b", data="votes", rows=2, people=3)


def test_a_benchmark_reads_back_as_it_was_built(tmp_path):
    made = rows.build(faces(12), tmp_path / "rows", data="drawn", rows=2, people=6, frames=True, seed=3)
    assert rows.load(tmp_path / "rows") == made
    assert made.about["seed"] == 3


def test_a_folder_with_something_in_it_is_not_written_to(tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(InputError, match="not empty"):
        rows.build(faces(12), tmp_path, data="drawn", rows=1)
    with pytest.raises(InputError, match="2 to 6 people, not 7"):
        rows.build(faces(12), tmp_path / "new", data="drawn", rows=1, people=7)


def test_a_folder_without_a_benchmark_is_said_to_be_none(tmp_path):
    with pytest.raises(InputError, match="bench fer-rows"):
        rows.load(tmp_path)
    (tmp_path / "about.json").write_text("{}")
    (tmp_path / "rows.jsonl").write_text(json.dumps({"faces": []}))
    with pytest.raises(InputError, match="bench fer-rows"):
        rows.load(tmp_path)


@pytest.mark.parametrize("people", [2, 4, 6])
def test_the_splitter_finds_every_face_where_it_is(tmp_path, people):
    made = rows.build(faces(2 * people), tmp_path / "rows", data="drawn", rows=2, people=people)
    for row in made.rows:
        found = np.array([face.box for face in rows.split(read_image(row.picture))], np.float64)
        assert np.array_equal(found, row.boxes)


def test_a_dark_stripe_in_a_face_does_not_split_it_and_a_black_picture_has_no_face():
    image = np.zeros((160, 256, 3), np.uint8)
    image[24:136, 8:60] = image[24:136, 66:120] = 90
    image[24:136, 136:248] = 200
    assert [face.box.tolist() for face in rows.split(image)] == [[8, 24, 120, 136], [136, 24, 248, 136]]
    assert rows.split(np.zeros((160, 256, 3), np.uint8)) == []


def test_frames_have_a_color_of_their_own_and_leave_the_face_as_it_is(tmp_path):
    framed = rows.build(faces(12), tmp_path / "a", data="drawn", rows=2, people=6, frames=True).rows[0]
    plain = rows.build(faces(12), tmp_path / "b", data="drawn", rows=2, people=6).rows[0]
    assert {face.frame for face in framed.faces} == set(rows.COLORS)
    picture, bare = read_image(framed.picture), read_image(plain.picture)
    for face, other in zip(framed.faces, plain.faces, strict=True):
        x1, y1, x2, y2 = face.box
        assert face.source == other.source
        assert np.array_equal(picture[y1:y2, x1:x2], bare[y1:y2, x1:x2])
        assert "#{:02x}{:02x}{:02x}".format(*picture[y1 - 1, x1]) == rows.COLORS[face.frame]
    assert len(rows.split(picture)) == 6
    assert iou(np.array([f.box for f in rows.split(picture)], float), framed.boxes).diagonal().min() > 0.8


def test_a_face_that_is_no_square_is_not_stretched(tmp_path):
    wide = [Sample(np.full((40, 80, 3), 200, np.uint8), expression=FEAR, source=str(i)) for i in range(2)]
    row = rows.build(wide, tmp_path / "rows", data="wide", rows=1, people=2).rows[0]
    lit = read_image(row.picture)[:, 8:120].max(axis=(1, 2)) > 0
    assert lit.sum() == 56
