import numpy as np
import pytest

from mien.errors import ModelError
from mien.evaluation.seen import ENTRY, fingerprint, packed, seen

PICTURES = list(np.random.default_rng(0).integers(0, 256, (6, 4, 4, 3), np.uint8))


def test_a_model_says_which_pictures_it_was_calibrated_on():
    meta = {ENTRY: packed(PICTURES[:4])}
    assert seen([fingerprint(p) for p in PICTURES[3:]], meta) == 1
    assert seen([fingerprint(p) for p in PICTURES[4:]], meta) == 0


def test_a_model_that_says_nothing_leaves_it_open():
    assert seen([fingerprint(PICTURES[0])], {}) is None


def test_an_entry_that_cannot_be_read_is_an_error():
    with pytest.raises(ModelError, match=ENTRY):
        seen([1], {ENTRY: "no base64!"})
