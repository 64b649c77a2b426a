import os
from itertools import count, islice
from threading import Barrier

import numpy as np
import pytest
from PIL import Image

from mien.core.batch import analyze_many, find_pictures, in_threads, read_many
from mien.errors import InputError
from mien.results.face import ImageReport
from mien.results.outcome import Outcome
from tests.helpers import ASTRONAUT, encoded, noise


def nobody(image):
    return ImageReport(image.shape[:2], (), "nobody")


@pytest.fixture
def study(tmp_path):
    """Two pictures and a note, one of the pictures in a folder below."""
    (tmp_path / "day two").mkdir()
    (tmp_path / "a.png").write_bytes(encoded(noise(8, 8, 3)))
    (tmp_path / "day two" / "b.png").write_bytes(encoded(noise(8, 8, 3)))
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def names(outcomes):
    return [os.path.basename(outcome.name) for outcome in outcomes]  # noqa: PTH119


@pytest.mark.parametrize("jobs", [1, 3])
def test_files_folders_patterns_and_arrays_are_read_in_the_order_given(study, jobs):
    inputs = [ASTRONAUT, study, str(study / "*.png"), noise(8, 8, 3), encoded(noise(8, 8, 3)), Image.new("L", (8, 8))]
    outcomes = list(analyze_many(inputs, pipeline=nobody, jobs=jobs))
    assert names(outcomes) == ["astronaut.png", "a.png", "b.png", "a.png", "input 4", "input 5", "input 6"]
    assert {outcome.status for outcome in outcomes} == {"no_face"}


def test_a_single_input_needs_no_list(study):
    assert names(analyze_many(str(study), pipeline=nobody)) == ["a.png", "b.png"]
    assert names(analyze_many(study / "a.png", pipeline=nobody)) == ["a.png"]
    assert names(analyze_many(noise(8, 8, 3), pipeline=nobody)) == ["input 0"]
    assert names(analyze_many(np.stack([noise(8, 8, 3)] * 2), pipeline=nobody)) == ["input 0", "input 1"]


def test_what_cannot_be_read_is_an_outcome_with_an_error_and_the_rest_goes_on(study):
    outcomes = list(analyze_many([study / "notes.txt", study / "gone.png", study / "*.gif", study], pipeline=nobody))
    assert [outcome.status for outcome in outcomes] == ["unreadable", "missing", "missing", "no_face", "no_face"]


@pytest.mark.parametrize("problem", [MemoryError("full"), ValueError("a user's mistake"), RuntimeError("of a library")])
def test_whatever_is_raised_is_one_failed_outcome_with_its_cause(study, problem):
    def read(image):
        if image[0, 0, 0] == 7:
            raise problem
        return nobody(image)

    (study / "b.png").write_bytes(encoded(np.full((8, 8, 3), 7, np.uint8)))
    first, failed, last = analyze_many(study, pipeline=read)
    assert [first.status, failed.status, last.status] == ["no_face", "failed", "no_face"]
    assert f"b.png: {type(problem).__name__}: {problem}" in failed.reason
    assert failed.error.__cause__ is problem


def test_pictures_are_kept_only_on_request(study):
    (bare,) = analyze_many(study / "a.png", pipeline=nobody)
    (kept,) = analyze_many(study / "a.png", pipeline=nobody, images=True)
    assert bare.image is None
    assert kept.image.shape == (8, 8, 3)


@pytest.mark.parametrize("jobs", [1, 2])
def test_inputs_are_drawn_only_as_they_are_needed(jobs):
    drawn = count()
    endless = (noise(8, 8, 3, seed=next(drawn)) for _ in count())
    assert len(list(islice(analyze_many(endless, pipeline=nobody, jobs=jobs), 5))) == 5
    assert next(drawn) <= 5 + 2 * jobs


def test_options_are_those_of_a_pipeline(study):
    (outcome,) = analyze_many(study / "a.png", assume_crop=True)
    assert len(outcome.report.faces) == 1


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"jobs": 0}, "1 or more"),
        ({"pipeline": nobody, "threshold": 0.5}, "not both"),
        ({"threshold": 3.0}, "between 0 and 1"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_read(options, problem):
    with pytest.raises(InputError, match=problem):
        analyze_many(["gone.png"], **options)


def test_an_outcome_among_found_pictures_is_passed_on():
    failed = Outcome("x", error=InputError("no"))
    assert list(read_many([failed], nobody)) == [failed]


def test_a_folder_without_pictures_is_a_failed_outcome(tmp_path):
    (found,) = find_pictures([tmp_path])
    assert found.status == "no_pictures"


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("count", [0, 1, 20])
def test_results_come_in_the_order_of_the_items(count, threads):
    assert list(in_threads(str, range(count), threads)) == [str(i) for i in range(count)]


def test_so_many_are_worked_on_at_a_time():
    # Each waits until all three are there; a third fewer threads and none would ever pass.
    together = Barrier(3, timeout=10)
    assert len(list(in_threads(lambda item: together.wait(), range(6), 3))) == 6


def test_an_error_comes_in_its_turn_and_few_are_begun_after_it():
    begun = []

    def work(item):
        begun.append(item)
        return 1 / (item - 2)

    results = in_threads(work, range(100), 2)
    assert [next(results), next(results)] == [-0.5, -1.0]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert len(begun) <= 2 + 2 * 2
