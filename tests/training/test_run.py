from dataclasses import dataclass

import pytest

from mien.errors import InputError
from mien.training.run import check_folder, keep_settings


@dataclass(frozen=True)
class Settings:
    rate: float = 0.1
    sizes: tuple[int, ...] = (8, 16)


def test_a_new_folder_may_hold_any_run(tmp_path):
    check_folder(tmp_path / "new", Settings(), resume=False)
    check_folder(tmp_path / "new", Settings(), resume=True)


def test_a_run_goes_on_with_the_settings_it_was_begun_with(tmp_path):
    keep_settings(tmp_path / "run", Settings())
    check_folder(tmp_path / "run", Settings(), resume=True)


def test_a_run_is_not_begun_over_another(tmp_path):
    keep_settings(tmp_path, Settings())
    with pytest.raises(InputError, match="holds a run already; give --resume"):
        check_folder(tmp_path, Settings(), resume=False)


def test_settings_that_differ_are_named(tmp_path):
    keep_settings(tmp_path, Settings())
    with pytest.raises(InputError, match=r"other settings \(rate\)"):
        check_folder(tmp_path, Settings(rate=0.2), resume=True)


def test_settings_alone_hold_no_folder_of_runs_that_begin_with_a_checkpoint(tmp_path):
    keep_settings(tmp_path, Settings())
    check_folder(tmp_path, Settings(rate=0.2), resume=False, begun="last.ckpt")
