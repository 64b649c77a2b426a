import pytest

from mien.cli.measure.evaluate import _check_unseen
from mien.errors import InputError


def test_faces_that_calibrated_the_model_give_a_warning(capsys):
    _check_unseen({"seen_in_calibration": 3}, required=False)
    assert "on 3 of these pictures, so the result is not unseen" in capsys.readouterr().err


@pytest.mark.parametrize(("count", "words"), [(3, "on 3 of these pictures"), (None, "does not state which pictures")])
def test_a_result_that_must_be_unseen_is_refused_when_it_is_not(count, words):
    with pytest.raises(InputError, match=words):
        _check_unseen({"seen_in_calibration": count}, required=True)


def test_an_unseen_result_says_nothing(capsys):
    for required in (False, True):
        _check_unseen({"seen_in_calibration": 0}, required=required)
    _check_unseen({"seen_in_calibration": None}, required=False)
    assert capsys.readouterr().err == ""
