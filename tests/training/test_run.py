from dataclasses import dataclass

import pytest

from mien.errors import InputError
from mien.training.run import Run


@dataclass(frozen=True)
class Settings:
    rate: float = 0.1
    sizes: tuple[int, ...] = (8, 16)


def test_a_new_folder_may_hold_any_run(tmp_path):
    Run(tmp_path / "new").check(Settings(), resume=False)
    Run(tmp_path / "new").check(Settings(), resume=True)


def test_a_run_goes_on_with_the_settings_it_was_begun_with(tmp_path):
    Run(tmp_path / "run").keep_settings(Settings())
    Run(tmp_path / "run").check(Settings(), resume=True)


def test_a_run_is_not_begun_over_another(tmp_path):
    Run(tmp_path).keep_settings(Settings())
    with pytest.raises(InputError, match="holds a run already; give --resume"):
        Run(tmp_path).check(Settings(), resume=False)


def test_settings_that_differ_are_named(tmp_path):
    Run(tmp_path).keep_settings(Settings())
    with pytest.raises(InputError, match=r"other settings \(rate\)"):
        Run(tmp_path).check(Settings(rate=0.2), resume=True)


def test_settings_alone_hold_no_folder_of_runs_that_begin_with_a_checkpoint(tmp_path):
    Run(tmp_path).keep_settings(Settings())
    Run(tmp_path).check(Settings(rate=0.2), resume=False, begun=False)
