import hashlib
from dataclasses import replace

import numpy as np
import pytest

from mien import datasets
from mien.datasets import Half, Sample, Worn
from mien.datasets.halves import in_first_half
from mien.errors import InputError
from mien.facs.vocabulary import Expression
from tests.helpers import drawn_face, encoded


def faces(count: int) -> list[Sample]:
    return [Sample(np.full((8, 8, 3), (*divmod(i, 256), 0), np.uint8), source=f"faces:{i}") for i in range(count)]


def sources(data) -> set[str]:
    return {sample.source for sample in data}


def test_the_halves_share_no_face_and_together_are_all():
    a, b = Half(faces(400), first=True), Half(faces(400), first=False)
    assert sources(a) | sources(b) == sources(faces(400))
    assert not sources(a) & sources(b)
    assert 160 < len(a) < 240


def test_which_half_a_face_is_in_depends_on_its_picture_alone():
    few, many = (Half(faces(count)[::-1], first=True) for count in (50, 200))
    assert sources(few) == {source for source in sources(many) if int(source.split(":")[1]) < 50}
    assert in_first_half(faces(1)[0].image) == (hashlib.sha256(bytes(192)).digest()[0] < 128)


def test_a_face_that_the_data_have_twice_is_in_one_half():
    twice = [*faces(100), *(replace(face, source=f"again:{face.source}") for face in faces(100))]
    a, b = sources(Half(twice, first=True)), sources(Half(twice, first=False))
    assert len(a) + len(b) == 200
    assert all((source in a) == (f"again:{source}" in a) for source in sources(faces(100)))


def test_halves_are_opened_by_name(tmp_path):
    for i in range(8):
        (tmp_path / "happiness").mkdir(exist_ok=True)
        (tmp_path / "happiness" / f"{i}.png").write_bytes(encoded(drawn_face(True, i)))
    a, b = datasets.open(f"half-a:folder:{tmp_path}"), datasets.open(f"worn:half-b:folder:{tmp_path}")
    assert len(a) + len(b) / 2 == 8
    assert a.expressions == tuple(Expression)  # type: ignore[attr-defined]


def test_worn_faces_are_not_cut_in_halves_but_halves_are_worn():
    with pytest.raises(InputError, match="wear a half: worn:half-a:KIND:PATH"):
        Half(Worn(faces(4)), first=True)
    assert len(Worn(Half(faces(40), first=True))) == 2 * len(Half(faces(40), first=True))
