import re

import pytest

from mien.facs.vocabulary import ActionUnit
from mien.report.dials import Dial, page
from tests.helpers import noise

SMILE, FROWN = ActionUnit.LIP_CORNER_PULLER, ActionUnit.BROW_LOWERER


def dial(units=(SMILE,), values=(0.0, 0.5, 1.0), person="Person 1", side=48):
    count = len(values) ** len(units)
    return Dial(person, units, values, noise(count, side, side, seed=1))


def test_a_page_loads_nothing_from_elsewhere():
    html = page([dial(), dial((FROWN,))])
    assert "default-src 'none'; img-src data:" in html
    assert not re.findall(r"(?:src|href)=['\"](?!data:)", html)


def test_each_face_says_in_words_what_was_asked_for():
    html = page([dial((SMILE, FROWN), (0.0, 1.0))])
    assert re.findall(r"alt='([^']*)'", html) == [
        "Person 1, AU12 at 0, AU04 at 0", "Person 1, AU12 at 0, AU04 at 1",
        "Person 1, AU12 at 1, AU04 at 0", "Person 1, AU12 at 1, AU04 at 1",
    ]  # fmt: skip


def test_each_slider_has_a_label_of_its_own_and_says_its_value():
    html = page([dial(), dial((FROWN,)), dial(person="Person 2")])
    sliders = re.findall(r"<input id='([^']*)' type='range'[^>]*aria-valuetext='1'", html)
    assert len(sliders) == len(set(sliders)) == 4  # one moves all
    assert all(f"<label for='{slider}'>" in html for slider in sliders)
    assert html.count("<h2>Person") == 2


def test_only_pages_of_several_sweeps_have_a_slider_for_all():
    assert "class='all'" not in page([dial()])
    assert "class='all'" not in page([dial((SMILE, FROWN)), dial((SMILE, FROWN))])


def test_small_gray_faces_are_exact_and_large_ones_are_reduced():
    assert "data:image/png" in page([dial()])
    large = page([Dial("Person 1", (SMILE,), (0.0, 1.0), noise(2, 512, 512, 3, seed=1))])
    assert "data:image/jpeg" in large
    assert len(large) < 300_000


def test_a_name_cannot_become_markup():
    assert "<b>" not in page([dial(person="<b>x</b>")])


@pytest.mark.parametrize("units", [(SMILE,), (SMILE, FROWN)])
def test_the_same_faces_give_the_same_page(units):
    assert page([dial(units)]) == page([dial(units)])
