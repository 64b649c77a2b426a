import json

import numpy as np
import pytest
from PIL import Image

from mien.datasets.captions import FILE, LONG, Pairs, check, prompt, unit_vector
from mien.errors import InputError
from mien.facs.units import VECTOR
from mien.facs.vocabulary import ASYMMETRIES, ActionUnit, Expression
from tests.helpers import noise

UNITS = list(ActionUnit)


def folder_of(tmp_path, *rows):
    """A folder with face.png and these lines of captions.jsonl, text as it is, the rest as JSON."""
    Image.fromarray(noise(6, 8, 3)).save(tmp_path / "face.png")
    lines = [row if isinstance(row, str) else json.dumps({"file": "face.png"} | row) for row in rows]
    (tmp_path / FILE).write_text("".join(f"{line}\n" for line in lines))
    return tmp_path


def test_a_pair_is_a_picture_with_its_caption_expression_and_action_units(tmp_path):
    row = {"caption": "a wide grin", "expression": "happy", "action_units": {"AU12": 0.75}}
    (pair,) = Pairs(folder_of(tmp_path, row))
    np.testing.assert_array_equal(pair.image, noise(6, 8, 3))
    assert (pair.caption, pair.expression) == ("a wide grin", Expression.HAPPINESS)
    assert pair.action_units[UNITS.index(12)] == 0.75
    assert pair.source == str(tmp_path / "face.png")


def test_a_face_without_caption_gets_a_sentence_that_names_its_expression(tmp_path):
    pairs = Pairs(folder_of(tmp_path, {"expression": "fear"}, {"expression": "neutral", "caption": None}))
    assert [pair.caption for pair in pairs] == [prompt(Expression.FEAR), prompt(Expression.NEUTRAL)]
    assert "fear" in prompt(Expression.FEAR)
    assert "neutral" in prompt(Expression.NEUTRAL)


def test_action_units_and_expressions_are_known_before_any_picture_is_read(tmp_path):
    rows = [{"caption": "a", "action_units": {"AU04": 0}}, {"caption": "b"}, {"expression": "fear", "action_units": {}}]
    pairs = Pairs(folder_of(tmp_path, *rows))
    np.testing.assert_array_equal(np.isnan(pairs.units).sum(axis=1), [VECTOR - 1, VECTOR, VECTOR])
    assert pairs.labels == [None, None, Expression.FEAR]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{", "line 2: not JSON"),
        ('["face.png"]', 'an object with "file"'),
        ({"file": "gone.png", "caption": "a"}, "there is no such file"),
        ({}, "one is needed, but got None and None"),
        ({"caption": 3}, "are text"),
        ({"expression": "hungry"}, "'hungry' names no expression"),
        ({"caption": "a", "action_units": {"smile": 1}}, "'smile' names no action unit"),
        ({"caption": "a", "action_units": {"AU12": 1.5}}, "AU12 is a number from 0 to 1, but got 1.5"),
        ({"caption": "a", "action_units": {"AU12": "much"}}, "but got 'much'"),
        ({"caption": "a", "action_units": {"AU12_asymmetry": -2}}, "a number from -1 to 1"),
        ({"caption": "a", "action_units": [0.5, 0.5]}, "are 24 numbers"),
        ({"caption": "a", "action_units": 12}, "are 24 numbers"),
    ],
)
def test_a_line_that_is_not_a_pair_is_named_with_what_is_wrong_with_it(tmp_path, row, said):
    with pytest.raises(InputError, match="line 2") as error:
        Pairs(folder_of(tmp_path, {"caption": "a"}, row))
    assert said in str(error.value)


def test_a_folder_without_lines_is_refused(tmp_path):
    with pytest.raises(InputError, match=FILE):
        Pairs(tmp_path)
    with pytest.raises(InputError, match="no line"):
        Pairs(folder_of(tmp_path))


def test_what_is_not_said_of_an_action_unit_is_not_known_rather_than_zero():
    vector = unit_vector({"AU4": 1, "AU04_asymmetry": 0.5, "AU06": None, "AU12_asymmetry": -0.25})
    known = {UNITS.index(4): 1.0, len(UNITS) + ASYMMETRIES.index(12): -0.25}
    assert {int(k): float(vector[k]) for k in np.flatnonzero(~np.isnan(vector))} == known
    assert vector.dtype == np.float32
    assert np.isnan(unit_vector(None)).all()


def test_action_units_that_mien_does_not_measure_are_left_out():
    assert np.isnan(unit_vector({"AU27": 0.9, "AU39": 0.1})).all()


def test_action_units_may_be_given_as_the_whole_vector():
    values = [k / VECTOR for k in range(VECTOR - 1)] + [None]
    vector = unit_vector(values)
    np.testing.assert_allclose(vector[:-1], values[:-1], rtol=1e-6)
    assert np.isnan(vector[-1])


def test_a_check_looks_at_every_line_and_counts_what_the_good_ones_hold(tmp_path):
    folder = folder_of(
        tmp_path,
        {"caption": "a wide grin", "expression": "happy", "action_units": {"AU12": 0.75}},
        "{",
        {"expression": "fear"},
        {"caption": "word " * (LONG + 1)},
        {"expression": "fear", "action_units": {"AU12": 2}},
        {"file": "gone.png", "expression": "fear"},
    )
    found = check(folder)
    assert [number for number, _ in found.faults] == [2, 5, 6]
    assert [fault.split(" ")[0] for _, fault in found.faults] == ["not", "AU12", str(tmp_path / "gone.png:")]
    assert (found.pairs, found.captions, found.long, found.units) == (3, 2, 1, 1)
    assert found.labels == {Expression.HAPPINESS: 1, Expression.FEAR: 1, None: 1}
    assert check(folder / FILE) == found


def test_a_check_that_decodes_finds_pictures_that_cannot_be_read(tmp_path):
    folder = folder_of(tmp_path, {"expression": "fear"})
    (folder / "face.png").write_bytes(b"none")
    assert not check(folder).faults
    ((number, fault),) = check(folder, decode=True).faults
    assert number == 1
    assert "face.png" in fault


def test_a_check_of_no_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="a line of JSON for each picture"):
        check(tmp_path)


def test_no_line_ends_a_check(tmp_path):
    folder = folder_of(
        tmp_path,
        {"file": "a" * 5000, "expression": "fear"},
        "[" * 100_000,
        '{"file": "face.png", "caption": "a\u2028b"}',
    )
    found = check(folder)
    assert [number for number, _ in found.faults] == [1, 2]
    assert found.pairs == 1
