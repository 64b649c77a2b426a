from dataclasses import replace

import numpy as np
import pytest

from mien.datasets import Sample
from mien.datasets.hold_out import hold_out, is_held_out
from mien.errors import InputError


def faces(count: int) -> list[Sample]:
    rng = np.random.default_rng(0)
    return [Sample(rng.integers(0, 256, (8, 8, 3), np.uint8), source=str(i)) for i in range(count)]


def sources(part) -> list[str]:
    return [part[i].source for i in range(len(part))]


def test_every_face_is_in_one_part_and_about_the_share_is_held_out():
    split = hold_out(faces(1000), 0.1)
    assert sorted(sources(split.train) + sources(split.held_out), key=int) == [str(i) for i in range(1000)]
    assert 70 <= len(split.held_out) <= 130


def test_copies_of_a_picture_stay_together_wherever_they_stand():
    data = faces(50)
    copies = [replace(sample, source=f"copy {sample.source}") for sample in reversed(data)]
    apart = set(sources(hold_out([*data, *copies], 0.5).held_out))
    assert all((f"copy {i}" in apart) == (str(i) in apart) for i in range(50))


def test_another_seed_holds_out_other_faces():
    data = faces(300)
    assert set(sources(hold_out(data, 0.2).held_out)) != set(sources(hold_out(data, 0.2, seed=1).held_out))


def test_a_larger_share_holds_out_the_same_faces_and_more():
    images = [sample.image for sample in faces(200)]
    assert all(is_held_out(image, 0.3) for image in images if is_held_out(image, 0.1))


@pytest.mark.parametrize("share", [0, 1, -0.1, 2])
def test_a_share_that_leaves_nothing_on_one_side_is_refused(share):
    with pytest.raises(InputError, match="between 0 and 1"):
        hold_out(faces(3), share)
