import numpy as np
import pytest

from mien.datasets import Sample, Worn
from mien.datasets.worn import worn
from tests.helpers import drawn_face


def test_every_face_comes_twice_first_as_it_is_and_then_worn():
    clean = [Sample(np.stack([drawn_face(True, i)] * 3, axis=-1), source=str(i)) for i in range(3)]
    both = Worn(clean)
    assert [sample.source for sample in both] == ["0", "1", "2"] * 2
    assert all(np.array_equal(both[i].image, clean[i].image) for i in range(3))
    assert not any(np.array_equal(both[i + 3].image, clean[i].image) for i in range(3))
    assert np.array_equal(both[4].image, Worn(clean)[4].image)
    with pytest.raises(IndexError):
        both[6]


def test_worn_faces_are_gray_where_they_were_and_no_rougher_than_the_limit():
    flat = np.full((48, 48, 3), 128, np.uint8)
    roughness = [worn(flat, seed).astype(float).std() for seed in range(50)]
    assert 0.1 * 255 < max(roughness) <= 0.16 * 255
    assert all(np.ptp(worn(flat, seed), axis=2).max() == 0 for seed in range(3))
