import numpy as np
import pytest

from mien.datasets import Sample
from mien.datasets.captions import prompt
from mien.errors import InputError
from mien.methods.synfer.flow.described import Described
from tests.helpers import noise
from tests.methods.synfer import runs


def test_photographs_with_a_teachers_action_units_are_pairs_whose_captions_say_what_is_seen():
    pairs = Described(runs.faces(4), runs.labels(4, missed=(2,)))
    assert pairs.labels == [runs.HAPPY, runs.SAD] * 2
    smile, frown, missed, _ = pairs
    np.testing.assert_array_equal(smile.image, runs.faces(1)[0].image)
    np.testing.assert_array_equal(pairs.units, runs.labels(4, missed=(2,)).action_units)
    assert smile.caption.startswith(f"{prompt(runs.HAPPY)}: ")
    assert "brow" in frown.caption
    assert "brow" not in smile.caption
    assert missed.caption == prompt(runs.HAPPY)
    assert np.isnan(missed.action_units).all()


def test_the_same_seed_writes_the_same_captions_and_another_one_others():
    one, two, other = ([p.caption for p in Described(runs.faces(9), runs.labels(9), seed)] for seed in (1, 1, 2))
    assert one == two != other


def test_faces_that_nobody_labelled_or_that_were_generated_are_no_pairs():
    with pytest.raises(InputError, match="no row for 'drawn:2'"):
        Described(runs.faces(3), runs.labels(2))
    made = Sample(noise(6, 8, 3), soft=np.eye(8, dtype=np.float32)[1], source="drawn:0")
    with pytest.raises(InputError, match="drawn:0 is a generated face"):
        Described([made], runs.labels(1))
    with pytest.raises(InputError, match="no face is left"):
        Described([], runs.labels(1))
