import pytest

from mien import errors
from mien.errors import ExportError, InputError, MienError, MissingExtra, ModelError
from mien.extras import optional

LIKE = {InputError: ValueError, ModelError: ValueError, MissingExtra: ImportError, ExportError: RuntimeError}


@pytest.mark.parametrize(("ours", "builtin"), LIKE.items())
def test_each_error_is_also_the_built_in_it_resembles(ours, builtin):
    with pytest.raises(builtin, match="what went wrong") as caught:
        raise ours("what went wrong")
    assert isinstance(caught.value, MienError)


def test_every_error_of_the_family_is_one_of_these():
    family = {e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, MienError)}
    assert family == {MienError, *LIKE}


def test_every_error_has_a_status_of_its_own_for_a_table_row():
    statuses = [error.status for error in (MienError, *LIKE)]  # type: ignore[attr-defined]
    assert len(set(statuses)) == len(statuses)


def test_an_input_error_can_say_its_status_without_changing_that_of_others():
    assert InputError("gone", "missing").status == "missing"
    assert InputError("odd").status == InputError.status == "unusable"


def test_an_optional_library_that_is_installed_is_imported():
    assert optional("json", "train").dumps([1]) == "[1]"


def test_a_missing_library_names_the_pip_line():
    with pytest.raises(MissingExtra, match=r"no_such_library.*pip install 'mien\[parquet\]'"):
        optional("no_such_library", "parquet")
